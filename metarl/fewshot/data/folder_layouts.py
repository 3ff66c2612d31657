"""Where the image files of every class and split are; :func:`split_files` says which layouts."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from metarl.fewshot.data.class_splits import Partition, check_disjoint, seeded_partition
from metarl.fewshot.data.image_files import EXTENSIONS, list_images
from metarl.fewshot.data.tables import read_rows
from metarl.files import FileError, one_error

ClassFiles = dict[str, list[Path]]
"""Image files by class, the classes by name."""


class FoundFiles(NamedTuple):
    """Image files of one split or several, and what lies beside them."""

    of: Partition[ClassFiles]
    left_out: list[Path]
    """No images, or not in a folder of a class."""


SPLIT_NAMES = Partition(("train",), ("val", "validation", "valid"), ("test",))
"""What the folders and the lists of a split are called."""


def split_files(root: Path, *, seed: int, fractions: tuple[float, float, float]) -> FoundFiles:
    """The image files of every class of every split, see :class:`FoundFiles`.

    - ``root/train/<class>/*``, ``root/val/<class>/*`` (or ``validation``, ``valid``),
      ``root/test/<class>/*``: miniImageNet, tieredImageNet and CUB as they are passed around;
    - ``root/train.csv``, ``root/val.csv``, ``root/test.csv`` with columns ``filename`` and
      ``label`` beside ``root/images/*``: miniImageNet by the lists of Ravi and Larochelle;
    - ``root/images/<class>/*`` beside ``root/images.txt``: CUB-200-2011 as published, cut by seed;
    - ``root/<class>/*``: anything else, cut by seed.

    Raises:
        ValueError: the folder has none of these layouts, a split or a class is empty, or a class
            or a file is in two.
    """
    need_folder(root)
    found = _given_splits(root) or _cut(root, seed, fractions)
    check_disjoint(str(root), Partition(*(list(part) for part in found.of)))
    _check_distinct(path for part in found.of for paths in part.values() for path in paths)
    return found


def class_files(root: Path) -> tuple[ClassFiles, list[Path]]:
    """The image files of ``root/<class>/*``, and what else lies there or beside the classes.

    Raises:
        ValueError: there are no classes, or one without images.
    """
    need_folder(root)
    files, left_out = {}, list_images(root)[0]
    for folder in subfolders(root):
        files[folder.name], others = list_images(folder)
        left_out += others
    if not files:
        raise ValueError(f"{root}: no folders in it; it takes one for every class")
    for name, paths in files.items():
        if not paths:
            known = ", ".join(extension[1:] for extension in EXTENSIONS)
            raise ValueError(f"{root / name}: no images in it; a class is a folder of {known}")
    return files, left_out


def subfolders(root: Path) -> list[Path]:
    """Folders in a folder by name; hidden ones are none of them."""
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def need_folder(path: Path) -> None:
    """Raise a ValueError unless there is such a folder."""
    if not path.is_dir():
        raise ValueError(f"{path}: {'not a folder' if path.exists() else 'no such folder'}")


def _cut(root: Path, seed: int, fractions: tuple[float, float, float]) -> FoundFiles:
    published = (root / "images.txt").is_file() and (root / "images").is_dir()
    files, left_out = class_files(root / "images" if published else root)
    what = f"{root}: class folders"
    names = seeded_partition(list(files), seed=seed, what=what, fractions=fractions)
    parts = Partition(*({name: files[name] for name in part} for part in names))
    return FoundFiles(parts, left_out)


def _given_splits(root: Path) -> FoundFiles | None:
    """The splits that lists or folders name; none if there are neither."""
    lists = Partition(*(_first(root, names, ".csv") for names in SPLIT_NAMES))
    if any(lists):
        listed = (_listed_files(path, root / "images") for path in _all(root, lists))
        return FoundFiles(Partition(*listed), [])
    folders = Partition(*(_first(root, names, "") for names in SPLIT_NAMES))
    # one alone may be a class: CIFAR-100 has trains
    if sum(folder is not None for folder in folders) < 2:
        return None
    read = [class_files(folder) for folder in _all(root, folders)]
    left_out = [*list_images(root)[0], *(path for _, others in read for path in others)]
    return FoundFiles(Partition(*(files for files, _ in read)), left_out)


def _first(root: Path, names: tuple[str, ...], suffix: str) -> Path | None:
    paths = (root / f"{name}{suffix}" for name in names)
    return next((path for path in paths if (path.is_file() if suffix else path.is_dir())), None)


def _all(root: Path, paths: Partition[Path | None]) -> list[Path]:
    for names, path in zip(SPLIT_NAMES, paths, strict=True):
        if path is None:
            have = " and ".join(other.name for other in paths if other is not None)
            raise ValueError(f"{root}: has {have}, but nothing called {' or '.join(names)}")
    return [path for path in paths if path is not None]


def _listed_files(path: Path, images: Path) -> ClassFiles:
    files: ClassFiles = {}
    with one_error(FileError, str(path)):
        rows = read_rows(path)
        _, columns = next(rows, (0, []))
        if not {"filename", "label"} <= set(columns):
            raise ValueError(f"needs columns filename and label, has {columns}")
        for line, cells in rows:
            row = dict(zip(columns, cells, strict=False))
            name, label = row.get("filename"), row.get("label")
            if not name or not label or len(cells) > len(columns):
                raise ValueError(f"line {line} lacks a filename or a label, or has more cells")
            files.setdefault(label, []).append(images / name)
    return dict(sorted(files.items()))


def _check_distinct(paths: Iterable[Path]) -> None:
    seen: set[Path] = set()
    for path in paths:
        if path in seen:
            raise ValueError(f"{path}: listed twice; an image has one class and one split")
        seen.add(path)

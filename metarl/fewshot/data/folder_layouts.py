"""Where the image files of every class and split are; :func:`split_files` says which layouts."""

import csv
from collections.abc import Iterable
from pathlib import Path

from metarl.fewshot.data.class_splits import Partition, check_disjoint, seeded_partition
from metarl.fewshot.data.image_files import EXTENSIONS, list_images

ClassFiles = dict[str, list[Path]]
"""Image files by class, the classes by name."""

SPLIT_NAMES = Partition(("train",), ("val", "validation", "valid"), ("test",))
"""What the folders and the lists of a split are called."""


def split_files(
    root: Path, *, seed: int, fractions: tuple[float, float, float]
) -> Partition[ClassFiles]:
    """The image files of every class of every split.

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
    files = _given_splits(root) or _cut(root, seed, fractions)
    check_disjoint(str(root), Partition(*(list(part) for part in files)))
    _check_distinct(path for part in files for paths in part.values() for path in paths)
    return files


def class_files(root: Path) -> ClassFiles:
    """The image files of ``root/<class>/*``.

    Raises:
        ValueError: there are no classes, or one without images.
    """
    need_folder(root)
    files = {folder.name: list_images(folder) for folder in subfolders(root)}
    if not files:
        raise ValueError(f"{root}: no folders in it; it takes one for every class")
    for name, paths in files.items():
        if not paths:
            known = ", ".join(extension[1:] for extension in EXTENSIONS)
            raise ValueError(f"{root / name}: no images in it; a class is a folder of {known}")
    return files


def subfolders(root: Path) -> list[Path]:
    """Folders in a folder by name; hidden ones are none of them."""
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def need_folder(path: Path) -> None:
    """Raise a ValueError unless there is such a folder."""
    if not path.is_dir():
        raise ValueError(f"{path}: {'not a folder' if path.exists() else 'no such folder'}")


def _cut(root: Path, seed: int, fractions: tuple[float, float, float]) -> Partition[ClassFiles]:
    published = (root / "images.txt").is_file() and (root / "images").is_dir()
    files = class_files(root / "images" if published else root)
    what = f"{root}: class folders"
    names = seeded_partition(list(files), seed=seed, what=what, fractions=fractions)
    return Partition(*({name: files[name] for name in part} for part in names))


def _given_splits(root: Path) -> Partition[ClassFiles] | None:
    """The splits that lists or folders name; none if there are neither."""
    lists = Partition(*(_first(root, names, ".csv") for names in SPLIT_NAMES))
    if any(lists):
        return Partition(*(_listed_files(path, root / "images") for path in _all(root, lists)))
    folders = Partition(*(_first(root, names, "") for names in SPLIT_NAMES))
    # one alone may be a class: CIFAR-100 has trains
    if sum(folder is not None for folder in folders) < 2:
        return None
    return Partition(*(class_files(folder) for folder in _all(root, folders)))


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
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        columns = list(rows.fieldnames or ())
        if not {"filename", "label"} <= set(columns):
            raise ValueError(f"{path}: needs columns filename and label, has {columns}")
        for row in rows:
            if not row["filename"] or not row["label"]:
                raise ValueError(f"{path}: line {rows.line_num} lacks a filename or a label")
            files.setdefault(row["label"], []).append(images / row["filename"])
    return dict(sorted(files.items()))


def _check_distinct(paths: Iterable[Path]) -> None:
    seen: set[Path] = set()
    for path in paths:
        if path in seen:
            raise ValueError(f"{path}: listed twice; an image has one class and one split")
        seen.add(path)

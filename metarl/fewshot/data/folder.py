"""Folders of images, a folder a class, to a data set.

:func:`load_folder` takes the layouts that :func:`metarl.fewshot.data.folder_layouts.split_files`
lists. :func:`read_class_folder` and :func:`read_query_folder` read one folder, for adaptation.
"""

from pathlib import Path
from typing import NamedTuple

from metarl.fewshot.data.class_splits import FRACTIONS, Partition
from metarl.fewshot.data.folder_layouts import (
    ClassFiles,
    class_files,
    need_folder,
    split_files,
    subfolders,
)
from metarl.fewshot.data.image_files import (
    FolderImages,
    common_shape,
    list_images,
    notes,
    range_note,
    read_images,
)
from metarl.fewshot.data.pixels import Channels, ImageShape
from metarl.fewshot.sources import ArraySource, Dataset


class LoadedFolder(NamedTuple):
    """A data set, and what the user should know about it."""

    dataset: Dataset
    notes: tuple[str, ...]
    """What was left out, each as one line."""


def load_folder(
    root: Path,
    *,
    image_size: int | None = None,
    channels: Channels | None = None,
    pixel_bits: int | None = None,
    seed: int = 0,
    skip_bad: bool = False,
    fractions: tuple[float, float, float] = FRACTIONS,
) -> LoadedFolder:
    """Load a folder of a layout that :func:`split_files` knows.

    Args:
        root: the folder.
        image_size: height and width to stretch to; without, all images must have one size.
        channels: 1 or 3; without, 1 if all images are grayscale and 3 otherwise.
        pixel_bits: that images of 16 bits a pixel use, from the lowest; without, all, and it is an
            error if none of them uses the highest.
        seed: of the cut of the classes, where the folder does not say which split they are in.
        skip_bad: leave out files that cannot be read, instead of raising.
        fractions: of the classes for train, validation and test in a cut by seed.

    Raises:
        ValueError: the folder has none of the layouts, a split or a class is empty, a class is in
            two splits, sizes differ, or a file cannot be read.
    """
    files, left_out = split_files(root, seed=seed, fractions=fractions)
    every = [path for part in files for paths in part.values() for path in paths]
    shape = common_shape(every, image_size=image_size, channels=channels, skip_bad=skip_bad)
    read = [_read(part, shape, pixel_bits, skip_bad) for part in files]
    if unused := range_note(read):
        raise ValueError(f"{root}: {unused}")
    name = root.resolve().name
    sources = (
        ArraySource(f"{name} {split}", part.images, part.counts, part.class_names)
        for split, part in zip(Partition._fields, read, strict=True)
    )
    return LoadedFolder(Dataset(name, *sources), notes(read, left_out))


def read_class_folder(
    path: Path,
    *,
    image_size: int | None = None,
    channels: Channels | None = None,
    pixel_bits: int | None = None,
    skip_bad: bool = False,
) -> FolderImages:
    """Read ``path/<class>/*``; the arguments are those of :func:`load_folder`."""
    files, left_out = class_files(path)
    every = [file for paths in files.values() for file in paths]
    shape = common_shape(every, image_size=image_size, channels=channels, skip_bad=skip_bad)
    images = _read(files, shape, pixel_bits, skip_bad)
    return images._replace(left_out=tuple(left_out))


def read_query_folder(
    path: Path,
    *,
    image_size: int | None = None,
    channels: Channels | None = None,
    pixel_bits: int | None = None,
    skip_bad: bool = False,
) -> FolderImages:
    """Read ``path/*``, whose images have no class, or ``path/<class>/*``.

    Raises:
        ValueError: there are both or neither, or as for :func:`load_folder`.
    """
    need_folder(path)
    files, left_out = list_images(path)
    if not files and not subfolders(path):
        raise ValueError(f"{path}: no images in it")
    if not files:
        return read_class_folder(
            path,
            image_size=image_size,
            channels=channels,
            pixel_bits=pixel_bits,
            skip_bad=skip_bad,
        )
    for folder in subfolders(path):
        if list_images(folder)[0]:
            raise ValueError(
                f"{path}: images both in it and in {folder.name}/; give one or the other"
            )
    shape = common_shape(files, image_size=image_size, channels=channels, skip_bad=skip_bad)
    images = read_images(files, shape, pixel_bits=pixel_bits, skip_bad=skip_bad)
    return images._replace(left_out=tuple(left_out))


def _read(
    files: ClassFiles, shape: ImageShape, pixel_bits: int | None, skip_bad: bool
) -> FolderImages:
    classes = {path: name for name, paths in files.items() for path in paths}
    images = read_images(list(classes), shape, pixel_bits=pixel_bits, skip_bad=skip_bad)
    images = images._replace(labels=tuple(classes[path] for path in images.paths))
    found = set(images.labels)
    for name in files:
        if name not in found:
            raise ValueError(f"class {name}: 0 images can be read, 1 are needed")
    return images

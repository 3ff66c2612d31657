"""Image files to uint8 tensors of one shape.

Two passes: :func:`common_shape` looks at the headers of all files, so that every split of a data
set gets the same channels and size, and :func:`read_images` then decodes straight into place.
Files are known by what they hold, not by their names.
"""

import math
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from metarl.fewshot.data.pixels import Channels, ImageShape, largest_deep, open_image, to_array
from metarl.files import FileError, one_error
from metarl.memory import check_memory

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
"""Files called so are to be images, in lower case; others are, if they hold one."""

_GRAY = ("1", "L", "LA", "I;16", "I;16L", "I;16B", "I;16N")
_ORIENTATION = 0x0112
_ON_ITS_SIDE = (5, 6, 7, 8)


class FolderImages(NamedTuple):
    """Images, and the files they are from."""

    images: Tensor
    """``[n, C, H, W]`` uint8, those of a class next to one another in order of class."""
    paths: tuple[Path, ...]
    """One an image."""
    skipped: tuple[Path, ...]
    """Files that could not be read."""
    several_pages: tuple[Path, ...] = ()
    """Files with more pages or frames than the first, which is read."""
    largest: int = 0
    """Of all values of pixels of 16 bits; 0 without such images."""
    labels: tuple[str, ...] = ()
    """Class of every image; empty for a folder that has no classes."""
    left_out: tuple[Path, ...] = ()
    """What lies in the folders and is no image, or lies where no class is."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """One a class."""
        return tuple(dict.fromkeys(self.labels))

    @property
    def counts(self) -> list[int]:
        """Images of every class."""
        return list(Counter(self.labels).values())


def notes(parts: Sequence[FolderImages], left_out: Sequence[Path] = ()) -> tuple[str, ...]:
    """What a user should know about images that were read, each as one line.

    Args:
        parts: all that was read.
        left_out: files that none of them could know of.
    """
    kinds = {
        "skipped {} that cannot be read": [path for part in parts for path in part.skipped],
        "left out {}, no image of a class": [
            *left_out,
            *(path for part in parts for path in part.left_out),
        ],
        "only the first page was read of {}": [
            path for part in parts for path in part.several_pages
        ],
    }
    lines = [
        f"{text.format(_count(len(paths)))}: {paths[0]}{', ...' if paths[1:] else ''}"
        for text, paths in kinds.items()
        if paths
    ]
    unused = range_note(parts)
    return (*lines, unused) if unused else tuple(lines)


def range_note(parts: Sequence[FolderImages]) -> str | None:
    """A line about images of 16 bits that do not use them, if they are such images."""
    largest = max(part.largest for part in parts)
    bits = largest.bit_length()
    if not 0 < bits < 16:
        return None
    return (
        f"images of 16 bits a pixel, but none of their values is above {largest}, so they would be "
        f"nearly black: --pixel-bits {bits} scales them by {bits} bits, --pixel-bits 16 not at all"
    )


def list_images(folder: Path) -> tuple[list[Path], list[Path]]:
    """The image files of a folder, and what else lies in it, by name; nothing that is hidden."""
    with one_error(FileError, str(folder)):
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    images = [path for path in paths if _is_image(path)]
    return images, sorted(set(paths) - set(images))


def common_shape(
    paths: Sequence[Path],
    *,
    image_size: int | None = None,
    channels: Channels | None = None,
    skip_bad: bool = False,
) -> ImageShape:
    """The shape that all images get.

    Args:
        paths: image files.
        image_size: height and width; without, all images must have one size.
        channels: 1 or 3; without, 1 if all images are grayscale and 3 otherwise.
        skip_bad: pass over files that cannot be read.

    Raises:
        ValueError: sizes differ, or a file cannot be read.
    """
    if image_size is not None and image_size < 1:
        raise ValueError(f"image_size must be at least 1, got {image_size}")
    if channels not in (None, 1, 3):
        raise ValueError(f"channels must be 1 or 3, got {channels}")
    first: tuple[Path, tuple[int, int]] | None = None
    gray = True
    for path in paths:
        # a size that is given and one image in colour settle the shape
        if image_size is not None and (channels is not None or not gray):
            break
        try:
            mode, size = _header(path)
        except FileError:
            if not skip_bad:
                raise
            continue
        gray = gray and mode in _GRAY
        first = first or (path, size)
        if image_size is None and size != first[1]:
            raise _sizes_differ(first, (path, size))
    width, height = (image_size, image_size) if image_size is not None else _size(first, paths)
    shape = ImageShape(channels or (1 if gray else 3), height, width)
    check_memory(len(paths) * math.prod(shape), f"{len(paths)} images of {height} x {width}")
    return shape


def read_images(
    paths: Sequence[Path],
    shape: ImageShape,
    *,
    pixel_bits: int | None = None,
    skip_bad: bool = False,
) -> FolderImages:
    """Read files, see :func:`to_array`.

    Raises:
        ValueError: a file cannot be read and ``skip_bad`` is off, or none can be.
    """
    images = torch.empty((len(paths), *shape), dtype=torch.uint8)
    kept: list[Path] = []
    skipped: list[Path] = []
    several_pages: list[Path] = []
    largest = 0
    for path in paths:
        try:
            with _readable(path), open_image(path) as image:
                if getattr(image, "is_animated", False):
                    several_pages.append(path)
                if pixel_bits is None:
                    largest = max(largest, largest_deep(image))
                images[len(kept)] = torch.from_numpy(to_array(image, shape, pixel_bits or 16))
        except FileError:
            if not skip_bad:
                raise
            skipped.append(path)
            continue
        kept.append(path)
    if not kept:
        raise ValueError(_none_readable(paths))
    return FolderImages(
        images[: len(kept)], tuple(kept), tuple(skipped), tuple(several_pages), largest
    )


def _is_image(path: Path) -> bool:
    if path.suffix.lower() in EXTENSIONS:
        return path.is_file() or path.is_symlink()  # a link to nothing is an error, not no image
    if not path.is_file():
        return False
    try:
        with one_error(FileError, str(path)), open_image(path):
            return True
    except FileError:
        return False


def _header(path: Path) -> tuple[str, tuple[int, int]]:
    """Mode and size as seen, without decoding."""
    with _readable(path), open_image(path) as image:
        width, height = image.size
        turned = image.getexif().get(_ORIENTATION) in _ON_ITS_SIDE
        return image.mode, (height, width) if turned else (width, height)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Whatever goes wrong in here is about that file, and :class:`FileError`."""
    message = f"{path}: not a readable image (--skip-bad leaves such files out)"
    with warnings.catch_warnings(), one_error(FileError, message):
        # of Pillow, about more than our own MAX_PIXELS
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def _size(first: tuple[Path, tuple[int, int]] | None, paths: Sequence[Path]) -> tuple[int, int]:
    if first is None:
        raise ValueError(_none_readable(paths))
    return first[1]


def _count(number: int) -> str:
    return f"{number} file{'s' if number > 1 else ''}"


def _none_readable(paths: Sequence[Path]) -> str:
    return f"{paths[0].parent}: none of its {len(paths)} images can be read"


def _sizes_differ(
    one: tuple[Path, tuple[int, int]], other: tuple[Path, tuple[int, int]]
) -> ValueError:
    (path, (width, height)), (other_path, (other_width, other_height)) = one, other
    return ValueError(
        f"images differ in size: {path} is {width}x{height} and {other_path} is "
        f"{other_width}x{other_height}; --image-size N makes all N x N"
    )

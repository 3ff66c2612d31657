"""Image files to uint8 tensors of one shape.

Two passes: :func:`common_shape` looks at the headers of all files, so that every split of a data
set gets the same channels and size, and :func:`read_images` then decodes straight into place.
"""

import struct
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

Channels = Literal[1, 3]

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
"""Of the files that count as images, in lower case."""

UNREADABLE = (
    OSError,  # also PIL.UnidentifiedImageError and a truncated file
    SyntaxError,  # PIL's word for a broken PNG or TIFF
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow's readers raise for a file that is no image, or half of one."""

_GRAY = ("1", "L", "LA", "I;16", "I;16L", "I;16B", "I;16N")
_ORIENTATION = 0x0112
_ON_ITS_SIDE = (5, 6, 7, 8)


class ImageShape(NamedTuple):
    """Of every image of a data set."""

    channels: Channels
    height: int
    width: int


class FolderImages(NamedTuple):
    """Images, and the files they are from."""

    images: Tensor
    """``[n, C, H, W]`` uint8, those of a class next to one another in order of class."""
    paths: tuple[Path, ...]
    """One an image."""
    skipped: tuple[Path, ...]
    """Files that could not be read."""
    labels: tuple[str, ...] = ()
    """Class of every image; empty for a folder that has no classes."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """One a class."""
        return tuple(dict.fromkeys(self.labels))

    @property
    def counts(self) -> list[int]:
        """Images of every class."""
        return list(Counter(self.labels).values())


def list_images(folder: Path) -> list[Path]:
    """The image files of a folder by name; hidden files are none of them."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in EXTENSIONS and not path.name.startswith(".") and path.is_file()
    )


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
        except UNREADABLE as error:
            if not skip_bad:
                raise _cannot_read(path, error) from error
            continue
        gray = gray and mode in _GRAY
        first = first or (path, size)
        if image_size is None and size != first[1]:
            raise _sizes_differ(first, (path, size))
    width, height = (image_size, image_size) if image_size is not None else _size(first, paths)
    return ImageShape(channels or (1 if gray else 3), height, width)


def read_images(
    paths: Sequence[Path], shape: ImageShape, *, skip_bad: bool = False
) -> FolderImages:
    """Read files, see :func:`to_array`.

    Raises:
        ValueError: a file cannot be read and ``skip_bad`` is off, or none can be.
    """
    images = torch.empty((len(paths), *shape), dtype=torch.uint8)
    kept: list[Path] = []
    skipped: list[Path] = []
    for path in paths:
        try:
            with Image.open(path) as image:
                array = to_array(image, shape)
        except UNREADABLE as error:
            if not skip_bad:
                raise _cannot_read(path, error) from error
            skipped.append(path)
            continue
        images[len(kept)] = torch.from_numpy(array)
        kept.append(path)
    if not kept:
        raise ValueError(_none_readable(paths))
    return FolderImages(images[: len(kept)], tuple(kept), tuple(skipped))


def to_array(image: Image.Image, shape: ImageShape) -> NDArray[np.uint8]:
    """An image as it is seen, ``[C, H, W]`` uint8.

    Turned the way its camera was held, 16 bits to 8, on white where it is transparent, its first
    frame if it moves; stretched to the size (Lanczos), as miniImageNet and Meta-Dataset are.

    >>> to_array(Image.new("RGBA", (4, 2)), ImageShape(1, 1, 1)).tolist()
    [[[255]]]
    """
    opaque = _on_white(_eight_bit(ImageOps.exif_transpose(image)))
    plain = opaque.convert("L" if shape.channels == 1 else "RGB")
    size = (shape.width, shape.height)
    if plain.size != size:
        plain = plain.resize(size, Image.Resampling.LANCZOS)
    array = np.array(plain)  # a copy: Pillow's own memory is read-only
    return array[None] if shape.channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255, which makes nearly all of it white
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("pixels of 32 bits; 8 or 16 bits are read")
    return image


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode not in ("LA", "PA", "RGBA") and "transparency" not in image.info:
        return image
    colour = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", colour.size, "white"), colour)


def _header(path: Path) -> tuple[str, tuple[int, int]]:
    """Mode and size as seen, without decoding."""
    with Image.open(path) as image:
        width, height = image.size
        turned = image.getexif().get(_ORIENTATION) in _ON_ITS_SIDE
        return image.mode, (height, width) if turned else (width, height)


def _size(first: tuple[Path, tuple[int, int]] | None, paths: Sequence[Path]) -> tuple[int, int]:
    if first is None:
        raise ValueError(_none_readable(paths))
    return first[1]


def _none_readable(paths: Sequence[Path]) -> str:
    return f"{paths[0].parent}: none of its {len(paths)} images can be read"


def _cannot_read(path: Path, error: Exception) -> ValueError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ValueError(f"{path}: not a readable image ({reason}); --skip-bad leaves such files out")


def _sizes_differ(
    one: tuple[Path, tuple[int, int]], other: tuple[Path, tuple[int, int]]
) -> ValueError:
    (path, (width, height)), (other_path, (other_width, other_height)) = one, other
    return ValueError(
        f"images differ in size: {path} is {width}x{height} and {other_path} is "
        f"{other_width}x{other_height}; --image-size N makes all N x N"
    )

"""One image file as an array of 8 bits a value, as it is seen."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

Channels = Literal[1, 3]

MAX_PIXELS = 25_000_000
"""Most of a file: decoding and conversion take 16 bytes each."""

MAX_BYTES = 16 * MAX_PIXELS
"""Most of a file: no format needs more for as many pixels."""

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")


class ImageShape(NamedTuple):
    """Of every image of a data set."""

    channels: Channels
    height: int
    width: int


@contextmanager
def open_image(file: Path | BinaryIO) -> Iterator[Image.Image]:
    """Open an image of bounded size; what Pillow raises for a bad one has no end of types."""
    if isinstance(file, Path):  # of memory nothing is read beyond the end, whatever a chunk claims
        if (size := file.stat().st_size) > MAX_BYTES:
            raise ValueError(f"it has {size} bytes; images of up to {MAX_BYTES} are read")
        file = BytesIO(file.read_bytes())
    try:
        opened = Image.open(file, formats=_FORMATS)
    except UnidentifiedImageError as error:  # its text may be about a buffer of ours
        known = ", ".join(_FORMATS)
        raise ValueError(f"it holds no image of a known format: {known}") from error
    with opened as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(
                f"{image.width}x{image.height} pixels; up to {MAX_PIXELS} are read: make it smaller"
            )
        yield image


def to_array(image: Image.Image, shape: ImageShape, pixel_bits: int = 16) -> NDArray[np.uint8]:
    """An image as it is seen, ``[C, H, W]`` uint8.

    Turned the way its camera was held, 16 bits to 8, on white where it is transparent, its first
    frame if it moves; stretched to the size (Lanczos), as miniImageNet and Meta-Dataset are.

    Args:
        image: as Pillow opened it.
        shape: of the result.
        pixel_bits: that pixels of 16 bits use, from the lowest.

    >>> to_array(Image.new("RGBA", (4, 2)), ImageShape(1, 1, 1)).tolist()
    [[[255]]]
    """
    bits = 12 if _raw_mode(image) == "I;12" else pixel_bits
    if bits < 16 and _is_deep_colour(image):
        raise ValueError("colours of 16 bits are read at 16: write them with 8")
    _check_white(image)
    opaque = _on_white(_eight_bit(ImageOps.exif_transpose(image), bits))
    plain = opaque.convert("L" if shape.channels == 1 else "RGB")
    size = (shape.width, shape.height)
    if plain.size != size:
        plain = plain.resize(size, Image.Resampling.LANCZOS)
    array = np.array(plain)  # a copy: Pillow's own memory is read-only
    return array[None] if shape.channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))


def _eight_bit(image: Image.Image, bits: int) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255, which makes nearly all of it white
        pixels = np.asarray(image)
        if (largest := int(pixels.max())) >> bits:
            raise ValueError(f"a pixel is {largest}, over the {bits} bits of --pixel-bits")
        return Image.fromarray((pixels >> (bits - 8)).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("pixels with a sign or of 32 bits; 8 or 16 bits are read")
    return image


def largest_deep(image: Image.Image) -> int:
    """The largest value of an image whose pixels have 16 bits; 0 of others."""
    if image.mode.startswith("I;16") and _raw_mode(image) != "I;12":
        return int(np.asarray(image).max())
    if not _is_deep_colour(image):
        return 0
    # Pillow keeps the upper 8 of every 16
    return int(np.asarray(image.convert("RGB")).max()) << 8 | 0xFF


def _is_deep_colour(image: Image.Image) -> bool:
    return ";16" in _raw_mode(image) and not image.mode.startswith("I")


def _raw_mode(image: Image.Image) -> str:
    """How pixels lie in the file, as long as it has not been decoded."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    return str(arguments[0]) if isinstance(arguments, tuple) else str(arguments)


def _check_white(image: Image.Image) -> None:
    """Pillow turns 0 to white where the file has it so, but not in 16 bits."""
    photometric, white_is_zero = 262, 0
    tags = getattr(image, "tag_v2", {})
    if image.mode.startswith("I;16") and tags.get(photometric) == white_is_zero:
        raise ValueError("16 bits a pixel with 0 for white: write it with 0 for black")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode not in ("LA", "PA", "RGBA") and "transparency" not in image.info:
        return image
    colour = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", colour.size, "white"), colour)

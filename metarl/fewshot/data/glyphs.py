"""Printed letters, drawn here: a few-shot data set that needs no download.

A class is a letter, an example is that letter in one of the 16 type faces that come with
matplotlib, turned, sheared, stretched and moved a little. It looks like Omniglot (28 x 28, white
ink, tests on scripts that training has not seen) and is used in the same way, but this is printed
type, not handwriting: an example varies by its face and an affine map, not by a hand, which should
be easier to learn, and results on it do not compare with Omniglot's.

``glyphs.json`` beside this file lists the letters, which are fixed. The rule that chose them is in
``tests/fewshot/test_glyphs.py``: unaccented letters in at least four faces, without those that look
like an earlier one, whatever its script, case and size. So Greek has no Alpha, Latin no small c.
"""

import contextlib
import hashlib
import importlib.util
import json
import math
import os
import unicodedata
import uuid
from pathlib import Path

import numpy as np
import PIL
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, features

from metarl.fewshot.sources import ArraySource, ClassGroups, Dataset, Split
from metarl.files import FileError
from metarl.npz import read_npz

FACES = tuple(
    [f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")]
    + [f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic", "-BoldItalic")]
    + [f"DejaVuSansMono{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")]
    + [f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta")]
)
"""Those of matplotlib's files with text in several scripts; the first covers all letters."""
SIZE = 28
NUM_IMAGES = 16
"""Examples of a class. Faces that lack the letter are left out, the others take turns."""

Letters = dict[Split, dict[str, list[int]]]

_VERSION = 1
"""Goes up when the drawing changes, so that no older cache is read."""
_EM = 64
_OVERSAMPLING = 4


def load_glyphs(cache: Path | None = None) -> Dataset:
    """Load the letters, images ``[1, 28, 28]`` uint8 with ink 255, 16 a class.

    Training is on Latin, Greek and Cyrillic, validation on Hebrew and Arabic, the test on Georgian,
    Armenian and Lao: no script is in two splits. Groups are the scripts. The same versions of
    Pillow, FreeType and the fonts give the same images. Drawing takes some seconds, the first time.

    Args:
        cache: folder to keep the drawn images in; by default ``metarl`` in the user's cache folder
            (``$XDG_CACHE_HOME`` or ``~/.cache``). Where it cannot be written, nothing is kept.
    """
    letters = glyph_letters()
    codes = [code for scripts in letters.values() for of in scripts.values() for code in of]
    images = _cached_images(codes, cache or _cache_folder())
    sources, start = {}, 0
    for split, scripts in letters.items():
        stop = start + sum(map(len, scripts.values()))
        sources[split] = _source(split, scripts, images[start:stop])
        start = stop
    return Dataset("glyphs", sources["train"], sources["validation"], sources["test"])


def glyph_letters() -> Letters:
    """Code points of every split's letters, by script.

    >>> [len(of) for of in glyph_letters()["test"].values()]
    [114, 56, 34]
    """
    path = Path(__file__).with_name("glyphs.json")
    letters: Letters = json.loads(path.read_text(encoding="utf-8"))
    return letters


def load_faces() -> list[ImageFont.FreeTypeFont]:
    """Open all of :data:`FACES`, in that order."""
    return [
        # Raqm, where Pillow has it, would shape letters otherwise than where it is absent.
        ImageFont.truetype(str(path), _EM, layout_engine=ImageFont.Layout.BASIC)
        for path in _font_files()
    ]


def draw_letter(face: ImageFont.FreeTypeFont, letter: str) -> Image.Image | None:
    """The letter's ink, cropped to it, about 64 pixels an em; None where the face lacks it."""
    ink = _ink(face, letter)
    absent = _ink(face, "\uffff")  # never a character: what a face shows for those it lacks
    if ink is None or (absent is not None and ink.tobytes() == absent.tobytes()):
        return None
    return ink


def _ink(face: ImageFont.FreeTypeFont, text: str) -> Image.Image | None:
    left, top, right, bottom = face.getbbox(text)
    size = max(1, math.ceil(right - left)), max(1, math.ceil(bottom - top))
    image = Image.new("L", size)
    ImageDraw.Draw(image).text((-left, -top), text, fill=255, font=face)
    box = image.getbbox()
    return image.crop(box) if box else None


def _draw_all(codes: list[int]) -> NDArray[np.uint8]:
    """Images ``[letters, 16, 28, 28]``."""
    faces = load_faces()
    return np.stack([_draw_examples(faces, code) for code in codes])


def _draw_examples(faces: list[ImageFont.FreeTypeFont], code: int) -> NDArray[np.uint8]:
    drawn = [ink for face in faces if (ink := draw_letter(face, chr(code)))]
    if not drawn:
        raise ValueError(
            f"none of matplotlib's fonts has U+{code:04X}, {unicodedata.name(chr(code))}"
        )
    # One seed an image, so that no image depends on which others there are.
    return np.stack(
        [
            _jitter(drawn[i % len(drawn)], np.random.default_rng([_VERSION, code, i]))
            for i in range(NUM_IMAGES)
        ]
    )


def _jitter(ink: Image.Image, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The ink in 28 x 28, turned, sheared, stretched, scaled and moved; never cut off."""
    angle, shear, stretch, size = rng.uniform(
        [-0.2, -0.2, -0.15, 17.0], [0.2, 0.2, 0.15, 23.0]
    ).tolist()
    cos, sin = math.cos(angle), math.sin(angle)
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.array([[math.exp(stretch), shear], [0, 1]])
    extent = np.abs(matrix) @ np.array(ink.size)  # of the sheared box: its ink is within
    scale = size / extent.max()
    room = np.minimum((SIZE - scale * extent) / 2, 2.0)
    centre = SIZE / 2 + rng.uniform(-room, room)
    # Pillow asks for the way back: from a pixel of the result to one of the ink.
    back = np.linalg.inv(_OVERSAMPLING * scale * matrix)
    shift = np.array(ink.size) / 2 - back @ (_OVERSAMPLING * centre)
    (a, b), (d, e) = back.tolist()
    large = ink.transform(
        (_OVERSAMPLING * SIZE, _OVERSAMPLING * SIZE),
        Image.Transform.AFFINE,
        (a, b, float(shift[0]), d, e, float(shift[1])),
        Image.Resampling.BILINEAR,
    )
    return np.asarray(large.reduce(_OVERSAMPLING), dtype=np.uint8)


def _source(split: Split, scripts: dict[str, list[int]], images: NDArray[np.uint8]) -> ArraySource:
    names = [unicodedata.name(chr(code)) for of in scripts.values() for code in of]
    groups, start = [], 0
    for of in scripts.values():
        groups.append(tuple(range(start, start + len(of))))
        start += len(of)
    examples = torch.from_numpy(images.reshape(-1, 1, SIZE, SIZE))
    counts = [NUM_IMAGES] * len(names)
    return ArraySource(
        f"glyphs {split}", examples, counts, names, ClassGroups("bilevel", tuple(groups))
    )


def _font_files() -> list[Path]:
    # matplotlib is looked up, not imported: only its files are needed.
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError("glyphs are drawn in matplotlib's fonts: pip install matplotlib")
    folder = Path(spec.submodule_search_locations[0]) / "mpl-data" / "fonts" / "ttf"
    files = [folder / f"{face}.ttf" for face in FACES]
    for file in files:
        if not file.is_file():
            raise ValueError(f"matplotlib's fonts lack {file.name}: install matplotlib >= 3.9 anew")
    return files


def _cache_folder() -> Path | None:
    """Of the user; None for a user without a home."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    # The specification has relative paths ignored, and so is a "~" that stands for nothing.
    base = given if os.path.isabs(given) else os.path.expanduser("~/.cache")
    return Path(base) / "metarl" if os.path.isabs(base) else None


def _cached_images(codes: list[int], folder: Path | None) -> NDArray[np.uint8]:
    """Images ``[letters, 16, 28, 28]``, drawn if the folder does not have them."""
    if folder is None:
        return _draw_all(codes)
    path = folder / f"glyphs-{_cache_key(codes)}.npz"
    images = _read_cache(path, len(codes))
    if images is None:
        images = _draw_all(codes)
        _write_cache(path, images)
    return images


def _cache_key(codes: list[int]) -> str:
    """Of all that the images depend on."""
    versions = [_VERSION, NUM_IMAGES, PIL.__version__, features.version("freetype2"), codes]
    digest = hashlib.sha256(json.dumps(versions).encode())
    for file in _font_files():
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _read_cache(path: Path, num_letters: int) -> NDArray[np.uint8] | None:
    try:
        images: NDArray[np.uint8] = read_npz(path, ["images"])["images"]
    except FileError:
        return None  # absent or damaged: drawn anew, and replaced
    right = images.dtype == np.uint8 and images.shape == (num_letters, NUM_IMAGES, SIZE, SIZE)
    return images if right else None


def _write_cache(path: Path, images: NDArray[np.uint8]) -> None:
    """Put the file in place at once, so that nobody ever reads half of it."""
    partial = path.with_name(f"{path.stem}.{uuid.uuid4().hex}.tmp")
    # A cache only saves time: a read-only home or a full disk must not stop anybody.
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                np.savez_compressed(file, images=images)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

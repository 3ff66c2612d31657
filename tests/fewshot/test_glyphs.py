"""The built-in letters: which they are, what their images show, and the cache."""

import importlib.util
import itertools
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageFont

from metarl.fewshot import ArraySource, Dataset
from metarl.fewshot.data import glyphs
from metarl.fewshot.data.glyphs import Letters, draw_letter, glyph_letters, load_faces, load_glyphs

SCRIPTS = {
    # In the order of the rule: what looks alike stays with the earlier script.
    "train": ["LATIN", "GREEK", "CYRILLIC"],
    "validation": ["HEBREW", "ARABIC"],
    "test": ["GEORGIAN", "ARMENIAN", "LAO"],
}


def letters_of(script: str) -> list[int]:
    """Letters of the script, without modifiers and what Unicode takes apart, such as accents."""
    return [
        code
        for code in range(0x10000)
        if unicodedata.category(chr(code)) in ("Lu", "Ll", "Lo")
        and unicodedata.name(chr(code), "").startswith(f"{script} ")
        and not unicodedata.decomposition(chr(code))
    ]


def shapes(faces: list[ImageFont.FreeTypeFont], code: int) -> NDArray[np.float32]:
    """The letter in every face, all of one size and a little blurred, ``[faces, 784]`` of norm 1.

    Rows of faces that lack it are zero.
    """
    rows = np.zeros((len(faces), 784), np.float32)
    for row, face in zip(rows, faces, strict=True):
        ink = draw_letter(face, chr(code))
        if ink is None:
            continue
        scale = 24 / max(ink.size)
        width, height = (max(1, round(side * scale)) for side in ink.size)
        square = Image.new("L", (28, 28))
        small = ink.resize((width, height), Image.Resampling.BOX)
        square.paste(small, ((28 - width) // 2, (28 - height) // 2))
        row[:] = np.asarray(square.filter(ImageFilter.GaussianBlur(1)), np.float32).ravel()
        row /= np.linalg.norm(row)
    return rows


def alike(shaped: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which pairs of letters, ``[letters, faces, 784]``, look alike on average or in some face.

    The cosine of their shapes is 0.95 in the mean over the faces that have both, or 0.985 in one.
    """
    has = shaped.any(-1).astype(np.float32)
    by_face = np.stack([face @ face.T for face in shaped.swapaxes(0, 1)])
    return (by_face.sum(0) / (has @ has.T) >= 0.95) | (by_face.max(0) >= 0.985)


def letters_by_rule() -> Letters:
    """What ``glyphs.json`` must hold.

    In order of script and code point, a letter is taken if the first face and at least three more
    have it, and it looks like no letter taken before.
    """
    faces = load_faces()
    found = [
        (split, script, code, shape)
        for split, scripts in SCRIPTS.items()
        for script in scripts
        for code in letters_of(script)
        if (shape := shapes(faces, code)).any(1)[0] and shape.any(1).sum() >= 4
    ]
    pairs = alike(np.stack([shape for *_, shape in found]))
    letters: Letters = {split: {s: [] for s in scripts} for split, scripts in SCRIPTS.items()}
    taken: list[int] = []
    for i, (split, script, code, _) in enumerate(found):
        if not pairs[i, taken].any():
            taken.append(i)
            letters[split][script].append(code)
    return letters


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_glyphs(tmp_path_factory.mktemp("cache"))


def sources(dataset: Dataset) -> Iterator[ArraySource]:
    for source in (dataset.train, dataset.validation, dataset.test):
        assert isinstance(source, ArraySource)
        yield source


@pytest.mark.slow  # 5 s
def test_the_package_holds_the_letters_of_the_rule() -> None:
    assert glyph_letters() == letters_by_rule()


def test_what_looks_alike() -> None:
    faces = load_faces()
    # Latin, Greek and Cyrillic A; C and c, which differ in size alone; F and a small capital.
    letters = "AΑАCcFꜰBბ"
    pairs = alike(np.stack([shapes(faces, ord(letter)) for letter in letters]))
    same = [{"A", "Α", "А"}, {"C", "c"}, {"F", "ꜰ"}, {"B"}, {"ბ"}]
    for (i, a), (j, b) in itertools.product(enumerate(letters), repeat=2):
        assert pairs[i, j] == any({a, b} <= group for group in same), (a, b)


def test_letters_are_of_the_scripts_of_their_split(dataset: Dataset) -> None:
    assert [len(source.class_names) for source in sources(dataset)] == [486, 61, 204]
    assert {s: list(scripts) for s, scripts in glyph_letters().items()} == SCRIPTS
    for source, scripts in zip(sources(dataset), SCRIPTS.values(), strict=True):
        assert source.groups is not None
        assert source.groups.rule == "bilevel"
        assert list(itertools.chain(*source.groups.members)) == list(range(len(source.counts)))
        for script, group in zip(scripts, source.groups.members, strict=True):
            assert {source.class_names[i].split()[0] for i in group} == {script}
    names = [name for source in sources(dataset) for name in source.class_names]
    assert len(set(names)) == len(names)


def test_images_are_whole_letters_of_white_ink(dataset: Dataset) -> None:
    for source in sources(dataset):
        assert source.shape == (1, 28, 28)
        assert source.counts.unique().tolist() == [16]
        images = source.examples[:, 0]
        assert images.dtype == torch.uint8
        assert 0.1 < float(images.float().mean()) / 255 < 0.2
        assert (images.flatten(1).amax(1) > 150).all()
        # A letter that was cut off would have full ink at the border.
        inside = images.clone()
        inside[:, 1:-1, 1:-1] = 0
        assert int(inside.max()) < 128
        tall = images.amax(2).gt(64).sum(1)
        wide = images.amax(1).gt(64).sum(1)
        assert (torch.maximum(tall, wide) >= 12).all()


def test_no_two_images_are_equal(dataset: Dataset) -> None:
    images = torch.cat([source.examples.flatten(1) for source in sources(dataset)])
    assert len(images.unique(dim=0)) == len(images) == 16 * 751


def test_the_jitter_of_a_class_is_its_own(dataset: Dataset) -> None:
    for source in sources(dataset):
        columns = source.examples.amax((1, 2)).gt(64).reshape(-1, 16, 28).int()
        # Twice the middle of the ink, less that of the image; first and last column with ink.
        off = columns.argmax(2) + (27 - columns.flip(2).argmax(2)) - 27
        left, right = (off < 0).float().mean(0), (off > 0).float().mean(0)
        assert float(torch.minimum(left, right).min()) > 0.2


def test_classes_can_be_told_apart(dataset: Dataset) -> None:
    for source in sources(dataset):
        images = source.examples.float().reshape(len(source.counts), 16, -1) / 255
        # Chance is below 0.02; pixels do not allow for what was moved, so that they miss many.
        # Even and odd examples: both have faces of all families.
        means, held_out = images[:, ::2].mean(1), images[:, 1::2]
        nearest = torch.cdist(held_out.flatten(0, 1), means).argmin(1).reshape(-1, 8)
        right = (nearest == torch.arange(len(means))[:, None]).float().mean()
        assert float(right) > 0.1


def test_an_image_does_not_depend_on_the_others(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters: Letters = {
        "train": {"LATIN": [66]},
        "validation": {"HEBREW": [0x5D0]},
        "test": {"LAO": [0xE81]},
    }
    monkeypatch.setattr(glyphs, "glyph_letters", lambda: letters)
    fewer = load_glyphs(tmp_path)
    for part, whole in zip(sources(fewer), sources(dataset), strict=True):
        for i, name in enumerate(part.class_names):
            examples = torch.arange(16)
            theirs = torch.full((16,), whole.class_names.index(name))
            assert torch.equal(
                part.take(torch.full((16,), i), examples), whole.take(theirs, examples)
            )


def test_absent_fonts_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(glyphs, "FACES", ("DejaVuSans", "NoSuchFace"))
        with pytest.raises(ValueError, match=r"fonts lack NoSuchFace.ttf"):
            load_glyphs(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install matplotlib"):
        load_glyphs(tmp_path)


def test_a_letter_that_no_font_has_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters: Letters = {"train": {"CJK": [0x4E00]}, "validation": {}, "test": {}}
    monkeypatch.setattr(glyphs, "glyph_letters", lambda: letters)
    with pytest.raises(ValueError, match=r"U\+4E00, CJK UNIFIED IDEOGRAPH-4E00"):
        load_glyphs(tmp_path)

"""Where the drawn letters are kept, and what happens when that fails."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from metarl.fewshot import ArraySource, Dataset
from metarl.fewshot.data import glyphs
from metarl.fewshot.data.glyphs import Letters, load_glyphs

FEW: Letters = {"train": {"LATIN": [65, 66]}, "validation": {"HEBREW": [0x5D0]}, "test": {}}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few letters that drawing them takes no time."""
    letters: Letters = {**FEW, "test": {"LAO": [0xE81]}}
    monkeypatch.setattr(glyphs, "glyph_letters", lambda: letters)


def forbid_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glyphs, "_draw_all", lambda codes: pytest.fail("drawn again"))


def sources(dataset: Dataset) -> Iterator[ArraySource]:
    for source in (dataset.train, dataset.validation, dataset.test):
        assert isinstance(source, ArraySource)
        yield source


def equal(a: Dataset, b: Dataset) -> bool:
    return all(
        torch.equal(x.examples, y.examples) for x, y in zip(sources(a), sources(b), strict=True)
    )


@pytest.mark.usefixtures("few")
def test_the_cache_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_glyphs(tmp_path / "new" / "folder")
    assert len(list((tmp_path / "new" / "folder").iterdir())) == 1
    forbid_drawing(monkeypatch)
    assert equal(load_glyphs(tmp_path / "new" / "folder"), first)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "empty", "shape", "type", "names"])
def test_a_damaged_cache_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    first = load_glyphs(tmp_path)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    half = len(content) // 2
    arrays = {
        "shape": {"images": np.zeros((4, 3, 28, 28), np.uint8)},
        "type": {"images": np.zeros((4, 16, 28, 28), np.float32)},
        "names": {"pictures": np.zeros((4, 16, 28, 28), np.uint8)},
    }
    if damage in arrays:
        np.savez(path, **arrays[damage])
    else:
        flipped = content[:half] + bytes([content[half] ^ 255]) + content[half + 1 :]
        cases = {"cut": content[:half], "flipped": flipped, "text": b"no archive", "empty": b""}
        path.write_bytes(cases[damage])
    assert equal(load_glyphs(tmp_path), first)
    assert list(tmp_path.iterdir()) == [path]
    forbid_drawing(monkeypatch)
    assert equal(load_glyphs(tmp_path), first)


@pytest.mark.usefixtures("few")
def test_a_cache_of_other_letters_or_an_older_drawing_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_glyphs(tmp_path)
    monkeypatch.setattr(glyphs, "_VERSION", glyphs._VERSION + 1)
    load_glyphs(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    letters: Letters = {**FEW, "test": {"LAO": [0xE82]}}  # as many as before
    monkeypatch.setattr(glyphs, "glyph_letters", lambda: letters)
    load_glyphs(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    monkeypatch.setattr("PIL.__version__", "0.1")
    load_glyphs(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4
    monkeypatch.setattr(glyphs, "FACES", glyphs.FACES[:-1])
    load_glyphs(tmp_path)
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.usefixtures("few")
def test_a_cache_that_cannot_be_written_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_glyphs(tmp_path / "good")
    (tmp_path / "file").touch()
    assert equal(load_glyphs(tmp_path / "file" / "folder"), first)

    def full_disk(file: object, **arrays: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full_disk)
    (tmp_path / "full").mkdir()
    assert equal(load_glyphs(tmp_path / "full"), first)
    assert list((tmp_path / "full").iterdir()) == []


@pytest.mark.usefixtures("few")
def test_the_default_cache_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    load_glyphs()
    assert len(list((tmp_path / "xdg" / "metarl").iterdir())) == 1
    assert not (tmp_path / "home").exists()
    for ignored in ("relative", ""):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        load_glyphs()
        assert len(list((tmp_path / "home" / ".cache" / "metarl").iterdir())) == 1
    monkeypatch.setenv("HOME", "~")  # as expanduser leaves it for a user without a home
    load_glyphs()
    assert {path.name for path in tmp_path.iterdir()} == {"xdg", "home"}

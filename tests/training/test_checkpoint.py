"""Checkpoint files: atomic, checked, and what is wrong with one is said."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metarl.files import FORMAT_VERSION, FileError
from metarl.training.checkpoint import (
    list_checkpoints,
    load_checkpoint,
    load_newest,
    save_checkpoint,
)

FORMAT = "metarl-checkpoint"


def test_content_comes_back(tmp_path: Path) -> None:
    content = {
        "weights": {"w": torch.arange(3.0)},
        "list": [1, 2.5, "x", None, True],
        "generator": torch.Generator().manual_seed(3).get_state(),
    }
    path = save_checkpoint(tmp_path / "new" / "checkpoints", 7, content)
    loaded = load_checkpoint(path)
    assert path.name == "iteration_00000007.pt"
    assert torch.equal(loaded["weights"]["w"], content["weights"]["w"])
    assert loaded["list"] == content["list"]
    torch.Generator().set_state(loaded["generator"])


def test_numpy_generators_survive(tmp_path: Path) -> None:
    """The state holds integers of 128 bits."""
    rng = np.random.default_rng(5)
    rng.random(3)
    state: Any = rng.bit_generator.state
    assert state["state"]["state"].bit_length() > 64
    path = save_checkpoint(tmp_path, 1, {"rng": state})
    other = np.random.default_rng(0)
    other.bit_generator.state = load_checkpoint(path)["rng"]
    assert other.random(3).tolist() == rng.random(3).tolist()


def unpicklable() -> Any:
    return {"lock": threading.Lock()}


def test_a_failing_write_leaves_the_old_files_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_checkpoint(tmp_path, 1, {"x": 1})
    before = path.read_bytes()
    for iteration in (1, 2):
        with pytest.raises(TypeError, match="cannot pickle"):
            save_checkpoint(tmp_path, iteration, unpicklable())

    def full(payload: Any, file: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    for iteration in (1, 2):
        with pytest.raises(OSError, match="No space left"):
            save_checkpoint(tmp_path, iteration, {"x": 2})
    assert list_checkpoints(tmp_path) == [path]
    assert path.read_bytes() == before


def test_unfinished_files_are_not_checkpoints(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 3, {})
    for name in ("iteration_00000004.tmp", "iteration_00000005.pt.tmp", "best.pt", "iteration_.pt"):
        (tmp_path / name).write_bytes(b"half")
    assert list_checkpoints(tmp_path) == [path]


def test_newest_first(tmp_path: Path) -> None:
    for iteration in (9, 10, 100):
        save_checkpoint(tmp_path, iteration, {"at": iteration})
    assert [load_checkpoint(p)["at"] for p in list_checkpoints(tmp_path)] == [100, 10, 9]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("(lp0\nnot a checkpoint")


def zeros(path: Path) -> None:
    """As some file systems leave a file after a power cut."""
    path.write_bytes(bytes(path.stat().st_size))


def foreign(path: Path) -> None:
    torch.save({"state_dict": torch.zeros(2)}, path)


def bare(path: Path) -> None:
    torch.save(torch.zeros(2), path)


def code(path: Path) -> None:
    """A pickle that would run code; only plain data is ever unpickled."""
    torch.save({"format": FORMAT, "format_version": FORMAT_VERSION, "f": cut}, path)


def renamed(path: Path) -> None:
    """One bit, in the name of a member, which is UTF-8 no more."""
    content = bytearray(path.read_bytes())
    content[content.rindex(b"data.pkl")] ^= 128
    path.write_bytes(content)


def newer(path: Path) -> None:
    torch.save({"format": FORMAT, "format_version": 99}, path)


def unversioned(path: Path) -> None:
    torch.save({"format": FORMAT}, path)


OTHER = "is damaged or not a checkpoint of metarl"
DAMAGE = pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut, OTHER),
        (empty, OTHER),
        (text, OTHER),
        (zeros, OTHER),
        (renamed, OTHER),
        (code, OTHER + ": it holds code"),
        (foreign, OTHER + ": it was not written as one"),
        (bare, OTHER + ": it was not written as one"),
        (newer, OTHER + ": its format is 99, this version reads 1"),
        (unversioned, OTHER + ": its format is None, this version reads 1"),
    ],
)


@DAMAGE
def test_damaged_files_are_skipped_and_named(
    tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    for iteration in (1, 2):
        path = save_checkpoint(tmp_path, iteration, {"at": iteration})
    damage(path)
    with pytest.raises(FileError, match=reason):
        load_checkpoint(path)
    content, problems = load_newest(tmp_path)
    assert content["at"] == 1
    (problem,) = problems
    assert problem.startswith(f"{path} {reason}")


def test_the_newest_good_one_needs_no_words(tmp_path: Path) -> None:
    for iteration in (1, 2):
        save_checkpoint(tmp_path, iteration, {"at": iteration})
    content, problems = load_newest(tmp_path)
    assert (content["at"], problems) == (2, [])


def test_random_bytes_never_escape_as_another_error(tmp_path: Path) -> None:
    """Torch's reader raises a dozen kinds of errors when fed garbage."""
    rng = np.random.default_rng(0)
    path = tmp_path / "iteration_00000001.pt"
    for _ in range(100):
        path.write_bytes(bytes(rng.choice(list(b"\x80(.]}K\x01uebhNq\x00t)cR012"), 12).tolist()))
        with pytest.raises(FileError):
            load_checkpoint(path)


def test_all_damaged(tmp_path: Path) -> None:
    paths = [save_checkpoint(tmp_path, iteration, {}) for iteration in (1, 2)]
    for path in paths:
        cut(path)
    with pytest.raises(FileError, match="no usable checkpoint") as error:
        load_newest(tmp_path)
    assert all(str(path) in str(error.value) for path in paths)


def test_none_at_all(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"no usable checkpoint in .*: there is none"):
        load_newest(tmp_path / "missing")

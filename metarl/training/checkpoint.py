"""Checkpoints: a run keeps its newest few, and the best.

Reading skips a damaged one, says so, and takes the one before it.
"""

import re
from pathlib import Path
from typing import Any

from metarl.files import FileError, load_weights, save_weights

KEEP, BEST = 3, "best.pt"
_NAME = re.compile(r"iteration_(\d+)\.pt")


def save_checkpoint(
    folder: Path,
    iteration: int,
    content: dict[str, Any],
    *,
    best: bool = False,
    instead_of: Path | None = None,
) -> Path:
    """Write one checkpoint; drop the oldest beyond :data:`KEEP`.

    Args:
        folder: of checkpoints.
        iteration: after which it is made.
        content: the whole state.
        best: to write it to the file of the best.
        instead_of: another checkpoint, which is no longer needed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (BEST if best else f"iteration_{iteration:08d}.pt")
    save_weights(path, "checkpoint", content)
    if instead_of not in (None, path):
        instead_of.unlink(missing_ok=True)
    for old in list_checkpoints(folder)[KEEP:]:
        old.unlink()
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """Checkpoint files of a folder, newest iteration first."""
    found = [path for path in folder.glob("*.pt") if _NAME.fullmatch(path.name)]
    return sorted(found, reverse=True)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read one checkpoint, see :func:`load_weights`."""
    return load_weights(path, "checkpoint")


def load_newest(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The newest good checkpoint of a folder, and what was wrong with newer ones.

    Raises:
        FileError: if there is none.
    """
    problems: list[str] = []
    for path in list_checkpoints(folder):
        try:
            return load_checkpoint(path), problems
        except FileError as error:
            problems.append(str(error))
    reason = "; ".join(problems) or "there is none"
    raise FileError(f"no usable checkpoint in {folder}: {reason}")

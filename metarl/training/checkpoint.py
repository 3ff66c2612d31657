"""Checkpoints: whole, atomic, checked. A run keeps its newest few.

A checkpoint is written to a temporary file, flushed to disk and renamed, so a file of the right
name is a whole one. Reading skips a damaged file, says so, and takes the one before it.
"""

import os
import re
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch

FORMAT = "metarl-checkpoint"
FORMAT_VERSION = 1
KEEP = 3
_NAME = re.compile(r"iteration_(\d+)\.pt")


class CheckpointError(ValueError):
    """A file is not a checkpoint of ours, is damaged, or there is none."""


def save_checkpoint(folder: Path, iteration: int, content: dict[str, Any]) -> Path:
    """Write one checkpoint atomically, then drop the oldest beyond :data:`KEEP`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"iteration_{iteration:08d}.pt"
    temporary = path.with_suffix(".tmp")
    payload = {"format": FORMAT, "format_version": FORMAT_VERSION, **content}
    with temporary.open("wb") as file:
        torch.save(payload, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_folder(folder)
    for old in list_checkpoints(folder)[KEEP:]:
        old.unlink()
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """Checkpoint files of a folder, newest iteration first."""
    found = [path for path in folder.glob("*.pt") if _NAME.fullmatch(path.name)]
    return sorted(found, reverse=True)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read one checkpoint onto the CPU; only tensors and plain data are ever unpickled.

    Raises:
        CheckpointError: if the file is damaged or not ours.
    """
    try:
        with ZipFile(path) as archive:  # torch's reader raises nearly anything when given garbage
            damaged = archive.testzip()
        if damaged is not None:
            raise CheckpointError(f"{path} is damaged: {damaged} fails its checksum")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (BadZipFile, OSError, RuntimeError, UnpicklingError) as error:
        raise CheckpointError(f"{path} is damaged or not a checkpoint") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path} was not written by metarl")
    if (version := content.get("format_version")) != FORMAT_VERSION:
        raise CheckpointError(f"{path} has format {version}, this version reads {FORMAT_VERSION}")
    return content


def load_newest(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The newest good checkpoint of a folder, and what was wrong with newer ones.

    Raises:
        CheckpointError: if there is none.
    """
    problems: list[str] = []
    for path in list_checkpoints(folder):
        try:
            return load_checkpoint(path), problems
        except CheckpointError as error:
            problems.append(str(error))
    reason = "; ".join(problems) or "there is none"
    raise CheckpointError(f"no usable checkpoint in {folder}: {reason}")


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

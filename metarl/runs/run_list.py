"""What is known of the runs in a folder, from their files alone."""

from pathlib import Path
from typing import NamedTuple

from metarl.runs.commands import command_on
from metarl.runs.config import read_config
from metarl.runs.errors import InputError
from metarl.runs.sweeps.rows import DONE, Row, row_of


class ListedRun(NamedTuple):
    """One run."""

    folder: Path
    learner: str
    """Empty where the config cannot be read."""
    subject: str
    """Environment or data set."""
    row: Row
    """How far and how good; its error says what cannot be read."""
    to_go_on: str
    """The command that goes on with it; empty where it is done, or cannot be read."""


def listed(folder: Path) -> list[ListedRun]:
    """The runs in a folder and in the folders within it, by name.

    Args:
        folder: such as ``runs``, or a run folder itself.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder")
    return [_of(path.parent) for path in sorted(folder.rglob("config.json"))]


def _of(folder: Path) -> ListedRun:
    name = folder.name
    try:
        config = read_config(folder)
        row = Row(run=name, options={}, iterations=config.schedule.iterations)
        row = row_of(folder, row)
        done = row.state in DONE or row.error
        to_go_on = "" if done else command_on(folder, "resume", config)
        return ListedRun(folder, config.learner, config.subject, row, to_go_on)
    except InputError as error:
        row = Row(run=name, options={}, iterations=0, state="failed", error=str(error))
        return ListedRun(folder, "", "", row, "")

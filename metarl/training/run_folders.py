"""Folders of runs: new ones, and those that an earlier attempt of the same launch has made.

Where ``torchrun`` starts all processes anew it gives the command that it was given. So a run whose
folder is there already goes on in it: one that the same launch made, as its first, second, ...
run, with the same config. A launch is known by the store of its agents, which outlives processes;
where a machine that kept the store has died, or a scheduler begins a job anew, by the id of the
rendezvous (``--rdzv-id``), unless the run is complete.
"""

import json
import os
import re
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from glob import escape
from itertools import count
from pathlib import Path

from metarl.files import replacing
from metarl.training.checkpoint import list_checkpoints
from metarl.training.processes import launch

CONFIG_NAME, LAUNCH_NAME = "config.json", ".launch.json"
_MADE = count(1)
"""Numbers of the runs of this process."""
NO_ID = "none"
"""The id of a rendezvous to which nobody gave one."""


@dataclass(frozen=True)
class _Launched:
    """Who started a run."""

    launch: str
    rdzv_id: str
    number: int
    """Which of the process's runs it is, from 1."""

    def is_of(self, other: "_Launched") -> bool:
        """Whether it is the same run of the same launch."""
        return self.launch == other.launch and self.number == other.number

    def is_requeued(self, other: "_Launched") -> bool:
        """Whether it is the same run of a launch of the same id."""
        same = self.rdzv_id == other.rdzv_id != NO_ID
        return same and self.number == other.number


def run_folder(output: Path, stem: str, config: str, iterations: int) -> Path:
    """The folder of a run: made, with its ``config.json``, or found.

    Args:
        output: where it is.
        stem: what its name starts with; the time follows.
        config: everything that decides the run, as JSON.
        iterations: with which the run is complete.
    """
    if not launch():
        return new_folder(output, stem, config)
    own = _Launched(launch(), os.environ.get("TORCHELASTIC_RUN_ID", NO_ID), next(_MADE))
    for record in sorted(output.glob(f"{escape(stem)}_*/{LAUNCH_NAME}"), reverse=True):
        found, folder = _Launched(**json.loads(record.read_bytes())), record.parent
        goes_on = own.is_requeued(found) and newest_iteration(folder) < iterations
        same = (folder / CONFIG_NAME).read_text() == config
        if same and (goes_on or own.is_of(found)):
            return folder
    folder = new_folder(output, stem, config)
    with replacing(folder / LAUNCH_NAME) as file:
        file.write(json.dumps(asdict(own)).encode())
    return folder


def new_folder(output: Path, stem: str, config: str) -> Path:
    """Make the first folder of that name and the time that does not exist yet."""
    output.mkdir(parents=True, exist_ok=True)
    first = f"{stem}_{time.strftime('%Y%m%d-%H%M%S')}"
    for attempt in count():
        folder = output / (f"{first}-{attempt}" if attempt else first)
        with suppress(FileExistsError):
            folder.mkdir()
            break
    write_config(folder, config)
    return folder


def write_config(folder: Path, config: str) -> None:
    """Write ``config.json``, everything that decides the run."""
    with replacing(folder / CONFIG_NAME) as file:
        file.write(config.encode())


def newest_iteration(folder: Path) -> int:
    """Of a run's checkpoints, by their names; 0 without any."""
    found = list_checkpoints(folder / "checkpoints")
    return int(re.sub(r"\D", "", found[0].stem)) if found else 0

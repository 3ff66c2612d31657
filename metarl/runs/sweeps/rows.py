"""What is known of one run of a sweep, from its folder alone."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from metarl.configs import STRICT, Natural, NonNegative, Number
from metarl.files import one_error
from metarl.runs.errors import InputError
from metarl.runs.evaluate import ENDING, MEASURES
from metarl.training.run_folders import newest_iteration

State = Literal[
    "waiting", "running", "complete", "stopped early", "time limit", "unfinished", "failed"
]
"""``complete`` and ``stopped early`` are done; what is at its ``time limit`` goes on when the sweep
is called again."""
DONE: tuple[State, ...] = ("complete", "stopped early")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Row:
    """One line of the table of a sweep."""

    run: str
    """Name of the run folder."""
    options: dict[str, Any]
    """What differs between the runs."""
    state: State = "waiting"
    iteration: Natural = 0
    """Of the newest checkpoint."""
    iterations: Natural
    """That the run is to have."""
    measure: str | None = None
    """What the next two are: ``returns``, ``accuracy`` or ``mse``."""
    before: Number | None = None
    """Mean over held-out tasks without adaptation, where the run has ended."""
    after: Number | None = None
    """The same after adaptation."""
    seconds: NonNegative | None = None
    """Of training, where the run has ended."""
    error: str = ""
    """The last line of a run that failed."""
    job: str = ""
    """Slurm's number of it, while it is there."""


TABLE_OF_ROWS = TypeAdapter(dict[Literal["runs"], list[Row]])
"""The content of ``sweep.json``."""


def row_of(folder: Path, old: Row, *, running: bool = False) -> Row:
    """What a run folder tells now.

    Args:
        folder: of the run; need not be there.
        old: what was known before; its error stands unless the run has ended well since.
        running: whether its process runs on this machine.

    Raises:
        InputError: a file in there is damaged.
    """
    iteration = newest_iteration(folder)
    ending, evaluation = (_read(folder / name) for name in (ENDING, "evaluation.json"))
    ended = ending.get("iteration") == iteration
    figures = evaluation if ended and evaluation.get("iteration") == iteration else {}
    state: State = "unfinished" if iteration else "waiting"
    if running:
        state = "running"
    elif ended:
        state = ending["ending"]
    elif old.job:
        state = "running"
    elif old.error:
        state = "failed"
    mean = figures.get("mean") or [None]
    return Row(
        run=old.run,
        options=old.options,
        iterations=max(old.iterations, iteration),  # resumed to more than it was to have
        state=state,
        iteration=iteration,
        measure=next((name for name in MEASURES if name in figures), None),
        before=mean[0],
        after=mean[-1],
        seconds=ending["seconds"] if ended else None,
        error=old.error if state == "failed" else "",
        job=old.job,
    )


def _read(path: Path) -> Mapping[str, Any]:
    """A file of figures; empty where there is none."""
    if not path.is_file():
        return {}
    with one_error(InputError, f"{path} is damaged"):
        content = json.loads(path.read_text())
        if not isinstance(content, dict):
            raise ValueError("it is no JSON object")
    return content

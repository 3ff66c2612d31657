"""One training session of any run: folder printed first and last, progress, evaluation."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import metarl
from metarl.runs.errors import InputError
from metarl.training import Ending, Films, Schedule, Trainer
from metarl.types import Metrics

Headline = Callable[[Metrics], str]
"""An iteration's metrics to what the progress bar says of them; empty for nothing."""


def say(line: str) -> None:
    """A line for the user, beside the results."""
    sys.stderr.write(f"metarl: {line}\n")


def make_trainer(
    learner: Any, folder: Path, schedule: Schedule, config: str, films: Films | None = None
) -> Trainer:
    """A trainer whose checkpoints keep the version and the config, as JSON."""
    description = {"metarl": metarl.__version__, "config": config}
    return Trainer(learner, folder, schedule, description=description, warn=say, films=films)


def run_session(
    trainer: Trainer, *, headline: Headline, report: Headline, evaluate: Callable[[], object]
) -> int:
    """Train, then evaluate what there is; the exit status.

    Args:
        trainer: of the run.
        headline: what the progress bar says after an iteration.
        report: what is printed after an iteration where there is no terminal.
        evaluate: called at the end, unless the run was interrupted.
    """
    folder = trainer.folder
    sys.stdout.write(f"{folder}\n")
    sys.stdout.flush()
    with _Display(trainer, headline, report) as display:
        ending = trainer.run(display)
    say(f"{ending.value} after {trainer.iteration} iterations, {trainer.seconds:.0f} s of training")
    if ending is Ending.DIVERGED:
        raise InputError(
            "ten updates in a row had non-finite meta-gradients, so training stopped; the last "
            f"good checkpoint is kept in {folder / 'checkpoints'}; try a smaller step size "
            "(--lr, or --inner-lr of learners that have one)"
        )
    if ending is not Ending.INTERRUPTED:
        evaluate()
    sys.stdout.write(f"{folder}\n")
    return 130 if ending is Ending.INTERRUPTED else 0


class _Display:
    """A progress bar on a terminal, a line now and then elsewhere; on stderr."""

    def __init__(self, trainer: Trainer, headline: Headline, report: Headline) -> None:
        console = Console(stderr=True)
        self._headline, self._report = headline, report
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._plain = not console.is_terminal
        total = trainer.schedule.iterations
        self._task = self._bar.add_task("", total=total, completed=trainer.iteration)

    def __call__(self, iteration: int, metrics: Metrics) -> None:
        self._bar.update(self._task, completed=iteration, description=self._headline(metrics))
        line = self._report(metrics) if self._plain else ""
        if line:
            say(f"iteration {iteration}: {line} ({metrics['time/seconds']:.0f} s)")

    def __enter__(self) -> "_Display":
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

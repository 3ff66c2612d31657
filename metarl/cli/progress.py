"""What the command says beside its results: lines, and the progress of training."""

import sys
from dataclasses import dataclass, field
from functools import partial

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from metarl import runs
from metarl.training import once
from metarl.types import Metrics


def say(line: str) -> None:
    """A line for the user, beside the results."""
    sys.stderr.write(f"metarl: {line}\n")


def say_warning(message: Warning | str, *place: object, **options: object) -> None:
    """A warning as one line; it is about what the user gave, not about a place in a file."""
    once(say)(" ".join(str(message).split()))


def quiet(line: str) -> None:
    """No line."""


@dataclass
class Bar:
    """A progress bar on a terminal; on stderr."""

    console: Console = field(default_factory=partial(Console, stderr=True))
    _progress: Progress | None = None

    @property
    def is_shown(self) -> bool:
        """Whether there is a terminal."""
        return self.console.is_terminal

    def show(self, completed: int, total: int, description: str) -> None:
        """So much is done; the bar appears the first time."""
        if self._progress is None:
            columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
            text = TextColumn("{task.description}")
            self._progress = Progress(text, *columns, console=self.console)
            self._progress.add_task("", total=total, completed=completed)
            self._progress.start()
        self._progress.update(TaskID(0), completed=completed, description=description)

    def stop(self) -> None:
        """Leave the terminal as it was."""
        if self._progress is not None:
            self._progress.stop()


@dataclass
class Display:
    """Training: a progress bar on a terminal, a line now and then elsewhere."""

    session: "runs.Session"
    """That is watched."""
    show: bool
    """Anything at all."""
    bar: Bar = field(default_factory=Bar)

    def __call__(self, iteration: int, metrics: Metrics) -> None:
        """One iteration more."""
        built, schedule = self.session.built, self.session.trainer.schedule
        if self.show and self.bar.is_shown:
            self.bar.show(iteration, schedule.iterations, built.headline(metrics))
        elif self.show and (line := built.report(metrics)):
            say(f"iteration {iteration}: {line} ({metrics['time/seconds']:.0f} s)")

    def stop(self) -> None:
        """Leave the terminal as it was."""
        self.bar.stop()


@dataclass
class TasksDisplay:
    """An evaluation: a progress bar on a terminal, a line for every quarter elsewhere."""

    show: bool = True
    """Anything at all."""
    bar: Bar = field(default_factory=Bar)
    _quarters: int = 0

    def __enter__(self) -> "TasksDisplay":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def __call__(self, done: int, total: int) -> None:
        """So many tasks are done."""
        quarters = 4 * done // total
        if self.show and self.bar.is_shown:
            self.bar.show(done, total, "evaluation")
        elif self.show and self._quarters < quarters < 4:
            say(f"evaluation: {done} of {total} tasks")
        self._quarters = quarters

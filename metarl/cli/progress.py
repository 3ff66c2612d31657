"""What the command says beside its results: lines, and the progress of training."""

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from rich.console import Console
from rich.progress import (
    BarColumn,
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

    estimates: bool = True
    """Show how long it will take, from the pace so far."""
    console: Console = field(default_factory=partial(Console, stderr=True))
    _progress: Progress | None = None

    @property
    def is_shown(self) -> bool:
        """Whether there is a terminal."""
        return self.console.is_terminal

    def show(
        self, completed: int, total: int, description: str, share: float | None = None
    ) -> None:
        """So much is done; the bar appears the first time.

        Args:
            completed: of the total.
            total: number of things to do.
            description: what stands before the bar.
            share: of the bar that is filled, where that is not by their number.
        """
        filled = completed / total if share is None else share
        if self._progress is None:
            columns = [
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[n]}"),
            ]
            estimate = [TimeRemainingColumn()] if self.estimates else []
            self._progress = Progress(*columns, *estimate, console=self.console)
            self._progress.add_task("", total=1.0, n="")
        count = f"{completed}/{total}"
        self._progress.update(TaskID(0), completed=filled, description=description, n=count)
        self._progress.start()  # the first time

    def stop(self) -> None:
        """Leave the terminal as it was."""
        if self._progress is not None:
            self._progress.stop()


SILENCE = 60.0
"""Seconds between two lines where there is no terminal."""


@dataclass
class Display:
    """Training: a progress bar on a terminal, a line a minute elsewhere.

    Both tell the newest evaluation on held-out tasks.
    """

    session: "runs.Session"
    """That is watched."""
    show: bool
    """Anything at all."""
    clock: Callable[[], float] = time.monotonic
    """Seconds."""
    bar: Bar = field(default_factory=partial(Bar, estimates=False))
    _held_out: str = ""
    _said: float = -math.inf

    def __post_init__(self) -> None:
        self._started, self._first = self.clock(), self.session.trainer.iteration
        self._held_out = self.session.newest_report
        if self.show and self.bar.is_shown:
            total = self.session.trainer.schedule.iterations
            self.bar.show(self._first, total, "first iteration")

    def __call__(self, iteration: int, metrics: Metrics) -> None:
        """One iteration more."""
        if not self.show:
            return
        built, total = self.session.built, self.session.trainer.schedule.iterations
        line = built.report(metrics)
        self._held_out = line or self._held_out
        if self.bar.is_shown:
            parts = [self._held_out, _speed(metrics), f"{_clock(self.left(iteration))} left"]
            line = ", ".join(part for part in parts if part)
            self.bar.show(iteration, total, line, self._share(iteration))
        elif line and (iteration == total or self.clock() >= self._said + SILENCE):
            self._said = self.clock()
            say(f"iteration {iteration}: {line} ({metrics['time/seconds']:.0f} s)")

    def left(self, iteration: int) -> float:
        """Seconds until the session ends, by its iterations or by its time limit."""
        schedule, elapsed = self.session.trainer.schedule, self.clock() - self._started
        by_pace = (schedule.iterations - iteration) * elapsed / max(iteration - self._first, 1)
        limit = schedule.time_limit
        return by_pace if limit is None else min(by_pace, max(limit - elapsed, 0.0))

    def _share(self, iteration: int) -> float:
        """Of the session that is over, by its iterations or by its time limit."""
        schedule = self.session.trainer.schedule
        by_number = iteration / schedule.iterations
        if schedule.time_limit is None:
            return by_number
        return max(by_number, min((self.clock() - self._started) / schedule.time_limit, 1.0))

    def stop(self) -> None:
        """Leave the terminal as it was."""
        self.bar.stop()


def _speed(metrics: Metrics) -> str:
    speed = metrics.get("time/env_steps_per_second")
    return "" if speed is None else f"{speed:,.0f} steps/s"


def _clock(seconds: float) -> str:
    """As hours, minutes and seconds, such as 1:02:03."""
    return str(timedelta(seconds=round(seconds)))


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

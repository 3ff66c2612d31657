"""What the command says beside its results: lines, and the progress of training."""

import sys
from dataclasses import dataclass
from functools import cached_property

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
from metarl.types import Metrics


def say(line: str) -> None:
    """A line for the user, beside the results."""
    sys.stderr.write(f"metarl: {line}\n")


def quiet(line: str) -> None:
    """No line."""


@dataclass
class Display:
    """A progress bar on a terminal, a line now and then elsewhere; on stderr."""

    session: "runs.Session"
    """That is watched."""
    show: bool
    """Anything at all."""

    def __call__(self, iteration: int, metrics: Metrics) -> None:
        """One iteration more."""
        built = self.session.built
        if self.show and self._console.is_terminal:
            self._bar.update(TaskID(0), completed=iteration, description=built.headline(metrics))
        elif self.show and (line := built.report(metrics)):
            say(f"iteration {iteration}: {line} ({metrics['time/seconds']:.0f} s)")

    def stop(self) -> None:
        """Leave the terminal as it was."""
        if "_bar" in self.__dict__:
            self._bar.stop()

    @cached_property
    def _console(self) -> Console:
        return Console(stderr=True)

    @cached_property
    def _bar(self) -> Progress:
        """It appears with the first figures."""
        columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        bar = Progress(TextColumn("{task.description}"), *columns, console=self._console)
        trainer = self.session.trainer
        bar.add_task("", total=trainer.schedule.iterations, completed=trainer.iteration)
        bar.start()
        return bar

"""What a training session shows: the folder first and last, progress, the closing evaluation."""

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from metarl import runs
from metarl.cli.evaluate import print_evaluation
from metarl.training import Ending
from metarl.types import Metrics


def say(line: str) -> None:
    """A line for the user, beside the results."""
    sys.stderr.write(f"metarl: {line}\n")


def quiet(line: str) -> None:
    """No line."""


def run_session(session: "runs.Session", *, show: bool) -> int:
    """Train, then evaluate what there is; the exit status.

    Args:
        session: of the run.
        show: progress and results.
    """
    folder = session.trainer.folder
    sys.stdout.write(f"{folder}\n")
    sys.stdout.flush()
    with Display(session, show=show) as display:
        ending = session.train(display)
    trainer = session.trainer
    if show:
        seconds = f"{trainer.seconds:.0f} s of training"
        say(f"{ending.value} after {trainer.iteration} iterations, {seconds}")
    if ending is not Ending.INTERRUPTED and session.closing is not None:
        evaluation = session.run.measure(session.closing)
        if show:
            print_evaluation(evaluation)
    sys.stdout.write(f"{folder}\n")
    return 130 if ending is Ending.INTERRUPTED else 0


class Display:
    """A progress bar on a terminal, a line now and then elsewhere; on stderr.

    Args:
        session: that is watched.
        show: anything at all.
    """

    def __init__(self, session: "runs.Session", *, show: bool) -> None:
        console = Console(stderr=True)
        self._built = session.built
        self._plain = show and not console.is_terminal
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not show or not console.is_terminal,
        )
        trainer = session.trainer
        total = trainer.schedule.iterations
        self._task = self._bar.add_task("", total=total, completed=trainer.iteration)

    def __call__(self, iteration: int, metrics: Metrics) -> None:
        """One iteration more."""
        headline = self._built.headline(metrics)
        self._bar.update(self._task, completed=iteration, description=headline)
        line = self._built.report(metrics) if self._plain else ""
        if line:
            say(f"iteration {iteration}: {line} ({metrics['time/seconds']:.0f} s)")

    def __enter__(self) -> "Display":
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

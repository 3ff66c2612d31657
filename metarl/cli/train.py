"""``metarl train`` and ``metarl fewshot``."""

import sys
from dataclasses import fields
from pathlib import Path

from pydantic.dataclasses import dataclass

from metarl import runs
from metarl.cli.evaluate import print_evaluation
from metarl.cli.progress import Display, TasksDisplay, quiet, say
from metarl.configs import STRICT
from metarl.runs.config import FEWSHOT_SCHEDULE, DataProblem, EnvProblem, RunConfig, RunOptions
from metarl.training import Ending, Schedule, is_first


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NewRun(RunOptions):
    """What the command line adds to the options of a run."""

    output: Path = Path("runs")
    """Folder in which the run folder is made."""
    name: str | None = None
    """Start of the run folder's name, instead of learner, subject and seed."""
    quiet: bool = False
    """Print the run folder alone, once."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Train(NewRun):
    """Meta-train a policy; prints the run folder first and last."""

    problem: EnvProblem


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FewShot(NewRun):
    """Train a few-shot learner; prints the run folder first and last."""

    problem: DataProblem
    schedule: Schedule = FEWSHOT_SCHEDULE


def train(options: Train | FewShot) -> int:
    """Run ``metarl train`` or ``metarl fewshot``."""
    common = {entry.name: getattr(options, entry.name) for entry in fields(RunOptions)}
    config = RunConfig(problem=options.problem, **common)
    session = runs.start(
        config,
        runs.UserObjects(),
        output=options.output,
        name=options.name,
        say=quiet if options.quiet else say,
    )
    return run_session(session, show=not options.quiet)


def run_session(session: "runs.Session", *, show: bool) -> int:
    """Train, then evaluate what there is; the exit status.

    The folder is printed first, and after results last, too. Of several processes the first prints.

    Args:
        session: of the run.
        show: progress and results.
    """
    trainer, show = session.trainer, show and is_first()
    _print_folder(session)
    if show and session.built.opening:
        say(session.built.opening)
    display = Display(session, show)
    try:
        ending = session.train(display)
    finally:
        display.stop()
    if show:
        seconds = f"{trainer.seconds:.0f} s of training"
        best = f"best in validation: iteration {trainer.best['iteration']}"
        say(f"{ending.value} after {trainer.iteration} iterations, {seconds}; {best}")
    if show and ending in (Ending.TIME_LIMIT, Ending.INTERRUPTED):
        say(f"to go on: {session.resume_command}")
    with TasksDisplay(show) as tasks:
        evaluation = session.closing_evaluation(ending, tasks)
    if show and evaluation is not None:
        print_evaluation(evaluation)
    if show:
        _print_folder(session)
    return 130 if ending is Ending.INTERRUPTED else 0


def _print_folder(session: "runs.Session") -> None:
    if is_first():
        sys.stdout.write(f"{session.trainer.folder}\n")
        sys.stdout.flush()

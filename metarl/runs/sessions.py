"""Training sessions: a new run, or one that goes on."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from textwrap import indent
from warnings import warn

from metarl import training
from metarl.core import NoSecondDerivativeError
from metarl.files import FileError, NonFiniteError
from metarl.report.curves import adaptation_curve
from metarl.rl.device_memory import DeviceMemoryError
from metarl.runs.build import BUILDERS, Built
from metarl.runs.commands import command_of, command_on, run_name
from metarl.runs.config import (
    CODEC,
    EnvProblem,
    RunConfig,
    check_options,
    read_config,
)
from metarl.runs.dataset import DataSets
from metarl.runs.errors import InputError
from metarl.runs.evaluate import (
    ENDING,
    Evaluation,
    EvaluationOptions,
    snapshot_of,
    write_json,
)
from metarl.runs.hub import own_copy
from metarl.runs.initial_backbone import take_backbone
from metarl.runs.loading import load
from metarl.runs.run import Run
from metarl.runs.user_objects import UserObjects, with_workers
from metarl.training import DeviceName, Ending, Progress, Trainer, Writer
from metarl.training.run_folders import write_config
from metarl.training.writers import CSV_NAME, read_metrics
from metarl.types import TasksDone, unwatched

NUM_PICTURED_TASKS, NUM_PICTURED_TRAJECTORIES = 20, 20
"""Of pictures on the way; trajectories of each task and step."""


class Session:
    """One session of training in a run folder.

    Args:
        built: the problem with its learner.
        trainer: of the learner.
    """

    def __init__(self, built: Built, trainer: Trainer) -> None:
        self.built = built
        self.trainer = trainer

    def train(self, progress: Progress | None = None) -> Ending:
        """Train until the schedule, the clock or a signal ends it.

        Raises:
            InputError: the learner diverged, another process trains in the folder, or it cannot be
                written.
        """
        trainer = self.trainer
        try:
            ending = trainer.run(progress)
        except (training.FolderInUseError, NoSecondDerivativeError, DeviceMemoryError) as error:
            raise InputError(str(error)) from error
        except NonFiniteError as error:
            raise self._diverged(str(error)) from error
        except OSError as error:
            if not str(error.filename).startswith(str(trainer.folder)):
                raise
            raise InputError(
                f"{error.filename} cannot be written: {error.strerror}; once it can, "
                f"{self.resume_command} goes on from the newest checkpoint"
            ) from error
        if ending is Ending.DIVERGED:
            raise self._diverged("ten updates in a row had non-finite meta-gradients")
        return ending

    def _diverged(self, reason: str) -> InputError:
        return InputError(
            f"{reason}, so training stopped; the last good checkpoint is kept in "
            f"{self.trainer.folder / 'checkpoints'}; try a smaller step size (--lr, or --inner-lr "
            "of learners that have one)"
        )

    @property
    def resume_command(self) -> str:
        """What goes on with the run, in another session."""
        return command_on(self.trainer.folder, "resume", self.built.config)

    @property
    def newest_report(self) -> str:
        """What the newest evaluation of the run came to, as a person reads it; empty before one."""
        rows = read_metrics(self.trainer.folder / CSV_NAME)
        known = [row for row in rows if row["iteration"] <= self.trainer.iteration]
        return next(filter(None, map(self.built.report, reversed(known))), "")

    @property
    def run(self) -> Run:
        """The run as it is now."""
        trainer = self.trainer
        return Run(trainer.folder, self.built, trainer.iteration, trainer.seconds)

    def closing_evaluation(
        self, ending: Ending, progress: TasksDone = unwatched
    ) -> Evaluation | None:
        """The evaluation at the end, by the first process, unless the run goes on or wants none.

        What ended the run is then written to ``ending.json``.
        """
        if ending is Ending.INTERRUPTED or not training.is_first():
            return None
        run, tasks = self.run, self.built.config.eval_tasks
        evaluation = None
        if tasks != 0:
            evaluation = run.measure(EvaluationOptions(tasks=tasks), progress)
        ended = {"ending": ending.value, "iteration": run.iteration, "seconds": run.seconds}
        write_json(run.folder / ENDING, ended)
        return evaluation


def start(
    config: RunConfig,
    given: UserObjects,
    *,
    output: Path,
    name: str | None = None,
    folder: Path | None = None,
    writers: Sequence[Writer] | None = None,
    say: Callable[[str], None] = warn,
) -> Session:
    """A session of a new run.

    Args:
        config: of the run.
        given: what the config cannot hold.
        output: where the run folder is made.
        name: what its name starts with, instead of learner, subject and seed.
        folder: of a run that has not begun, instead of a new one.
        writers: where metrics go; ``metrics.csv`` and TensorBoard by default.
        say: called with one line when something is worth saying.

    Raises:
        InputError: the parts do not fit together, or the folder cannot be made.
    """
    if name is not None and Path(name).name != name:
        raise InputError(f"{name} must be the start of a folder's name, not a path", "name")
    check_options(config)
    training.join()
    say = training.once(say)
    built = BUILDERS[type(config.problem)](config, given, say)
    if isinstance(built, DataSets) and config.init_from is not None:
        take_backbone(built, Path(config.init_from), given, say)
    text = CODEC.dump_json(built.config, indent=2).decode()
    try:
        if folder is not None and training.is_first():
            write_config(folder, text)
        trainer = Trainer(
            built.learner,
            config.schedule,
            folder=folder,
            output=output,
            name=name or run_name(built.config, built.short_name),
            config=text,
            writers=standard_writers(built, say) if writers is None else writers,
            warn=say,
        )
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror}", "output") from error
    except FileError as error:
        raise InputError(str(error)) from error
    return Session(built, trainer)


def go_on(
    folder: Path,
    given: UserObjects,
    *,
    iterations: int | None = None,
    time_limit: float | None = None,
    patience: int | None = None,
    device: DeviceName | None = None,
    say: Callable[[str], None] = warn,
) -> Session:
    """A session that goes on from the newest good checkpoint, bit for bit on the CPU.

    A folder that holds a ``config.json`` alone is a run that has not begun, and begins. One on the
    hub goes on in a copy of its own under ``runs``.

    Args:
        folder: the run folder.
        given: what the config cannot hold.
        iterations: train to this many, instead of the run's own number.
        time_limit: seconds of training in this session.
        patience: evaluations in a row without a better one, instead of the run's own.
        device: instead of the run's own.
        say: called with one line when something is worth saying.

    Raises:
        InputError: it is no run folder, or has no usable checkpoint.
    """
    training.join()
    say = training.once(say)
    folder = own_copy(folder, Path("runs"))
    config = read_config(folder)
    planned = config.schedule
    schedule = replace(
        planned,
        iterations=iterations or planned.iterations,
        time_limit=time_limit,
        patience=patience or planned.patience,
    )
    if not (folder / "checkpoints").exists():
        problem = with_workers(config.problem, given)
        used = device or config.device
        begun = replace(config, problem=problem, schedule=schedule, device=used)
        return start(begun, given, output=folder.parent, folder=folder, say=say)
    run, checkpoint = load(folder, device, given, say, iterations)
    trainer = Trainer(
        run.learner,
        schedule,
        folder=folder,
        config=CODEC.dump_json(replace(run.config, schedule=schedule), indent=2).decode(),
        writers=standard_writers(run.built, say),
        warn=say,
    )
    trainer.load(checkpoint)
    return Session(run.built, trainer)


def standard_writers(built: Built, say: Callable[[str], None]) -> list[Writer]:
    """``metrics.csv`` and TensorBoard."""
    config = built.config
    texts = {
        "run/command": f"    {command_of(config)}",
        "run/config": indent(CODEC.dump_json(config, indent=2).decode(), "    "),
    }
    pictures = None
    if config.pictures_every:
        pictures = training.Pictures(config.pictures_every, partial(_snapshot, built))
    return [training.CSVWriter(say), training.TensorBoardWriter(built.films, pictures, texts)]


def _snapshot(built: Built) -> "training.Snapshot":
    """Of the first test tasks, which choose nothing."""
    by_trajectories = isinstance(built.config.problem, EnvProblem)
    trajectories = NUM_PICTURED_TRAJECTORIES if by_trajectories else None
    test = built.test(
        EvaluationOptions(tasks=NUM_PICTURED_TASKS, trajectories=trajectories), unwatched
    )
    return snapshot_of(test, adaptation_curve(test.adaptation.values, seed=0))

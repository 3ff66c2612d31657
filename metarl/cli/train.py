"""``metarl train`` and ``metarl resume``."""

import dataclasses
from dataclasses import fields, replace
from pathlib import Path
from typing import TypeVar

import tyro
from pydantic.dataclasses import dataclass

from metarl.cli.evaluate import Evaluate, evaluate
from metarl.cli.film import TrainingFilms
from metarl.cli.runs import create_folder, load_run, make_learner
from metarl.cli.session import make_trainer, run_session, say
from metarl.configs import STRICT
from metarl.rl import MAMLLearner
from metarl.runs.config import EnvProblem, RunConfig, RunOptions
from metarl.runs.errors import InputError
from metarl.sb3 import SB3Learner
from metarl.training import DeviceName, Films, Schedule, Trainer
from metarl.types import Metrics

ScheduleT = TypeVar("ScheduleT", bound=Schedule)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Train(RunOptions):
    """Meta-train a policy; prints the run folder first and last."""

    problem: EnvProblem
    output: Path = Path("runs")
    """Folder in which the run folder is made."""

    def run_config(self) -> RunConfig:
        """What the run folder keeps."""
        own = {f.name: getattr(self, f.name) for f in fields(RunOptions)}
        start = None if self.init_from is None else str(Path(self.init_from).resolve())
        return RunConfig(problem=self.problem, **{**own, "init_from": start})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resume:
    """Go on from the newest good checkpoint of a run, bit for bit on the CPU."""

    run: tyro.conf.Positional[Path]
    """The run folder."""
    iterations: int | None = None
    """Train to this many iterations in this session, instead of the run's own number."""
    time_limit: float | None = None
    """Seconds of training in this session."""
    device: DeviceName | None = None
    """Another device than the run's."""

    def __post_init__(self) -> None:
        if self.iterations is not None and self.iterations < 1:
            raise ValueError(f"iterations must be at least 1, got {self.iterations}")
        if self.time_limit is not None and not self.time_limit > 0:
            raise ValueError(f"time_limit must be above 0, got {self.time_limit}")

    def changed(self, schedule: ScheduleT) -> ScheduleT:
        """A run's schedule as this session changes it."""
        iterations = schedule.iterations if self.iterations is None else self.iterations
        return replace(schedule, iterations=iterations, time_limit=self.time_limit)


def train(options: Train) -> int:
    """Run ``metarl train``."""
    config = options.run_config()
    learner = make_learner(config)
    films = _films(config, learner)
    name = config.subject.split("/")[-1].split(":")[-1]
    stem = f"{config.learner}_{name}_seed{config.seed}"
    folder = create_folder(options.output, stem, config.to_json())
    return _run(make_trainer(learner, folder, config.schedule, config.to_json(), films))


def resume(options: Resume) -> int:
    """Run ``metarl resume`` for a policy."""
    run = load_run(options.run, options.device)
    for problem in run.problems:
        say(f"skipped: {problem}")
    config = replace(run.config, schedule=options.changed(run.config.schedule))
    films = _films(config, run.learner)
    trainer = make_trainer(run.learner, run.folder, config.schedule, config.to_json(), films)
    trainer.load(run.checkpoint)
    return _run(trainer)


def _films(config: RunConfig, learner: MAMLLearner | SB3Learner) -> Films | None:
    problem = config.problem
    assert isinstance(problem, EnvProblem)
    if not problem.video_every:
        return None
    if not isinstance(learner, MAMLLearner):
        raise InputError(f"--video-every is for learners by gradients, not for {config.learner}")
    return Films(problem.video_every, TrainingFilms(problem, learner, "--video-every", config.seed))


def _run(trainer: Trainer) -> int:
    return run_session(
        trainer,
        headline=_headline,
        report=_report,
        evaluate=lambda: evaluate(Evaluate(run=trainer.folder)),
    )


def _headline(metrics: Metrics) -> str:
    return f"return {metrics['rollout/return_pre']:.1f} -> {metrics['rollout/return_post']:.1f}"


def _report(metrics: Metrics) -> str:
    if "eval/return_post" not in metrics:
        return ""
    before, after = metrics["eval/return_pre"], metrics["eval/return_post"]
    return f"held-out return {before:.2f} -> {after:.2f}"

"""``metarl train`` and ``metarl resume``."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, TypeVar

import tyro

from metarl.cli.configs import (
    LEARNERS,
    Algorithm,
    PolicyConfig,
    RunConfig,
    SamplingConfig,
    subcommands,
)
from metarl.cli.errors import UserError, parse_json
from metarl.cli.evaluate import Evaluate, evaluate
from metarl.cli.film import TrainingFilms
from metarl.cli.runs import MAX_SEED, create_folder, load_run, make_learner
from metarl.cli.session import make_trainer, run_session, say
from metarl.rl import MAMLLearner
from metarl.sb3 import SB3Config, SB3Learner
from metarl.train import DeviceName, Films, Schedule, Trainer
from metarl.types import Metrics

ScheduleT = TypeVar("ScheduleT", bound=Schedule)


@dataclass(frozen=True, kw_only=True)
class Train:
    """Meta-train a policy; prints the run folder first and last."""

    learner: Annotated[Algorithm, tyro.conf.arg(constructor=subcommands(LEARNERS))]
    env: str
    """Id of a task family, see ``metarl envs``; ``module:Id`` imports the module first."""
    env_kwargs: str = "{}"
    """Options of the family as a JSON object."""
    seed: int = 0
    """Decides everything random in the run."""
    device: DeviceName = "auto"
    """Where the policy lives."""
    threads: int = 1
    """Threads torch may use; small policies are fastest with 1."""
    video_every: int = 0
    """Every n-th iteration, a video in TensorBoard of a held-out task before and after adaptation;
    0 for none."""
    init_from: Path | None = None
    """A policy.pt of metarl, or a .zip file of a PPO model of stable-baselines3, to start from."""
    output: Path = Path("runs")
    """Folder in which the run folder is made."""
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    schedule: Schedule = field(default_factory=Schedule)

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"seed must be within [0, {MAX_SEED}], got {self.seed}")
        if self.threads < 1:
            raise ValueError(f"threads must be at least 1, got {self.threads}")
        if (
            isinstance(self.learner, SB3Config)
            and self.policy.min_log_std != PolicyConfig.min_log_std
        ):
            raise ValueError("min_log_std is for learners by gradients: PPO has no floor")
        if self.video_every < 0:
            raise ValueError(f"video_every must be at least 0, got {self.video_every}")

    def run_config(self) -> RunConfig:
        """What the run folder keeps."""
        return RunConfig(
            learner=_name_of(self.learner),
            env=self.env,
            env_kwargs=parse_json("--env-kwargs", self.env_kwargs),
            seed=self.seed,
            device=self.device,
            threads=self.threads,
            algorithm=self.learner,
            policy=self.policy,
            sampling=self.sampling,
            schedule=self.schedule,
            video_every=self.video_every,
            init_from=None if self.init_from is None else str(self.init_from.resolve()),
        )


@dataclass(frozen=True, kw_only=True)
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
    name = config.env.split("/")[-1].split(":")[-1]
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
    if not config.video_every:
        return None
    if not isinstance(learner, MAMLLearner):
        raise UserError(f"--video-every is for learners by gradients, not for {config.learner}")
    return Films(config.video_every, TrainingFilms(config, learner, "--video-every"))


def _name_of(config: Algorithm) -> str:
    return next(name for name, (kind, _) in LEARNERS.items() if type(config) is kind)


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

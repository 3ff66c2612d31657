"""``metarl train`` and ``metarl resume``."""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import metarl
from metarl.cli.configs import LEARNERS, PolicyConfig, RunConfig, SamplingConfig
from metarl.cli.errors import UserError
from metarl.cli.evaluate import Evaluate, evaluate
from metarl.cli.runs import MAX_SEED, create_folder, load_run, make_learner, parse_json
from metarl.rl import MAMLConfig, MAMLTRPOConfig, MAMLVPGConfig
from metarl.train import DeviceName, Ending, Schedule, Trainer
from metarl.types import Metrics

LearnerChoice = (
    Annotated[MAMLTRPOConfig, tyro.conf.subcommand("maml-trpo")]
    | Annotated[MAMLVPGConfig, tyro.conf.subcommand("maml-vpg")]
)


@dataclass(frozen=True, kw_only=True)
class Train:
    """Meta-train a policy; prints the run folder first and last."""

    learner: LearnerChoice
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


def train(options: Train) -> int:
    """Run ``metarl train``."""
    config = options.run_config()
    learner = make_learner(config)
    folder = create_folder(options.output, config)
    trainer = _trainer(learner, folder, config)
    return _run(trainer, config)


def resume(options: Resume) -> int:
    """Run ``metarl resume``."""
    run = load_run(options.run, options.device)
    for problem in run.problems:
        _say(f"skipped: {problem}")
    schedule = replace(run.config.schedule, time_limit=options.time_limit)
    if options.iterations is not None:
        schedule = replace(schedule, iterations=options.iterations)
    config = replace(run.config, schedule=schedule)
    trainer = _trainer(run.learner, run.folder, config)
    trainer.load(run.checkpoint)
    return _run(trainer, config)


def _name_of(config: MAMLConfig) -> str:
    return next(name for name, (kind, _) in LEARNERS.items() if type(config) is kind)


def _say(line: str) -> None:
    sys.stderr.write(f"metarl: {line}\n")


def _trainer(learner: Any, folder: Path, config: RunConfig) -> Trainer[Any]:
    return Trainer(
        learner,
        folder,
        config.schedule,
        description={"metarl": metarl.__version__, "config": config.to_json()},
        warn=_say,
    )


def _run(trainer: Trainer[Any], config: RunConfig) -> int:
    """Train, then evaluate what there is; the exit status."""
    folder = trainer.folder
    sys.stdout.write(f"{folder}\n")
    sys.stdout.flush()
    with _Display(trainer, config.schedule.iterations) as display:
        ending = trainer.run(display)
    _say(
        f"{ending.value} after {trainer.iteration} iterations, {trainer.seconds:.0f} s of training"
    )
    if ending is Ending.DIVERGED:
        raise UserError(
            "ten updates in a row had non-finite meta-gradients, so training stopped; the last "
            f"good checkpoint is kept in {folder / 'checkpoints'}; try a smaller --inner-lr"
        )
    if ending is not Ending.INTERRUPTED:
        evaluate(Evaluate(run=folder))
    sys.stdout.write(f"{folder}\n")
    return 130 if ending is Ending.INTERRUPTED else 0


class _Display:
    """A progress bar on a terminal, a line now and then elsewhere; on stderr."""

    def __init__(self, trainer: Trainer[Any], iterations: int) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._plain = not console.is_terminal
        self._task = self._bar.add_task("", total=iterations, completed=trainer.iteration)

    def __call__(self, iteration: int, metrics: Metrics) -> None:
        before, after = metrics["rollout/return_pre"], metrics["rollout/return_post"]
        self._bar.update(
            self._task,
            completed=iteration,
            description=f"return {before:.1f} -> {after:.1f}",
        )
        if self._plain and "eval/return_post" in metrics:
            _say(
                f"iteration {iteration}: held-out return {metrics['eval/return_pre']:.2f} -> "
                f"{metrics['eval/return_post']:.2f} ({metrics['time/seconds']:.0f} s)"
            )

    def __enter__(self) -> "_Display":
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

"""``metarl fewshot``, and resuming its runs."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from metarl.cli.configs import subcommands
from metarl.cli.evaluate import Evaluate
from metarl.cli.fewshot_configs import (
    EpisodeConfig,
    FewShotRunConfig,
    FewShotSchedule,
)
from metarl.cli.fewshot_evaluate import evaluate_fewshot
from metarl.cli.fewshot_runs import (
    load_fewshot_run,
    make_run_learner,
    read_datasets,
    run_device,
    start_from,
)
from metarl.cli.runs import MAX_SEED, create_folder
from metarl.cli.session import make_trainer, run_session, say
from metarl.cli.train import Resume
from metarl.fewshot.build import FEWSHOT_LEARNERS, BackboneConfig
from metarl.fewshot.data.registry import DataConfig
from metarl.fewshot.learner import FewShotConfig
from metarl.train import DeviceName, Trainer
from metarl.types import Metrics


@dataclass(frozen=True, kw_only=True)
class FewShot:
    """Train a few-shot learner; prints the run folder first and last."""

    learner: Annotated[FewShotConfig, tyro.conf.arg(constructor=subcommands(FEWSHOT_LEARNERS))]
    data: DataConfig = field(default_factory=DataConfig)
    episodes: EpisodeConfig = field(default_factory=EpisodeConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    schedule: FewShotSchedule = field(default_factory=FewShotSchedule)
    init_from: Path | None = None
    """Run folder of any few-shot learner whose trained backbone this run starts from, instead of
    random weights."""
    seed: int = 0
    """Decides everything random in the run but the class splits."""
    device: DeviceName = "auto"
    """Where network and data live."""
    threads: int = 1
    """Threads torch may use; two runs of one thread are faster than one run of two."""
    output: Path = Path("runs")
    """Folder in which the run folder is made."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"seed must be within [0, {MAX_SEED}], got {self.seed}")
        if self.threads < 1:
            raise ValueError(f"threads must be at least 1, got {self.threads}")

    def run_config(self) -> FewShotRunConfig:
        """What the run folder keeps."""
        return FewShotRunConfig(
            learner=_name_of(self.learner),
            seed=self.seed,
            device=self.device,
            threads=self.threads,
            algorithm=self.learner,
            data=self.data,
            episodes=self.episodes,
            backbone=self.backbone,
            schedule=self.schedule,
            init_from=None if self.init_from is None else str(self.init_from),
        )


def fewshot(options: FewShot) -> int:
    """Run ``metarl fewshot``."""
    config = options.run_config()
    datasets = read_datasets(config.data, run_device(config))
    learner = make_run_learner(config, datasets)
    if options.init_from is not None:
        start_from(learner, config, options.init_from)
    episodes = config.episodes
    name = Path(config.data.data.partition(":")[0]).stem
    ways = f"{episodes.num_ways}w" if datasets else ""
    stem = f"{config.learner}_{name}-{ways}{episodes.num_shots}s_seed{config.seed}"
    folder = create_folder(options.output, stem, config.to_json())
    return _run(make_trainer(learner, folder, config.schedule, config.to_json()))


def resume_fewshot(options: Resume) -> int:
    """Run ``metarl resume`` for a few-shot run."""
    run = load_fewshot_run(options.run, options.device)
    for problem in run.problems:
        say(f"skipped: {problem}")
    config = replace(run.config, schedule=options.changed(run.config.schedule))
    # beyond the run's own number the step size would be 0
    run.learner.iterations = max(run.learner.iterations, config.schedule.iterations)
    trainer = make_trainer(run.learner, run.folder, config.schedule, config.to_json())
    trainer.load(run.checkpoint)
    return _run(trainer)


def _name_of(config: FewShotConfig) -> str:
    return next(name for name, (kind, _) in FEWSHOT_LEARNERS.items() if type(config) is kind)


def _run(trainer: Trainer) -> int:
    return run_session(
        trainer,
        headline=lambda metrics: f"loss {metrics['meta/loss']:.3f}",
        report=_report,
        evaluate=lambda: evaluate_fewshot(Evaluate(run=trainer.folder)),
    )


def _report(metrics: Metrics) -> str:
    return f"validation score {metrics['eval/score']:.4f}" if "eval/score" in metrics else ""

"""``metarl fewshot``, and resuming its runs."""

from dataclasses import fields, replace
from pathlib import Path

from pydantic.dataclasses import dataclass

from metarl.cli.evaluate import Evaluate
from metarl.cli.fewshot_evaluate import evaluate_fewshot
from metarl.cli.fewshot_runs import (
    load_fewshot_run,
    make_run_learner,
    read_datasets,
    run_device,
    start_from,
)
from metarl.cli.runs import create_folder
from metarl.cli.session import make_trainer, run_session, say
from metarl.cli.train import Resume
from metarl.configs import STRICT
from metarl.runs.config import FEWSHOT_SCHEDULE, DataProblem, RunConfig, RunOptions
from metarl.training import Schedule, Trainer
from metarl.types import Metrics


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FewShot(RunOptions):
    """Train a few-shot learner; prints the run folder first and last."""

    problem: DataProblem
    schedule: Schedule = FEWSHOT_SCHEDULE
    output: Path = Path("runs")
    """Folder in which the run folder is made."""

    def run_config(self) -> RunConfig:
        """What the run folder keeps."""
        own = {f.name: getattr(self, f.name) for f in fields(RunOptions)}
        return RunConfig(problem=self.problem, **own)


def fewshot(options: FewShot) -> int:
    """Run ``metarl fewshot``."""
    config = options.run_config()
    datasets = read_datasets(options.problem.data, run_device(config))
    learner = make_run_learner(config, datasets)
    if options.init_from is not None:
        start_from(learner, config, Path(options.init_from))
    episodes = options.problem.episodes
    name = Path(config.subject.partition(":")[0]).stem
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


def _run(trainer: Trainer) -> int:
    return run_session(
        trainer,
        headline=lambda metrics: f"loss {metrics['meta/loss']:.3f}",
        report=_report,
        evaluate=lambda: evaluate_fewshot(Evaluate(run=trainer.folder)),
    )


def _report(metrics: Metrics) -> str:
    return f"validation score {metrics['eval/score']:.4f}" if "eval/score" in metrics else ""

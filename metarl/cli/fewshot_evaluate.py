"""``metarl evaluate`` of a few-shot run: accuracy on test episodes, with an interval."""

from dataclasses import replace
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from metarl.cli.evaluate import Evaluate, write_json
from metarl.cli.fewshot_runs import FewShotRun, data_problem, load_fewshot_run, make_sampler
from metarl.fewshot.configs import EpisodeConfig
from metarl.fewshot.episodic_learner import generator_of
from metarl.report import AdaptationCurve, adaptation_curve, draw_adaptation
from metarl.runs.errors import InputError

NUM_EPISODES = 600  # what the field asks for at least
TEST_STREAM = 3


def evaluate_fewshot(options: Evaluate) -> int:
    """Run ``metarl evaluate`` for a few-shot run."""
    if options.inner_lr:
        raise InputError("--inner-lr is for policies; a few-shot run adapts with its own")
    if options.trajectories is not None:
        raise InputError("--trajectories is for policies; few-shot runs have --num-shots")
    run = load_fewshot_run(options.run, options.device, options.norm)
    episodes = _episodes(run, options)
    num_steps = run.learner.num_steps if options.steps is None else options.steps
    if num_steps and not run.learner.num_steps:
        raise InputError(f"--steps {num_steps}: {run.config.learner} does not adapt by steps")
    try:
        figures = run.learner.evaluate_on(
            make_sampler(run.datasets, "test", episodes),
            options.tasks or NUM_EPISODES,
            num_steps=num_steps,
            generator=generator_of(options.seed, TEST_STREAM),
        )
        curve = adaptation_curve(figures.double().numpy(), seed=options.seed)
    except ValueError as error:
        raise InputError(str(error)) from error
    record = _record(run, episodes, curve, options.seed)
    write_json(run.folder / "evaluation.json", record)
    if options.json is not None:
        write_json(options.json, record)
    _show(run, episodes, curve, options.seed)
    return 0


def _episodes(run: FewShotRun, options: Evaluate) -> EpisodeConfig:
    """The run's test episodes, as the options change them."""
    asked = {
        "num_ways": options.num_ways,
        "num_shots": options.num_shots,
        "num_queries": options.num_queries,
    }
    if data_problem(run.config).episodes.sampling == "variable" and any(asked.values()):
        raise InputError(
            "--num-ways, --num-shots and --num-queries: this run draws them anew for every episode "
            "(--sampling variable)"
        )
    given: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    try:
        return replace(data_problem(run.config).episodes, **given)
    except ValueError as error:
        raise InputError(f"--{str(error).replace('_', '-', 1)}") from error


def _record(
    run: FewShotRun, episodes: EpisodeConfig, curve: AdaptationCurve, seed: int
) -> dict[str, Any]:
    """What ``evaluation.json`` holds."""
    config = run.config
    return {
        "env": config.subject,
        "learner": config.learner,
        "seed": seed,
        "num_tasks": curve.values.shape[1],
        "steps": _steps(run, curve),
        ("accuracy" if run.datasets else "mse"): curve.values.tolist(),
        "mean": curve.mean.tolist(),
        "iqm": curve.iqm.tolist(),
        "ci95": curve.ci95.tolist(),
        "iqm_ci95": curve.iqm_ci95.tolist(),
        "env_steps": 0,
        "num_ways": episodes.num_ways if run.datasets else None,
        "num_shots": episodes.num_shots,
        "num_queries": episodes.num_queries,
        "sampling": episodes.sampling,
        "norm": config.problem.algorithm.norm,
        "training_seed": config.seed,
        "iteration": run.checkpoint["iteration"],
        "hours": run.checkpoint["seconds"] / 3600,
    }


def _steps(run: FewShotRun, curve: AdaptationCurve) -> list[int]:
    return list(range(curve.num_steps + 1))


def _show(run: FewShotRun, episodes: EpisodeConfig, curve: AdaptationCurve, seed: int) -> None:
    """The table, and the picture where there are steps."""
    config = run.config
    console = Console(width=None if Console().is_terminal else 100)
    setting = f"{episodes.num_shots}-shot"
    if run.datasets:
        ways = "variable-way" if episodes.sampling == "variable" else f"{episodes.num_ways}-way"
        shots = "variable-shot" if episodes.sampling == "variable" else setting
        setting = f"{ways} {shots}"
    title = (
        f"{config.learner} on {config.subject}, {setting}: "
        f"{curve.values.shape[1]} test episodes, "
        f"batch norm {config.problem.algorithm.norm}, seeds {config.seed} (training) and {seed} (test)"
    )
    figure, factor = ("accuracy, %", 100.0) if run.datasets else ("squared error", 1.0)
    table = Table(title=Text(title))
    for column in ("steps", figure, "95 % interval"):
        table.add_column(column, justify="right")
    for step, (mean, bounds) in enumerate(zip(curve.mean, curve.ci95, strict=True)):
        low, high = np.asarray(bounds) * factor
        table.add_row(str(step), f"{mean * factor:.2f}", f"[{low:.2f}, {high:.2f}]")
    console.print(table)
    if curve.num_steps:
        picture = run.folder / "adaptation.png"
        draw_adaptation(picture, curve, title=title, label=figure)
        console.print(f"picture: {picture}", soft_wrap=True, markup=False)

"""``metarl evaluate``: the adaptation curve of a run on held-out tasks."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from metarl.cli.runs import MAX_SEED, Run, load_run, make_sampler
from metarl.cli.trials import keep_embeddings, run_paths
from metarl.report import AdaptationCurve, Paths, adaptation_curve, draw_adaptation
from metarl.rl import Experience, MAMLLearner, Sampler
from metarl.runs.config import EnvProblem
from metarl.runs.errors import InputError
from metarl.sb3 import ProtoEmbedding, SB3Learner
from metarl.train import DeviceName

NONE_HELD_OUT = "tasks (this family holds none out)"
NUM_PATHS = 3  # trajectories drawn of a task
NUM_TASKS = 40
NUM_STEPS = 3
NUM_TRAJECTORIES = 40


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure adaptation on held-out tasks: table, evaluation.json and adaptation.png."""

    run: tyro.conf.Positional[Path]
    """The run folder."""
    tasks: int | None = None
    """Held-out tasks; 40, and 600 episodes of a few-shot run, by default."""
    steps: int | None = None
    """Gradient steps, or trajectories where adaptation is without; more than in training are
    allowed. 3, and a few-shot run's own."""
    trajectories: int | None = None
    """Policies: trajectories a task and step, or trials a task; 40 by default, as the MAML authors
    have."""
    num_ways: Annotated[int | None, tyro.conf.arg(aliases=["--ways"])] = None
    """Few-shot: ways of the test episodes, the run's own by default."""
    num_shots: Annotated[int | None, tyro.conf.arg(aliases=["--shots"])] = None
    """Few-shot: shots of the test episodes."""
    num_queries: Annotated[int | None, tyro.conf.arg(aliases=["--queries"])] = None
    """Few-shot: queries a class of the test episodes."""
    norm: Literal["transductive", "inductive"] | None = None
    """Few-shot: batch statistics of the query set, the run's own mode by default."""
    inner_lr: tuple[float, ...] = ()
    """Policies: one step size a step; by default the run's own, halved beyond the trained steps."""
    seed: int = 0
    """Draws the tasks, the noise and the bootstrap."""
    json: Path | None = None
    """Write the figures to this file too."""
    device: DeviceName | None = None
    """Another device than the run's."""

    def __post_init__(self) -> None:
        if self.tasks is not None and self.tasks < 2:
            raise ValueError(f"tasks must be at least 2 for an interval, got {self.tasks}")
        if self.steps is not None and self.steps < 0:
            raise ValueError(f"steps must be at least 0, got {self.steps}")
        if self.trajectories is not None and self.trajectories < 1:
            raise ValueError(f"trajectories must be at least 1, got {self.trajectories}")
        steps = NUM_STEPS if self.steps is None else self.steps
        if self.inner_lr and len(self.inner_lr) != steps:
            raise ValueError(
                f"inner_lr needs one step size a step ({steps}), got {len(self.inner_lr)}"
            )
        if not all(0 <= step_size < math.inf for step_size in self.inner_lr):
            raise ValueError(f"inner_lr must be finite and at least 0, got {self.inner_lr}")
        if not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"seed must be within [0, {MAX_SEED}], got {self.seed}")


def evaluate(options: Evaluate) -> int:
    """Run ``metarl evaluate`` for a policy."""
    if any((options.num_ways, options.num_shots, options.num_queries, options.norm)):
        raise InputError("--num-ways, --num-shots, --num-queries and --norm are for few-shot runs")
    num_steps = NUM_STEPS if options.steps is None else options.steps
    console = Console(width=None if Console().is_terminal else 100)
    run = load_run(options.run, options.device)
    if isinstance(run.learner, MAMLLearner):
        measured = _by_gradients(run.config.problem, run.learner, options, num_steps)
    else:
        measured = _by_trajectories(run, run.learner, options, num_steps)
    try:
        curve = adaptation_curve(measured.returns, seed=options.seed)
    except ValueError as error:
        raise InputError(str(error)) from error

    figures = {
        **_figures(run, curve, options.seed),
        "tasks": [
            {name: np.asarray(value).tolist() for name, value in task.items()}
            for task in measured.tasks
        ],
        "held_out": measured.disjoint,
        "trajectories": options.trajectories or NUM_TRAJECTORIES,
        "iteration": run.checkpoint["iteration"],
        "hours": run.checkpoint["seconds"] / 3600,
        **measured.figures,
    }
    picture = run.folder / "adaptation.png"
    write_json(run.folder / "evaluation.json", figures)
    if options.json is not None:
        write_json(options.json, figures)
    title = f"{run.config.learner} on {run.config.subject}: {_kind_of_tasks(run.learner, measured)}"
    draw_adaptation(picture, curve, title=title, paths=measured.paths, steps=measured.unit)
    print_curve(console, curve, title, measured.unit)
    for drawn in (picture, *measured.pictures):
        console.print(f"picture: {drawn}", soft_wrap=True, markup=False)
    return 0


class _Measured(NamedTuple):
    """Adaptation to M tasks."""

    returns: NDArray[np.float64]
    """Mean return of every task after 0..K steps, ``[K + 1, M]``."""
    unit: str
    """What a step is."""
    tasks: list[dict[str, Any]]
    disjoint: bool
    paths: list[Paths] | None
    figures: dict[str, Any]
    """What else evaluation.json tells."""
    pictures: Sequence[Path] = ()
    """Drawn beside that of the curve."""


def _kind_of_tasks(learner: MAMLLearner | SB3Learner, measured: _Measured) -> str:
    """What the tasks of an evaluation are, and how many."""
    num = len(measured.tasks)
    if isinstance(learner, SB3Learner) and learner.collection.tasks is not None:
        return f"its one task, {num} times"
    return f"{num} " + ("held-out tasks" if measured.disjoint else NONE_HELD_OUT)


def _by_gradients(
    config: EnvProblem, learner: MAMLLearner, options: Evaluate, num_steps: int
) -> _Measured:
    num_trajectories = options.trajectories or NUM_TRAJECTORIES
    num_tasks = options.tasks or NUM_TASKS
    sampler = make_sampler(config, num_tasks=num_tasks, num_trajectories=num_trajectories)
    rng = np.random.default_rng(options.seed)
    sampler.draw_tasks(rng, "held_out")
    sizes = list(options.inner_lr) or learner.step_sizes(num_steps)
    noise = torch.Generator().manual_seed(options.seed)
    experience, _ = learner.adapt(sampler, sizes, rng, noise)
    return _Measured(
        experience.returns().cpu().double().numpy(),
        "gradient steps",
        list(sampler.env.get_attr("task")[::num_trajectories]),
        bool(sampler.env.get_attr("task_distribution")[0].disjoint),
        planar_paths(sampler, experience),
        {"inner_lr": None if any(isinstance(size, Mapping) for size in sizes) else sizes},
    )


def _by_trajectories(
    kept: Run, learner: SB3Learner, options: Evaluate, num_steps: int
) -> _Measured:
    if options.inner_lr:
        raise InputError("--inner-lr is for learners by gradients; this run adapts without")
    run = learner.run_trials(
        options.tasks or NUM_TASKS,
        options.trajectories or NUM_TRAJECTORIES,
        num_steps + 1,
        seed=options.seed,
        keep_transitions=True,
    )
    pictures = []
    if isinstance(learner, ProtoEmbedding):
        pictures.append(keep_embeddings(kept.folder, kept.checkpoint["iteration"], learner, run))
    return _Measured(
        run.returns,
        "trajectories",
        run.tasks,
        run.disjoint,
        run_paths(run),
        learner.figures(run),
        pictures,
    )


def write_json(path: Path, figures: dict[str, Any]) -> None:
    """Write figures, or say in one line why not."""
    try:
        path.write_text(json.dumps(figures, indent=2) + "\n")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error


def print_curve(
    console: Console, curve: AdaptationCurve, title: str, unit: str = "gradient steps"
) -> None:
    """The adaptation table."""
    table = Table(title=Text(title))
    for column in (unit, "mean return", "95 % interval", "IQM", "95 % interval of IQM"):
        table.add_column(column, justify="right")
    rows = zip(curve.mean, curve.ci95, curve.iqm, curve.iqm_ci95, strict=True)
    for step, (mean, interval, iqm, iqm_interval) in enumerate(rows):
        table.add_row(
            str(step), f"{mean:.2f}", _interval(interval), f"{iqm:.2f}", _interval(iqm_interval)
        )
    console.print(table)


def planar_paths(sampler: Sampler, experience: Experience) -> list[Paths] | None:
    """Paths before and after adaptation, where observations and goals are points of the plane."""
    tasks = sampler.env.get_attr("task")[:: sampler.num_trajectories]
    observation_shape = sampler.env.single_observation_space.shape
    if observation_shape != (2,) or np.shape(tasks[0].get("goal")) != (2,):
        return None
    first, last = experience.rollouts[0], experience.rollouts[-1]
    returns = experience.returns()

    def ways(index: int, rollout: Any) -> list[Any]:
        observations, mask = rollout.observations[index].cpu(), rollout.mask[index].cpu()
        shown = range(min(NUM_PATHS, mask.shape[1]))
        return [observations[mask[:, e], e].numpy() for e in shown]

    return [
        Paths(
            goal=task["goal"],
            before=ways(index, first),
            after=ways(index, last),
            title=f"{float(returns[0, index]):.1f} → {float(returns[-1, index]):.1f}",
        )
        for index, task in enumerate(tasks[:6])
    ]


def _figures(run: Run, curve: AdaptationCurve, seed: int) -> dict[str, Any]:
    """The contract's part of ``evaluation.json``."""
    return {
        "env": run.config.subject,
        "learner": run.config.learner,
        "seed": seed,
        "num_tasks": curve.values.shape[1],
        "steps": list(range(curve.num_steps + 1)),
        "returns": curve.values.tolist(),
        "mean": curve.mean.tolist(),
        "iqm": curve.iqm.tolist(),
        "ci95": curve.ci95.tolist(),
        "iqm_ci95": curve.iqm_ci95.tolist(),
        "env_steps": run.learner.env_steps,
    }


def _interval(bounds: Any) -> str:
    return f"[{bounds[0]:.2f}, {bounds[1]:.2f}]"

"""The adaptation curve of a run on tasks that it was not trained on, and what is kept of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from pydantic.dataclasses import dataclass as config_dataclass

from metarl import report, training
from metarl.configs import STRICT, Count, Natural, NonNegative, NumTasks, Seed
from metarl.fewshot.configs import NormMode, Ways
from metarl.fewshot.heads.configs import HeadName
from metarl.files import replacing
from metarl.report.curves import AdaptationCurve, adaptation_curve
from metarl.runs.errors import InputError, written
from metarl.runs.json_option import JsonObject
from metarl.types import Adaptation, Metrics, Task

NUM_TASKS, NUM_TRAJECTORIES, NUM_STEPS = 40, 40, 3  # the MAML authors' protocol
NUM_EPISODES = 600  # what the field asks for at least
NUM_EMBEDDED = 5  # trials shown of a task


@config_dataclass(frozen=True, kw_only=True, config=STRICT)
class EvaluationOptions:
    """How a run is evaluated."""

    tasks: NumTasks | None = None
    """Held-out tasks; 40, and 600 episodes of a few-shot run, by default."""
    steps: Natural | None = None
    """Gradient steps, or trajectories where adaptation is without; more than in training are
    allowed. 3, and a few-shot run's own."""
    trajectories: Count | None = None
    """Policies: trajectories a task and step, or trials a task; 40 by default, as the MAML authors
    have."""
    num_ways: Annotated[Ways | None, tyro.conf.arg(aliases=["--ways"])] = None
    """Few-shot: ways of the test episodes, the run's own by default."""
    num_shots: Annotated[Count | None, tyro.conf.arg(aliases=["--shots"])] = None
    """Few-shot: shots of the test episodes."""
    num_queries: Annotated[Count | None, tyro.conf.arg(aliases=["--queries"])] = None
    """Few-shot: queries a class of the test episodes."""
    norm: NormMode | None = None
    """Few-shot: batch statistics of the query set, the run's own mode by default."""
    head: HeadName | None = None
    """Few-shot: classify by this head on the run's features, not the learner's own rule."""
    head_options: JsonObject | None = None
    """Few-shot: options of the head as JSON, such as '{"num_steps": 100}'."""
    inner_lr: tuple[NonNegative, ...] = ()
    """Policies: one step size a step; by default the run's own, halved beyond the trained steps."""
    seed: Seed = 0
    """Draws the tasks, the noise and the bootstrap."""

    def __post_init__(self) -> None:
        steps = NUM_STEPS if self.steps is None else self.steps
        if self.inner_lr and len(self.inner_lr) != steps:
            raise ValueError(
                f"inner_lr needs one step size a step ({steps}), got {len(self.inner_lr)}"
            )


@dataclass(frozen=True, kw_only=True)
class Test:
    """What a run was tested on, and how it did."""

    adaptation: Adaptation[Any]
    title: str
    """Of table and picture."""
    record: Mapping[str, Any]
    """What ``evaluation.json`` tells beside the figures."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """An adaptation curve with all that is known of it."""

    test: Test
    curve: AdaptationCurve
    record: dict[str, Any]
    """The content of ``evaluation.json``."""
    pictures: tuple[Path, ...]


ENDING = "ending.json"
"""In a run folder: what ended its last session that was not interrupted, and at which iteration."""
MEASURES = {"returns": "mean return", "accuracy": "accuracy", "mse": "squared error"}
"""What figures are, as a person reads it."""


def figures_of(curve: AdaptationCurve, adaptation: Adaptation[Any], seed: int) -> dict[str, Any]:
    """The contract's part of ``evaluation.json``."""
    return {
        "seed": seed,
        "num_tasks": curve.values.shape[1],
        "steps": list(range(curve.num_steps + 1)),
        adaptation.measure: curve.values.tolist(),
        "mean": curve.mean.tolist(),
        "iqm": curve.iqm.tolist(),
        "ci95": curve.ci95.tolist(),
        "iqm_ci95": curve.iqm_ci95.tolist(),
        **{
            f"{name}{suffix}": values
            for name, told in outcomes_of(adaptation, seed).items()
            for suffix, values in (
                ("", told.values.tolist()),
                ("_mean", told.mean.tolist()),
                ("_ci95", told.ci95.tolist()),
            )
        },
    }


def outcomes_of(adaptation: Adaptation[Any], seed: int) -> dict[str, AdaptationCurve]:
    """Curves of what environments told, by name; of what every task told after every step."""
    return {
        name: adaptation_curve(values, seed=seed)
        for name, values in adaptation.outcomes.items()
        if np.isfinite(values).all()
    }


def draw(
    folder: Path, iteration: int, test: Test, snapshot: "training.Snapshot"
) -> tuple[Path, ...]:
    """Keep the picture of the curve, and draw prototypes where there are any."""
    pictures = []
    if snapshot.png is not None:
        pictures.append(folder / "adaptation.png")
        with replacing(pictures[0]) as file:
            file.write(snapshot.png)
    if test.adaptation.embeddings is not None:
        pictures.append(_keep_embeddings(folder, iteration, test.adaptation))
    return tuple(pictures)


def snapshot_of(test: Test, curve: AdaptationCurve) -> "training.Snapshot":
    """How tasks adapt, for TensorBoard; a picture of it where there are steps."""
    adaptation, png = test.adaptation, None
    if curve.num_steps:
        png = report.draw_adaptation(
            curve,
            title=test.title,
            paths=planar_paths(adaptation),
            steps=adaptation.unit,
            label=MEASURES[adaptation.measure],
        )
    return training.Snapshot(png, curve.values[0], curve.values[-1])


def final_scores(curve: AdaptationCurve, measure: str, num_steps: int) -> Metrics:
    """What runs are sorted by, named and meant as in training.

    Args:
        curve: of the evaluation.
        measure: what its figures are.
        num_steps: of adaptation, after which evaluations in training look.
    """
    before = float(curve.mean[0])
    after = float(curve.mean[min(num_steps, curve.num_steps)])
    if measure == "returns":
        return {"eval/return_pre": before, "eval/return_post": after}
    return {"eval/score": after} | ({"eval/score_pre": before} if curve.num_steps else {})


def planar_paths(adaptation: Adaptation[Any]) -> "list[report.Paths] | None":
    """Paths before and after adaptation, where observations and goals are points of the plane."""
    if not adaptation.paths or adaptation.paths[0][0][0].shape[1:] != (2,):
        return None
    goals = [np.asarray(task.get("goal", ())) for task in adaptation.tasks]
    if goals[0].shape != (2,):
        return None
    first, last = adaptation.values[0], adaptation.values[-1]
    return [
        report.Paths(
            goal=goals[index],
            before=list(before),
            after=list(after),
            title=f"{first[index]:.1f} → {last[index]:.1f}",
        )
        for index, (before, after) in enumerate(adaptation.paths)
    ]


def _keep_embeddings(folder: Path, iteration: int, adaptation: Adaptation[Any]) -> Path:
    """Show prototypes after one trajectory in TensorBoard's projector and in a picture."""
    assert adaptation.embeddings is not None
    prototypes = adaptation.embeddings[:, :NUM_EMBEDDED]
    names = _parameter_names(adaptation.tasks[0])
    vectors = [np.concatenate([np.ravel(v) for v in task.values()]) for task in adaptation.tasks]
    parameters = np.asarray(vectors, np.float32).repeat(prototypes.shape[1], 0)
    points = prototypes.reshape(len(parameters), -1)
    rows = [
        [str(index // prototypes.shape[1]), *(f"{value:.4g}" for value in row)]
        for index, row in enumerate(parameters)
    ]
    training.write_embedding(folder, iteration, points, ["task", *names], rows)
    picture = folder / "embedding.png"
    title = "prototypes of held-out tasks, one trajectory"
    report.draw_embedding(picture, points, parameters, names, title=title)
    return picture


def _parameter_names(task: Task) -> list[str]:
    return [
        name if np.ndim(value) == 0 else f"{name}[{i}]"
        for name, value in task.items()
        for i in range(np.size(value))
    ]


def ends_of(metrics: Metrics, group: str) -> tuple[float, float]:
    """Returns before and after adaptation, or of the first and last trajectory of trials."""
    kinds = ("pre", "post"), ("first", "last")
    names = next(names for names in kinds if f"{group}/return_{names[0]}" in metrics)
    before, after = (metrics[f"{group}/return_{name}"] for name in names)
    return before, after


def write_json(path: Path, figures: Mapping[str, Any]) -> None:
    """Write figures, or say in one line why not."""
    try:
        text = json.dumps(figures, indent=2, allow_nan=False)
    except ValueError as error:  # NaN is no JSON, and a mean of it says nothing
        raise InputError(f"{path} is not written: a figure is not finite") from error
    with written(path), replacing(path) as file:
        file.write(f"{text}\n".encode())


def make_folders(**folders: Path | None) -> None:
    """Make the folders of what will be written, by the option that names each."""
    for option, folder in folders.items():
        if folder is not None:
            with written(folder, option):
                folder.mkdir(parents=True, exist_ok=True)

"""Several runs beside one another: which go together, which are not comparable, what differs.

Runs of one environment (or data set) and one configuration are a *group*: their seeds. Learners,
and configurations of one learner, are groups beside one another. Everything is read from the
folders: ``config.json``, ``evaluation.json`` and ``metrics.csv``; no environment is made.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl.report.comparison import Aggregate, Improvement, aggregate, improvement
from metarl.runs.config import CODEC, RunConfig, read_config
from metarl.runs.errors import InputError
from metarl.runs.evaluate import MEASURES
from metarl.training.writers import CSV_NAME

Array = NDArray[np.float64]
Settings = dict[str, Any]
"""A config by the names of its entries, dots between."""

NOT_SETTINGS = (
    "seed",
    "device",
    "threads",
    "eval_tasks",
    "schedule.time_limit",
    "schedule.checkpoint_every",
    "schedule.eval_every",
    "pictures_every",
    "problem.workers",
    "problem.video_every",
    "problem.engine",
    "problem.data.data_root",
    "problem.data.download",
)
"""What decides no result, or only by rounding; and the seed, over which figures are aggregated."""
PROTOCOL = (
    "num_tasks",
    "held_out",
    "seed",
    "trajectories",
    "num_ways",
    "num_shots",
    "num_queries",
    "sampling",
    "norm",
    "tasks",
)
"""Entries of ``evaluation.json`` that must be the same where figures are compared."""
PROBLEM = ("problem.env_kwargs", "problem.trained_on.horizon", "problem.data")
"""Starts of the names of settings that must be, too: the physics and the horizon, or the data."""
LEARNING_CURVES = ("eval/return_post", "eval/return_last", "eval/score")
"""Columns of ``metrics.csv`` that say how good a run was along its training."""


@dataclass(frozen=True, kw_only=True)
class RunFigures:
    """What a run folder tells of a run."""

    folder: Path
    config: RunConfig
    evaluation: dict[str, Any]
    """Its ``evaluation.json``."""

    @cached_property
    def settings(self) -> Settings:
        """What decides the run but for its seed."""
        flat = dict(_flattened(CODEC.dump_python(self.config, mode="json"), ""))
        return {name: value for name, value in flat.items() if not name.startswith(NOT_SETTINGS)}

    @property
    def measure(self) -> str:
        """``returns``, ``accuracy`` or ``mse``."""
        return next(name for name in MEASURES if name in self.evaluation)

    @property
    def values(self) -> Array:
        """Figures after every step of every task, ``[K + 1, T]``."""
        return np.asarray(self.evaluation[self.measure], np.float64)

    @cached_property
    def learning_curve(self) -> tuple[Array, Array]:
        """Environment steps (iterations, where there are none) and scores of its evaluations."""
        path = self.folder / CSV_NAME
        if not path.is_file():
            return np.empty(0), np.empty(0)
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        column = next((name for name in LEARNING_CURVES if rows and name in rows[0]), "")
        at = "rollout/env_steps" if rows and "rollout/env_steps" in rows[0] else "iteration"
        points = [(row[at], row[column]) for row in rows if column and row[column]]
        x, y = np.asarray(points or np.empty((0, 2)), np.float64).T
        return x, y


def read_figures(folder: Path) -> RunFigures:
    """Read a run folder.

    Raises:
        InputError: it is none, or was not evaluated.
    """
    config, path = read_config(folder), folder / "evaluation.json"
    if not path.is_file():
        raise InputError(f"{folder} has no evaluation.json: `metarl evaluate {folder}` makes it")
    try:
        evaluation = json.loads(path.read_bytes())
        figures = RunFigures(folder=folder, config=config, evaluation=evaluation)
        shape = figures.values.shape
    except (ValueError, TypeError, StopIteration) as error:
        raise InputError(f"{path} is damaged: `metarl evaluate {folder}` makes it anew") from error
    if len(shape) != 2 or shape[1] < 2:
        raise InputError(f"{path} holds no figures of two tasks or more, but {shape}")
    return figures


def _flattened(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flattened(inner, f"{name}.{key}" if name else key)
    else:
        yield name, value


@dataclass(frozen=True, kw_only=True)
class Group:
    """Runs of one configuration, a seed each."""

    label: str
    """Learner, and what differs from others of that learner."""
    runs: Sequence[RunFigures]

    @property
    def measure(self) -> str:
        """``returns``, ``accuracy`` or ``mse``."""
        return self.runs[0].measure

    @property
    def num_steps(self) -> int:
        """K, adaptation steps (or trajectories) that were measured."""
        return len(self.runs[0].values) - 1

    @property
    def unit(self) -> str:
        """What a step is."""
        by_gradients = self.measure != "returns" or "inner_lr" in self.runs[0].evaluation
        return "gradient steps" if by_gradients else "trajectories"

    def figures(self, step: int) -> Array:
        """Of every seed and task after a step, ``[S, T]``."""
        return np.stack([run.values[step] for run in self.runs])

    @cached_property
    def aggregates(self) -> list[Aggregate]:
        """After 0..K steps."""
        return [aggregate(self.figures(step)) for step in range(self.num_steps + 1)]

    @property
    def env_steps(self) -> float:
        """Environment steps of training, mean over seeds."""
        return float(np.mean([run.evaluation["env_steps"] for run in self.runs]))

    @property
    def hours(self) -> float:
        """Of training, mean over seeds."""
        return float(np.mean([run.evaluation["hours"] for run in self.runs]))

    @property
    def scores(self) -> Array:
        """Figures after the last step ``[S, T]``, the higher the better."""
        return self.figures(-1) * (-1 if self.measure == "mse" else 1)


@dataclass(frozen=True, kw_only=True)
class Section:
    """Groups of one environment or data set, which are compared with one another."""

    subject: str
    groups: Sequence[Group]
    differing: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Settings of at least two groups that are not the same in all: what each has, as JSON; empty
    where it has no such setting."""

    @cached_property
    def improvements(self) -> dict[tuple[str, str], Improvement]:
        """Of every two groups, by their labels."""
        return {
            (one.label, other.label): improvement(one.scores, other.scores)
            for one, other in combinations(self.groups, 2)
        }


def compared(folders: Sequence[Path]) -> list[Section]:
    """Sections of the runs in some folders, by environment.

    Raises:
        InputError: runs are not comparable, with the name of what differs.
    """
    if not folders:
        raise InputError("give at least one run folder to compare")
    runs = [read_figures(folder) for folder in dict.fromkeys(map(Path, folders))]
    return [
        _section(subject, [run for run in runs if run.config.subject == subject])
        for subject in dict.fromkeys(run.config.subject for run in runs)
    ]


def _section(subject: str, runs: list[RunFigures]) -> Section:
    for other in runs[1:]:
        _check_comparable(runs[0], other)
    by_settings: dict[str, list[RunFigures]] = {}
    for run in runs:
        by_settings.setdefault(json.dumps(run.settings, sort_keys=True), []).append(run)
    grouped = list(by_settings.values())
    for seeds in grouped:
        _check_seeds(seeds)
    labels = _labels([seeds[0] for seeds in grouped])
    groups = [Group(label=name, runs=seeds) for name, seeds in zip(labels, grouped, strict=True)]
    return Section(
        subject=subject, groups=groups, differing=_differing([g[0].settings for g in grouped])
    )


def _check_comparable(first: RunFigures, other: RunFigures) -> None:
    """Raise unless figures of both are of the same problem by the same protocol."""
    names = {*first.settings, *other.settings}
    problem = sorted(name for name in names if name.startswith(PROBLEM))
    sides = [
        *((name, first.settings.get(name), other.settings.get(name)) for name in problem),
        *((name, first.evaluation.get(name), other.evaluation.get(name)) for name in PROTOCOL),
        ("measure", first.measure, other.measure),
    ]
    for name, one, two in sides:
        if one != two:
            raise InputError(
                f"{first.folder} and {other.folder} are not comparable: "
                f"{name.removeprefix('problem.')} {_difference(one, two)}"
            )


def _difference(one: Any, two: Any) -> str:
    if isinstance(one, list) and isinstance(two, list):
        return "are not the same: evaluate both with the same tasks and seed"
    return f"is {one} in the one and {two} in the other"


def _check_seeds(runs: Sequence[RunFigures]) -> None:
    """Raise unless runs of one configuration are of different seeds, equally long."""
    for place, run in enumerate(runs[1:], start=1):
        for before in runs[:place]:
            if run.config.seed == before.config.seed:
                raise InputError(
                    f"{before.folder} and {run.folder} are of the same configuration and seed "
                    f"{run.config.seed}: give one of them"
                )
        if run.evaluation["iteration"] != runs[0].evaluation["iteration"]:
            reached = [which.evaluation["iteration"] for which in (runs[0], run)]
            raise InputError(
                f"{runs[0].folder} and {run.folder} are seeds of one configuration, evaluated "
                f"after {reached[0]} and {reached[1]} iterations: train both as long"
            )
        if len(run.values) != len(runs[0].values):
            raise InputError(
                f"{runs[0].folder} and {run.folder} are seeds of one configuration, evaluated "
                f"after {len(runs[0].values) - 1} and {len(run.values) - 1} steps: use one --steps"
            )


def _differing(settings: Sequence[Settings]) -> dict[str, list[str]]:
    names = dict.fromkeys(name for each in settings for name in each)
    found = {
        name: [json.dumps(each[name]) if name in each else "" for each in settings]
        for name in names
    }
    return {
        name: values
        for name, values in found.items()
        if len(set(values)) > 1 and sum(value != "" for value in values) > 1
    }


def _labels(runs: Sequence[RunFigures]) -> list[str]:
    """The learner of each, with what differs among those of that learner."""
    labels = []
    for run in runs:
        same = [other.settings for other in runs if other.config.learner == run.config.learner]
        own = [
            f"{name.rpartition('.')[2]}={json.dumps(run.settings[name])}"
            for name in _differing(same)
            if name in run.settings and not name.startswith("problem.trained_on")
        ]
        labels.append(" ".join([run.config.learner, *own]))
    return labels

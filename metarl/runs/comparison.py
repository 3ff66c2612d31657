"""Several runs beside one another: which go together, which are not comparable, what differs.

Runs of one environment (or data set) and one configuration are a *group*: their seeds. Learners,
and configurations of one learner, are groups beside one another. Everything is read from the
folders: ``config.json``, ``evaluation.json`` and ``metrics.csv``; no environment is made.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from metarl.report.comparison import Aggregate, Improvement, aggregate, improvement
from metarl.runs.commands import command_on
from metarl.runs.errors import InputError
from metarl.runs.run_figures import Array, RunFigures, Settings, read_figures

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
    "transductive",
    "tasks",
)
"""Entries of ``evaluation.json`` that must be the same where figures are compared."""
EVALUATE_ALIKE = "; `metarl evaluate RUN`, with the same options for both, makes their figures anew"
UNTOLD = {"transductive": False}
"""What those say that older files do not have."""
PROBLEM = ("problem.env_kwargs", "problem.trained_on.horizon", "problem.data")
"""Starts of the names of settings that must be, too: the physics and the horizon, or the data."""


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
        """What a step is; nothing of what does not adapt."""
        if not self.num_steps:
            return ""
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
    """Settings that groups which have them do not agree on: what each has, as JSON; empty where it
    has no such setting."""

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
        *((name, _told(first, name), _told(other, name)) for name in PROTOCOL),
        ("measure", first.measure, other.measure),
    ]
    for name, one, two in sides:
        if one != two:
            raise InputError(
                f"{first.folder} and {other.folder} are not comparable: "
                f"{name.removeprefix('problem.')} {_difference(one, two)}"
                f"{EVALUATE_ALIKE if name in PROTOCOL else ''}"
            )


def _told(run: RunFigures, name: str) -> Any:
    return run.evaluation.get(name, UNTOLD.get(name))


def _difference(one: Any, two: Any) -> str:
    if isinstance(one, list) and isinstance(two, list):
        return "are not the same"
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
                f"after {len(runs[0].values) - 1} and {len(run.values) - 1} steps: "
                f"`{command_on(run.folder, 'evaluate', run.config)} --steps "
                f"{len(runs[0].values) - 1}` evaluates the second like the first"
            )


def _differing(settings: Sequence[Settings]) -> dict[str, list[str]]:
    names = dict.fromkeys(name for each in settings for name in each)
    found = {
        name: [json.dumps(each[name]) if name in each else "" for each in settings]
        for name in names
    }
    return {name: values for name, values in found.items() if len({*values} - {""}) > 1}


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
        head = [f"head={run.head}"] if run.head else []
        labels.append(" ".join([run.config.learner, *head, *own]))
    return labels

"""What a run folder tells of a run, read without making it: settings, figures, learning curve."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl.runs.commands import command_of, command_on
from metarl.runs.config import CODEC, NO_SETTINGS, RunConfig, read_config
from metarl.runs.errors import InputError
from metarl.runs.evaluate import MEASURES
from metarl.runs.hub import local_folder
from metarl.training.writers import CSV_NAME, read_metrics

Array = NDArray[np.float64]
Settings = dict[str, Any]
"""A config by the names of its entries, dots between."""

NEEDED = ("iteration", "env_steps", "hours")
"""Entries of ``evaluation.json`` beside the figures."""
WHOLE = ("env_kwargs", "engine_kwargs")
"""Options that are settings as they are, not each of their entries."""
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
        settings = {name: value for name, value in flat.items() if _is_setting(name)}
        settings["schedule.iterations"] = max(self.planned, self.reached)
        if self.head:
            settings |= {"head": self.head} | dict(
                _flattened(self.evaluation.get("head_options", {}), "head_options")
            )
        return settings

    @property
    def planned(self) -> int:
        """Iterations that it was begun for."""
        return self.config.schedule.iterations

    @property
    def reached(self) -> int:
        """Iterations after which it was evaluated; more than planned where it was resumed so."""
        return int(self.evaluation["iteration"])

    @property
    def commands(self) -> list[str]:
        """What makes it anew."""
        first = command_of(self.config)
        if self.reached <= self.planned:
            return [first]
        again = command_on(self.folder, "resume", self.config)
        return [first, f"{again} --iterations {self.reached}"]

    @property
    def head(self) -> str:
        """What was measured instead of a few-shot learner's own rule, with that it is transductive.

        Empty where nothing was.
        """
        head = str(self.evaluation.get("head", "own"))
        transductive = " (transductive)" if self.evaluation.get("transductive") else ""
        return "" if head == "own" else head + transductive

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
        rows = read_metrics(self.folder / CSV_NAME)
        column = next((name for name in LEARNING_CURVES for row in rows if name in row), "")
        found = [row for row in rows if column in row]
        at = (
            "rollout/env_steps" if all("rollout/env_steps" in row for row in found) else "iteration"
        )
        return np.array([row[at] for row in found]), np.array([row[column] for row in found])


def read_figures(folder: Path) -> RunFigures:
    """Read a run folder.

    Raises:
        InputError: it is none, or was not evaluated.
    """
    folder = local_folder(folder)
    config, path = read_config(folder), folder / "evaluation.json"
    making = command_on(folder, "evaluate", config)
    if not path.is_file():
        raise InputError(f"{folder} has no evaluation.json: `{making}` makes it")
    try:
        evaluation = json.loads(path.read_bytes())
        figures = RunFigures(folder=folder, config=config, evaluation=evaluation)
        shape = figures.values.shape
        if missing := [name for name in NEEDED if name not in evaluation]:
            raise ValueError(f"it lacks {', '.join(missing)}")
    except (ValueError, TypeError, StopIteration) as error:
        raise InputError(f"{path} is damaged: `{making}` makes it anew") from error
    if len(shape) != 2 or shape[1] < 2:
        raise InputError(f"{path} holds no figures of two tasks or more, but {shape}")
    return figures


def _is_setting(name: str) -> bool:
    """Whether an entry decides results; the seed is what figures are aggregated over."""
    if name.startswith("problem.trained_on."):  # names in there are the data's
        return True
    return name.rpartition(".")[2] not in (*NO_SETTINGS, "seed")


def _flattened(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value and not name.endswith(WHOLE):
        for key, inner in value.items():
            yield from _flattened(inner, f"{name}.{key}" if name else key)
    else:
        yield name, value

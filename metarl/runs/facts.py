"""What a run was trained on, as plain data in its config, so that nothing is made to know it."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from metarl.configs import STRICT, Count
from metarl.fewshot import Dataset, Source, Split

Bounds = tuple[float | None, ...]
"""A number for every element of a shape, or one for all; None where there is no bound."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SpaceFacts:
    """A Box or Discrete space."""

    kind: Literal["box", "discrete"]
    shape: tuple[int, ...] = ()
    dtype: str = "float32"
    low: Bounds = ()
    high: Bounds = ()
    n: int = 0
    start: int = 0

    def space(self) -> spaces.Box | spaces.Discrete[Any]:
        """The space."""
        if self.kind == "discrete":
            return spaces.Discrete(self.n, start=self.start)
        dtype: Any = np.dtype(self.dtype)
        low, high = (
            np.array([missing if b is None else b for b in bounds], dtype)
            for bounds, missing in ((self.low, -np.inf), (self.high, np.inf))
        )
        return spaces.Box(_wide(low, self.shape), _wide(high, self.shape), self.shape, dtype)


def _wide(bounds: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    return np.broadcast_to(bounds if len(bounds) == 1 else bounds.reshape(shape), shape)


def facts_of(space: spaces.Space[Any]) -> SpaceFacts:
    """A space as plain data; :class:`ValueError` if it is neither Box nor Discrete."""
    if isinstance(space, spaces.Discrete):
        return SpaceFacts(kind="discrete", n=int(space.n), start=int(space.start))
    if not isinstance(space, spaces.Box):
        raise ValueError(f"need a Box or Discrete space, got {space}")
    return SpaceFacts(
        kind="box",
        shape=space.shape,
        dtype=str(space.dtype),
        low=_plain(space.low),
        high=_plain(space.high),
    )


def _plain(bounds: NDArray[Any]) -> Bounds:
    values = np.unique(bounds) if len(np.unique(bounds)) == 1 else bounds.ravel()
    return tuple(float(value) if np.isfinite(value) else None for value in values)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EnvFacts:
    """A task family as a run saw it."""

    observation_space: SpaceFacts
    """Of one environment, with the task where that is shown."""
    action_space: SpaceFacts
    task_space: dict[str, SpaceFacts]
    horizon: Count
    """Longest trajectory."""
    own: bool = False
    """Whether the environment was given as a function or an object, which no file can hold."""
    own_network: str = ""
    """The class of the policy's network, where that was the user's own."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ClassFacts:
    """The classes of one part of a data set."""

    names: tuple[str, ...]
    counts: tuple[int, ...]
    """Examples of each."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DataFacts:
    """Data sets as a run saw them; none of the sinusoid."""

    shape: tuple[int, ...]
    """Of one example."""
    classes: dict[str, dict[Split, ClassFacts]]
    """By name of the data set and part."""


def data_facts(datasets: Sequence[Dataset], shape: tuple[int, ...]) -> DataFacts:
    """What data sets hold, as plain data."""
    splits: tuple[Split, ...] = get_args(Split)
    return DataFacts(
        shape=shape,
        classes={
            dataset.name: {split: _classes(dataset.split(split)) for split in splits}
            for dataset in datasets
        },
    )


def _classes(source: Source) -> ClassFacts:
    return ClassFacts(names=tuple(source.class_names), counts=tuple(source.counts.tolist()))

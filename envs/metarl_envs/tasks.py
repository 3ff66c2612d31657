"""Task distributions: what a task may be, and how train and held-out tasks are drawn.

A task is a ``dict[str, np.ndarray]`` that fits a ``gymnasium.spaces.Dict``. A *batch* of tasks is
the same dict with a leading axis. A distribution draws from one of two **disjoint** parts:

* ``train``: what meta-training sees;
* ``held_out``: what evaluation sees, never drawn in training.

A continuous distribution is cut in the space of its uniforms, ten cells a dimension, of which a
fifth are held out in a lattice pattern: each row and column of cells loses an equal share, so both
parts keep the marginals and every held-out cell lies among train cells. ``Choice`` holds out the
values whose indices it is told. With none, as with a ``Uniform`` that holds nothing out, both parts
are all of it and ``disjoint`` is False.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from metarl_envs.task_spaces import Finite, Simplex

Task = dict[str, NDArray[Any]]
"""One task, or a batch of them with a leading axis."""

Split = Literal["train", "held_out"]

CELLS = 10  # cells a dimension of the unit cube
HELD_OUT_PERIOD = 5  # one cell in five is held out
HELD_OUT_COLOUR = 2  # not 0: the extreme cells of a one-dimensional distribution are train cells


class Distribution(ABC):
    """A distribution over one entry of a task."""

    space: spaces.Box
    """Every value the entry may take; wider than the distribution where that makes sense."""

    disjoint: bool = True
    """Whether the train and held-out parts share no value."""

    @abstractmethod
    def sample(self, rng: np.random.Generator, num: int, split: Split) -> NDArray[Any]:
        """Draw ``num`` values ``[num, *space.shape]`` of one part.

        The first ones do not depend on ``num``: 5 draws of a seed begin 40 draws of that seed.
        """


class _Continuous(Distribution):
    """A distribution given by a map from the unit cube, cut into train and held-out cells."""

    num_uniforms: int

    @abstractmethod
    def transform(self, uniforms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Uniforms ``[num, num_uniforms]`` in [0, 1) to values ``[num, *space.shape]``."""

    def _check_cells(self) -> None:
        """Raise a :class:`ValueError` where held-out cells have the values of train cells."""
        starts = np.arange(CELLS)[:, None] / CELLS
        values = self.transform(np.broadcast_to(starts, (CELLS, self.num_uniforms)))
        if self.disjoint and (np.diff(values, axis=0) == 0).any():
            kind = type(self).__name__
            raise ValueError(f"{kind} is too narrow for its train and held-out parts to differ")

    def sample(self, rng: np.random.Generator, num: int, split: Split) -> NDArray[np.float64]:
        """Draw ``num`` values of one part by rejection in the unit cube."""
        accepted = np.empty((0, self.num_uniforms))
        while len(accepted) < num:
            drawn = rng.random((2 * HELD_OUT_PERIOD * num, self.num_uniforms))
            fits = is_held_out(drawn) == (split == "held_out") if self.disjoint else slice(None)
            accepted = np.concatenate([accepted, drawn[fits]])
        return self.transform(accepted[:num])


def is_held_out(uniforms: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points ``[num, d]`` of the unit cube fall in held-out cells.

    Cell (i_1, ..., i_d) is held out where (1·i_1 + 2·i_2 + ... + d·i_d) mod 5 is 2, each weight
    taken so that it is never a multiple of 5.
    """
    cells = np.floor(uniforms * CELLS).astype(np.int64)
    weights = np.arange(uniforms.shape[1]) % (HELD_OUT_PERIOD - 1) + 1
    held_out: NDArray[np.bool_] = (cells @ weights) % HELD_OUT_PERIOD == HELD_OUT_COLOUR
    return held_out


class Uniform(_Continuous):
    """Independent uniforms between ``low`` and ``high``, elementwise.

    Args:
        low: lower bounds, any shape.
        high: upper bounds, of the same shape or a number.
        hold_out: hold cells out. Without, both parts are all of it.
    """

    def __init__(self, low: ArrayLike, high: ArrayLike, *, hold_out: bool = True) -> None:
        self.disjoint = hold_out
        self.low, self.high = np.broadcast_arrays(np.asarray(low, float), np.asarray(high, float))
        if not (self.low < self.high).all():
            bounds = f"low={self.low.tolist()}, high={self.high.tolist()}"
            raise ValueError(f"Uniform needs low < high, got {bounds}")
        self.num_uniforms = self.low.size
        self.space = _box(self.low, self.high)
        self._check_cells()

    def transform(self, uniforms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Stretch the unit cube."""
        values = uniforms.reshape(-1, *self.low.shape)
        return np.asarray(self.low + (self.high - self.low) * values, np.float64)


class LogUniform(_Continuous):
    """Independent ``base ** U(low, high)``, elementwise.

    The rand-params families draw their multipliers from it.

    Args:
        low: lower exponents, any shape.
        high: upper exponents, of the same shape or a number.
        base: positive base.
    """

    def __init__(self, low: ArrayLike, high: ArrayLike, base: float = np.e) -> None:
        if base <= 0:
            raise ValueError(f"LogUniform needs a positive base, got {base}")
        self.exponents = Uniform(low, high)
        self.base = base
        self.num_uniforms = self.exponents.num_uniforms
        bounds = np.stack([base**self.exponents.low, base**self.exponents.high])
        self.space = _box(bounds.min(0), bounds.max(0))
        self._check_cells()

    def transform(self, uniforms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Raise the base to uniform exponents."""
        return np.asarray(self.base ** self.exponents.transform(uniforms), np.float64)


class Normal(_Continuous):
    """Independent normals, elementwise.

    Args:
        mean: means, any shape.
        std: standard deviations, of the same shape or a number.
    """

    def __init__(self, mean: ArrayLike, std: ArrayLike) -> None:
        self.mean, self.std = np.broadcast_arrays(np.asarray(mean, float), np.asarray(std, float))
        if not (self.std > 0).all():
            raise ValueError(f"Normal needs positive std, got {self.std.tolist()}")
        self.num_uniforms = self.mean.size
        self.space = Finite(self.mean.shape)
        self._check_cells()

    def transform(self, uniforms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Quantiles: one uniform a number, so that cells of the cube are cells of the values."""
        quantile = np.vectorize(NormalDist().inv_cdf, otypes=[np.float64])
        positive = np.maximum(uniforms, 2.0**-54)  # half of the least positive draw
        values = quantile(positive).reshape(-1, *self.mean.shape)
        return np.asarray(self.mean + self.std * values, np.float64)


class Dirichlet(_Continuous):
    """Independent rows of probabilities, each uniform over the simplex: all concentrations are 1.

    Of what is left of 1, entry j of K takes the share 1 - U^(1/(K-j)), the last one the rest. K - 1
    uniforms a row and K - 1 free numbers correspond one to one; normalised exponentials would lead
    from train and held-out cells to the same row.

    Args:
        shape: of the values; rows are along the last axis, of at least 2 entries.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        if not shape or shape[-1] < 2:
            raise ValueError(f"Dirichlet needs at least 2 entries in the last axis, got {shape}")
        self.space = Simplex(shape)
        self._free = (*shape[:-1], shape[-1] - 1)
        self.num_uniforms = int(np.prod(self._free))

    def transform(self, uniforms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Break the stick."""
        powers = 1.0 / np.arange(self._free[-1], 0, -1)
        left = np.cumprod((1.0 - uniforms.reshape(-1, *self._free)) ** powers, axis=-1)
        return -np.diff(left, axis=-1, prepend=1.0, append=0.0)


class Disk(_Continuous):
    """Uniform over the plane disk of a radius around the origin: radius·sqrt(U), angle U(0, 2π)."""

    def __init__(self, radius: float) -> None:
        if radius <= 0:
            raise ValueError(f"Disk needs a positive radius, got {radius}")
        self.radius = radius
        self.num_uniforms = 2
        self.space = spaces.Box(-radius, radius, (2,), dtype=np.float64)

    def transform(self, uniforms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Polar coordinates with area-preserving radius."""
        radius, angle = self.radius * np.sqrt(uniforms[:, 0]), 2 * np.pi * uniforms[:, 1]
        return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


class Choice(Distribution):
    """Uniform over a finite list of values.

    Args:
        values: the values, ``[num_values, *shape]``.
        held_out: indices of the held-out values. With none, both parts are all the values.
        space: where a given task may lie; by default the box around the values.

    Raises:
        ValueError: no values, indices that are none of theirs, or of all of them.
    """

    def __init__(
        self, values: ArrayLike, held_out: Sequence[int] = (), space: spaces.Box | None = None
    ) -> None:
        self.values = np.asarray(values, float)
        if self.values.ndim < 1 or len(self.values) == 0:
            raise ValueError("Choice needs at least one value")
        chosen = _held_out(len(self.values), held_out)
        if chosen.all():
            raise ValueError("Choice needs at least one value that is not held out")
        self.disjoint = bool(chosen.any())
        train = self.values[~chosen]
        for value in self.values[chosen]:
            if (train == value).reshape(len(train), -1).all(1).any():
                both = f"{value.tolist()} is among the held-out values and among the others, too"
                raise ValueError(f"Choice: {both}")
        self._parts = {"train": train, "held_out": self.values[chosen] if self.disjoint else train}
        self.space = space or _box(self.values.min(0), self.values.max(0))

    def sample(self, rng: np.random.Generator, num: int, split: Split) -> NDArray[Any]:
        """Draw ``num`` train values with replacement, or go round the held-out ones.

        Every held-out value is drawn equally often, give or take one, so that an evaluation of
        enough tasks covers them all.
        """
        part = self._parts[split]
        if split == "held_out":
            return part[rng.permutation(len(part))[np.arange(num) % len(part)]]
        return part[rng.integers(len(part), size=num)]


def _held_out(num: int, indices: Sequence[int]) -> NDArray[np.bool_]:
    """Which of so many values have one of these indices."""
    given = np.asarray(indices)
    whole = given.ndim == 1 and (given.dtype.kind in "iu" or not given.size)
    if not whole or not all(0 <= index < num for index in given):
        wanted = f"indices of values, whole numbers from 0 to {num - 1}"
        raise ValueError(f"Choice: held_out must be a list of {wanted}, got {indices!r}")
    chosen = np.zeros(num, bool)
    chosen[given.astype(int)] = True
    return chosen


class Product:
    """A task distribution: independent entries by name.

    >>> goals = Product({"goal": Uniform([-0.5, -0.5], 0.5)})
    >>> goals.sample(np.random.default_rng(0), 3, "held_out")["goal"].shape
    (3, 2)
    """

    def __init__(self, parts: Mapping[str, Distribution]) -> None:
        self.parts = dict(parts)
        self.space = spaces.Dict({name: part.space for name, part in self.parts.items()})

    @property
    def disjoint(self) -> bool:
        """Whether train and held-out tasks differ in at least one entry, always."""
        return any(part.disjoint for part in self.parts.values())

    def sample(self, rng: np.random.Generator, num: int, split: Split = "train") -> Task:
        """Draw a batch of ``num`` tasks; a held-out task is held out in every entry.

        The first ones do not depend on ``num``, for every entry has a generator of its own.
        """
        own = [np.random.default_rng(seed) for seed in rng.integers(2**63, size=len(self.parts))]
        each = zip(self.parts.items(), own, strict=True)
        return {name: part.sample(rng, num, split) for (name, part), rng in each}


def unstack(tasks: Task) -> list[Task]:
    """A batch of tasks as a list of single tasks."""
    num = len(next(iter(tasks.values())))
    return [{name: values[i] for name, values in tasks.items()} for i in range(num)]


def _box(low: ArrayLike, high: ArrayLike) -> spaces.Box:
    # the shape is given because Box makes a number's box (1,) where its values are ()
    low, high = np.asarray(low), np.asarray(high)
    return spaces.Box(low, high, low.shape, dtype=np.float64)

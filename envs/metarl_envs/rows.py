"""Random numbers of which every row of a batch has its own sequence."""

from collections.abc import Sequence
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

# SplitMix64 (Steele, Lea and Flood 2014): number i of a row is a hash of its start + i · GOLDEN
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


class Random(Protocol):
    """What families draw from: a NumPy generator, or :class:`RowRandom`, a sequence a row.

    The first axis of every size are the environments.
    """

    def random(self, size: tuple[int, ...], /) -> Array:
        """Uniform over [0, 1)."""
        ...

    def uniform(self, low: float, high: float, size: tuple[int, ...], /) -> Array:
        """Uniform between ``low`` and ``high``."""
        ...

    def standard_normal(self, size: tuple[int, ...], /) -> Array:
        """Standard normals."""
        ...


class RowRandom:
    """A sequence of random numbers for every row: the same whatever the other rows are and do.

    Args:
        seeds: one a row, at least 0.

    >>> RowRandom([5, 7]).random((2, 3))[1] == RowRandom([7]).random((1, 3))[0]
    array([ True,  True,  True])
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self._state = _hashed(_hashed(np.array(seeds, np.uint64) + GOLDEN))  # [rows]
        self._rows: Any = slice(None)

    def of(self, rows: NDArray[np.bool_]) -> "RowRandom":
        """The sequences of some rows, which go on where they are."""
        chosen = RowRandom([])
        chosen._state, chosen._rows = self._state, rows
        return chosen

    def restart(self, rows: NDArray[np.bool_], seeds: Sequence[int]) -> None:
        """Give some rows new seeds."""
        self._state[rows] = RowRandom(seeds)._state

    def random(self, size: tuple[int, ...], /) -> Array:
        """Uniform over [0, 1), ``[rows, ...]``."""
        counts = np.arange(1, prod(size[1:]) + 1, dtype=np.uint64) * GOLDEN
        states = self._state[self._rows, None] + counts
        if len(counts):
            self._state[self._rows] = states[:, -1]
        numbers: Array = np.ldexp(_hashed(states) >> np.uint64(11), -53)
        return numbers.reshape(size)

    def uniform(self, low: ArrayLike, high: ArrayLike, size: tuple[int, ...], /) -> Array:
        """Uniform between ``low`` and ``high``, ``[rows, ...]``."""
        low = np.asarray(low, np.float64)
        return np.asarray(low + (np.asarray(high) - low) * self.random(size))

    def standard_normal(self, size: tuple[int, ...], /) -> Array:
        """Standard normals ``[rows, ...]``, two uniforms each (Box and Muller 1958)."""
        first, second = np.moveaxis(self.random((*size, 2)), -1, 0)
        return np.asarray(np.sqrt(-2.0 * np.log1p(-first)) * np.cos(2 * np.pi * second))


def _hashed(states: NDArray[np.uint64]) -> NDArray[np.uint64]:
    for shift, factor in zip((30, 27), _FACTORS, strict=True):
        states = (states ^ (states >> np.uint64(shift))) * factor
    return states ^ (states >> np.uint64(31))

"""Random numbers of which every row of a batch has its own sequence.

:class:`RowRandom` draws NumPy arrays, :class:`DeviceRowRandom` the same numbers as tensors.
"""

from collections.abc import Sequence
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metarl_envs.arrays import Array, Arrays

# SplitMix64 (Steele, Lea and Flood 2014): number i of a row is a hash of its start + i · GOLDEN
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


class Random(Protocol):
    """What families draw from: a NumPy generator, or a sequence a row.

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
        numbers: NDArray[np.float64] = np.ldexp(_hashed(states) >> np.uint64(11), -53)
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


class DeviceRowRandom:
    """:class:`RowRandom` in tensor operations: the same numbers, where the seeds are.

    Numbers are computed in float64 and then rounded to the type of ``arrays``. The state is one
    tensor, written in place, so that draws can be captured in a CUDA graph.

    Args:
        arrays: what numbers to make.
        seeds: int64 ``[rows]``, at least 0.
    """

    def __init__(self, arrays: Arrays, seeds: Array) -> None:
        self._arrays = arrays
        self._state = _hashed_signed(_hashed_signed(seeds + _signed(GOLDEN)))
        # below 1 in every type, as random promises, where a number next to 1 would be rounded up
        self._highest = 1.0 - float(arrays.xp.finfo(arrays.dtype).eps) / 2

    def take(self, other: "DeviceRowRandom", rows: Array) -> None:
        """Go on with the other's sequences in some rows, bool ``[rows]``."""
        self._state[...] = self._arrays.xp.where(rows, other._state, self._state)

    def random(self, size: tuple[int, ...], /) -> Array:
        """Uniform over [0, 1), ``[rows, ...]``."""
        return self._rounded(self._uniforms(size)).clip(max=self._highest)

    def uniform(self, low: float, high: float, size: tuple[int, ...], /) -> Array:
        """Uniform between ``low`` and ``high``, ``[rows, ...]``."""
        return self._rounded(low + (high - low) * self._uniforms(size))

    def standard_normal(self, size: tuple[int, ...], /) -> Array:
        """Standard normals ``[rows, ...]``."""
        xp, pairs = self._arrays.xp, self._uniforms((*size, 2))
        radius = xp.sqrt(-2.0 * xp.log1p(-pairs[..., 0]))
        return self._rounded(radius * xp.cos(2 * np.pi * pairs[..., 1]))

    def _uniforms(self, size: tuple[int, ...]) -> Array:
        xp, num = self._arrays.xp, prod(size[1:])
        counts = xp.arange(1, num + 1, dtype=xp.int64, device=self._state.device)
        bits = _shifted(_hashed_signed(self._state[:, None] + counts * _signed(GOLDEN)), 11)
        self._state += _signed(num * int(GOLDEN))
        return (xp.asarray(bits, dtype=xp.float64) * 2.0**-53).reshape(size)

    def _rounded(self, numbers: Array) -> Array:
        return self._arrays.xp.asarray(numbers, dtype=self._arrays.dtype)


def _hashed_signed(states: Array) -> Array:
    """:func:`_hashed` of int64, for tensors have no unsigned arithmetic of 64 bits."""
    for shift, factor in zip((30, 27), _FACTORS, strict=True):
        states = (states ^ _shifted(states, shift)) * _signed(factor)
    return states ^ _shifted(states, 31)


def _shifted(states: Array, num: int) -> Array:
    """Shift to the right, zeros coming in where int64 would repeat its sign."""
    return (states >> num) & (2 ** (64 - num) - 1)


def _signed(number: int | np.uint64) -> int:
    """A number modulo 2^64, as int64 has it."""
    return (int(number) + 2**63) % 2**64 - 2**63

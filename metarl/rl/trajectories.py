"""Trajectories as facts, whoever made them: a simulator, an environment, a robot or a file.

Adaptation to recorded data starts here. ``docs/trajectories.md`` describes the file.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from metarl.files import FileError, one_error, replacing
from metarl.npz import array_names, read_npz
from metarl.rl.task_envs import are_numbers

NEEDED = ("lengths", "observations", "rewards", "terminated", "truncated")
ACTIONS = ("raw_actions", "actions")
OF_STEPS = ("rewards", *ACTIONS, "log_probs")
TOLERANCE = 1e-5
"""Beyond a bound, in units of the range: what rounding to single precision does."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Trajectories:
    """N trajectories of S steps in all, one behind the other.

    Raises:
        ValueError: shapes disagree, something is no number, or there are no actions.

    >>> steps = {"rewards": [0.0, 1.0, 2.0], "actions": [[0.5], [0.2], [-1.0]]}
    >>> ends = {"terminated": [True, False], "truncated": [False, True]}
    >>> found = Trajectories(lengths=[2, 1], observations=np.zeros((5, 4)), **steps, **ends)
    >>> len(found), found.returns().tolist()
    (2, [1.0, 2.0])
    """

    lengths: NDArray[np.int64]
    """Steps of each trajectory, ``[N]``, at least 1."""
    observations: NDArray[Any]
    """``[S + N, *shape]``: of each trajectory one more than it has steps, the last one too."""
    rewards: NDArray[Any]
    """``[S]``."""
    terminated: NDArray[np.bool_]
    """Whether the task ended the trajectory, ``[N]``."""
    truncated: NDArray[np.bool_]
    """Whether a time limit did, ``[N]``. Where neither did, the recording ended: also a limit."""
    raw_actions: NDArray[Any] | None = None
    """As the policy emitted them, before scaling and clipping, ``[S, A]``; indices ``[S, 1]`` of
    discrete ones."""
    actions: NDArray[Any] | None = None
    """As the environment took them, ``[S, A]``; of discrete ones ``[S]``."""
    log_probs: NDArray[Any] | None = None
    """log π(a|s) of the raw actions, by the policy that drew them, ``[S]``."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if value is not None:
                object.__setattr__(self, entry.name, _numbers(entry.name, value))
        if self.raw_actions is None and self.actions is None:
            raise ValueError("needs actions or raw_actions, and has neither")
        if self.lengths.ndim != 1 or not self.lengths.size or self.lengths.min() < 1:
            raise ValueError("lengths must be the steps of each trajectory, [N], all at least 1")
        self._check_rows()
        for name in ("observations", *OF_STEPS):
            self._check_finite(name)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def num_steps(self) -> int:
        """S."""
        return int(self.lengths.sum())

    @property
    def trajectory(self) -> NDArray[np.int64]:
        """Number of the trajectory of every step, ``[S]``."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def time(self) -> NDArray[np.int64]:
        """Number of every step within its trajectory, ``[S]``."""
        return np.arange(self.num_steps) - (self.lengths.cumsum() - self.lengths)[self.trajectory]

    @property
    def first_rows(self) -> NDArray[np.int64]:
        """Of each trajectory among the observations, ``[N]``."""
        return self.lengths.cumsum() - self.lengths + np.arange(len(self))

    def returns(self) -> NDArray[np.float64]:
        """Undiscounted return of every trajectory, ``[N]``."""
        found = np.zeros(len(self))
        np.add.at(found, self.trajectory, self.rewards)
        return found

    def before(self) -> NDArray[Any]:
        """The observation that every step was taken at, ``[S, *shape]``."""
        return np.take(self.observations, self.first_rows[self.trajectory] + self.time, 0)

    def after(self) -> NDArray[Any]:
        """The observation that every step led to, ``[S, *shape]``."""
        return np.take(self.observations, self.first_rows[self.trajectory] + self.time + 1, 0)

    def final(self) -> NDArray[Any]:
        """The observation that every trajectory led to, ``[N, *shape]``."""
        return np.take(self.observations, self.first_rows + self.lengths, 0)

    def check_spaces(self, seen: spaces.Space[Any], acted: spaces.Space[Any]) -> None:
        """Compare them with the spaces of an environment.

        Args:
            seen: a Box of observations.
            acted: Box, Discrete, MultiDiscrete or MultiBinary.

        Raises:
            ValueError: an observation or an action has another shape, or lies outside.
        """
        if isinstance(seen, spaces.Box):
            self._check_shape("observations", seen.shape)
            self._check_within("observations", seen.low, seen.high)
        low, high = action_bounds(acted)
        self._check_shape("raw_actions", (low.size,))
        self._check_shape("actions", low.shape)
        self._check_within("actions", low, high)
        if low.dtype.kind == "i":
            self._check_within("raw_actions", np.zeros(low.size), (high - low).ravel())
            for name in ACTIONS:
                self._check_whole(name)

    def save(self, path: str | Path) -> None:
        """Write an ``.npz`` file, see ``docs/trajectories.md``."""
        present = {e.name: getattr(self, e.name) for e in fields(self)}
        arrays = {name: value for name, value in present.items() if value is not None}
        with replacing(Path(path)) as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what :meth:`save` wrote, or anything with such arrays; others are left alone.

        Raises:
            FileError: it is no such file, or :class:`ValueError` above has something to say.
        """
        present, known = array_names(Path(path)), [entry.name for entry in fields(cls)]
        names = [name for name in known if name in NEEDED or name in present]
        arrays = read_npz(Path(path), names)
        with one_error(FileError, str(path)):
            for other in set(present) - set(known):
                if meant := difflib.get_close_matches(other, set(known) - set(present), 1, 0.8):
                    raise ValueError(f"{other} is no array of trajectories: {meant[0]} is")
            return cls(**arrays)

    @classmethod
    def joined(cls, parts: "Sequence[Trajectories]") -> "Trajectories":
        """All trajectories of several; what one of them does not know, the whole does not."""
        columns = {e.name: [getattr(part, e.name) for part in parts] for e in fields(cls)}
        known = {k: v for k, v in columns.items() if all(value is not None for value in v)}
        return cls(**{name: np.concatenate(values) for name, values in known.items()})

    def _check_rows(self) -> None:
        total, num = self.num_steps, len(self)
        needed = dict.fromkeys(OF_STEPS, total) | {"terminated": num, "truncated": num}
        sums = f"{num} trajectories of {total} steps in all"
        for name, rows in {"observations": total + num, **needed}.items():
            value = getattr(self, name)
            if value is not None and (not value.ndim or len(value) != rows):
                have = len(value) if value.ndim else "no"
                also = ", one more each" if name == "observations" else ""
                raise ValueError(f"{name} has {have} rows, need {rows}: {sums}{also}")
        for name in ("rewards", "log_probs"):
            self._check_shape(name, ())
        if (both := self.terminated & self.truncated).any():
            # as gymnasium's environments may say it; what the task ended has no value beyond
            object.__setattr__(self, "truncated", self.truncated & ~both)

    def _check_shape(self, name: str, shape: tuple[int, ...]) -> None:
        value = getattr(self, name)
        if value is not None and value.shape[1:] != shape:
            raise ValueError(f"{name} are of shape {value.shape[1:]} each, need {shape}")

    def _check_whole(self, name: str) -> None:
        value = getattr(self, name)
        if value is not None and (value != np.round(value)).any():
            row = int(np.argwhere(value != np.round(value))[0][0])
            wrong = f"{name} are numbers of choices, and not whole ones in"
            raise ValueError(f"{wrong} {self._place(name, row)}")

    def _check_finite(self, name: str) -> None:
        value = getattr(self, name)
        if value is not None and value.dtype.kind == "f" and not are_numbers(value).all():
            row = int(np.argwhere(~are_numbers(value))[0][0])
            raise ValueError(f"{name} has a {_first_bad(value[row])} in {self._place(name, row)}")

    def _check_within(self, name: str, low: NDArray[Any], high: NDArray[Any]) -> None:
        value = getattr(self, name)
        if value is None:
            return
        low, high = low.astype(np.float64), high.astype(np.float64)
        slack = np.where(np.isfinite(high - low), TOLERANCE * (high - low), TOLERANCE)
        outside = (value < low - slack) | (value > high + slack)
        if outside.any():
            place = tuple(np.argwhere(outside)[0])
            bounds = f"[{np.broadcast_to(low, value.shape)[place]:g}, "
            bounds += f"{np.broadcast_to(high, value.shape)[place]:g}]"
            where = self._place(name, int(place[0]))
            raise ValueError(
                f"{name} has {value[place]:g} in {where}, outside its space's {bounds}"
            )

    def _place(self, name: str, row: int) -> str:
        """Where a row of an array is, counted from 0."""
        starts = self.first_rows if name == "observations" else self.lengths.cumsum() - self.lengths
        index = int(np.searchsorted(starts, row, "right")) - 1
        return f"trajectory {index}, step {row - int(starts[index])}"


def action_bounds(space: spaces.Space[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Lowest and highest action of a space, of its shape; whole numbers where they are choices.

    Raises:
        ValueError: for another space than Box, Discrete, MultiDiscrete and MultiBinary.
    """
    if isinstance(space, spaces.Box):
        return space.low.astype(np.float64), space.high.astype(np.float64)
    if isinstance(space, spaces.Discrete):
        return np.array(int(space.start)), np.array(int(space.start + space.n) - 1)
    if isinstance(space, spaces.MultiDiscrete):
        start = space.start.astype(np.int64)
        return start, start + space.nvec.astype(np.int64) - 1
    if isinstance(space, spaces.MultiBinary):
        return np.zeros(space.shape, np.int64), np.ones(space.shape, np.int64)
    raise ValueError(f"trajectories have no actions of {space}")


def _numbers(name: str, value: Any) -> NDArray[Any]:
    """An array of numbers; lengths are whole ones, ends True or False."""
    array = np.asarray(value)
    wanted = {"lengths": "iu", "terminated": "b", "truncated": "b"}.get(name, "fiub")
    if array.dtype.kind not in wanted:
        what = {"iu": "whole numbers", "b": "True or False"}.get(wanted, "numbers")
        raise ValueError(f"{name} must be {what}, got an array of {array.dtype}")
    return array.astype(np.int64) if name == "lengths" else array


def _first_bad(values: NDArray[Any]) -> str:
    """The first of some numbers that single precision does not hold."""
    flat = np.ravel(values)
    return str(flat[~are_numbers(flat)][0])

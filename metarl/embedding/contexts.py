"""What a policy sees beside the observation while it adapts within a trial."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from metarl.embedding.prototypes import OnlinePrototypes

Array = NDArray[np.float32]
Rows = NDArray[np.bool_]


@dataclass(frozen=True)
class Transitions:
    """One step of N environments."""

    observations: Array
    """``[N, D]``."""
    actions: Array
    """As the policy gave them; one-hot where they are discrete. ``[N, A]``."""
    rewards: Array
    """``[N]``."""
    next_observations: Array
    """True successors, also where the trajectory ended, ``[N, D]``."""
    terminated: Rows
    """Whether the task ended the trajectory, ``[N]``."""
    ended: Rows
    """Whether the task or a time limit ended it, ``[N]``."""

    @cached_property
    def features(self) -> Array:
        """(s, a, r, s', terminated) as vectors, ``[N, F]``."""
        return _side_by_side(
            self.observations, self.actions, self.rewards, self.next_observations, self.terminated
        )


def _side_by_side(*parts: Array | Rows) -> Array:
    """Numbers ``[N]`` and vectors ``[N, ...]`` as one vector each, ``[N, F]``."""
    return np.concatenate([part.reshape(len(part), -1).astype(np.float32) for part in parts], 1)


def num_features(observation_size: int, action_size: int) -> int:
    """F of :attr:`Transitions.features`."""
    return 2 * observation_size + action_size + 2


class Context(Protocol):
    """Numbers that N environments carry through their trials."""

    size: int
    """C."""

    def begin(self, rows: Rows) -> None:
        """A new trial starts in these environments."""
        ...

    def add(self, step: Transitions) -> None:
        """Every environment took a step."""
        ...

    def features(self) -> Array:
        """What the policy sees now, ``[N, C]``."""
        ...


class NoContext:
    """Nothing: a policy that does not adapt.

    Args:
        num_envs: N.
    """

    size = 0

    def __init__(self, num_envs: int) -> None:
        self._nothing = np.empty((num_envs, 0), np.float32)

    def begin(self, rows: Rows) -> None:
        """Nothing to forget."""

    def add(self, step: Transitions) -> None:
        """Nothing to keep."""

    def features(self) -> Array:
        """``[N, 0]``."""
        return self._nothing


class LastTransition:
    """The last action and reward, and whether it ended a trajectory (RL²; Duan et al. 2016).

    Args:
        num_envs: N.
        action_size: A.
    """

    def __init__(self, num_envs: int, action_size: int) -> None:
        self.size = action_size + 2
        self._last = np.zeros((num_envs, self.size), np.float32)

    def begin(self, rows: Rows) -> None:
        """Zeros at the start of a trial."""
        self._last[rows] = 0.0

    def add(self, step: Transitions) -> None:
        """Keep it."""
        self._last = _side_by_side(step.actions, step.rewards, step.ended)

    def features(self) -> Array:
        """``[N, A + 2]``."""
        return self._last


class PrototypeContext:
    """The prototype of the trial's task.

    Args:
        prototypes: of N tasks, forgotten at the start of a trial.
        shuffle: gives the numbers of the tasks as they are now, ``[N, P]``; show every environment
            the prototype of one that has another task. A control.
    """

    def __init__(
        self, prototypes: OnlinePrototypes, *, shuffle: Callable[[], Array] | None = None
    ) -> None:
        self.shuffle = shuffle
        self._shown: NDArray[np.intp] | slice = slice(None)
        self.size = prototypes.num_features
        self.prototypes = prototypes

    def begin(self, rows: Rows) -> None:
        """Forget what was seen of the task before."""
        if self.shuffle is not None:
            self._shown = with_other_tasks(self.shuffle())
        self.prototypes.forget(torch.from_numpy(rows).to(self.prototypes.device))

    def add(self, step: Transitions) -> None:
        """One more transition of every task."""
        columns = (torch.from_numpy(column) for column in (step.features, step.ended))
        self.prototypes.add(*(column.to(self.prototypes.device) for column in columns))

    def features(self) -> Array:
        """``[N, C]``."""
        features: Array = self.prototypes.features().cpu().numpy()
        return features[self._shown]


def with_other_tasks(tasks: Array) -> NDArray[np.intp]:
    """For each of N rows one with another task: the one N/2 before it, or the next before that.

    Args:
        tasks: ``[N, P]``; where all are the same, it is the one N/2 before.
    """
    distinct, numbers = np.unique(tasks, axis=0, return_inverse=True)
    numbers = numbers.reshape(-1)  # NumPy 2.0 gives it another axis
    chosen = np.roll(np.arange(len(tasks)), len(tasks) // 2)
    while len(distinct) > 1 and (same := numbers[chosen] == numbers).any():
        chosen[same] -= 1  # -1 is the last row
    return chosen


class SupportSample:
    """A uniform sample of the transitions of each trial, kept as they come (reservoir sampling).

    Args:
        num_envs: N.
        num_support: S, transitions kept.
        num_features: F, of a transition.
        seed: of the choice.
    """

    def __init__(self, num_envs: int, num_support: int, num_features: int, seed: int) -> None:
        self.size = num_support * num_features + 1
        self._kept = np.zeros((num_envs, num_support, num_features), np.float32)
        self._count = np.zeros(num_envs, np.int64)
        self._seed = seed
        self._rng = np.random.default_rng(seed)

    def begin(self, rows: Rows) -> None:
        """Nothing is kept at the start of a trial; where all start at once, draws repeat."""
        if rows.all():
            self._rng = np.random.default_rng(self._seed)
        self._kept[rows] = 0.0
        self._count[rows] = 0

    def add(self, step: Transitions) -> None:
        """The n-th transition takes a place with probability S / n."""
        num_support = self._kept.shape[1]
        place = np.where(
            self._count < num_support, self._count, self._rng.integers(0, self._count + 1)
        )
        rows = np.flatnonzero(place < num_support)
        self._kept[rows, place[rows]] = step.features[rows]
        self._count += 1

    def features(self) -> Array:
        """The sample and how many transitions there were, ``[N, S·F + 1]``."""
        flat = self._kept.reshape(len(self._kept), -1)
        return np.concatenate([flat, self._count[:, None].astype(np.float32)], 1)

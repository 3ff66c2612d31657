"""What happened in trials: returns by trajectory and, if wanted, the transitions themselves."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metarl.embedding.contexts import Transitions

ReturnSpan = Literal["trial", "trajectory"]
"""What returns reach over."""


class Trials(NamedTuple):
    """Trials of K trajectories, n of them."""

    returns: NDArray[np.float64]
    """``[n, K]``; 0 where a trajectory has not begun."""
    lengths: NDArray[np.int64]
    """``[n, K]``."""
    transitions: NDArray[np.float32]
    """``[n, K, T, F]``, or no features."""
    tasks: NDArray[np.float32]
    """Parameters of the tasks, ``[n, P]``."""
    outcomes: NDArray[np.float32]
    """What environments told of each trajectory, success first, ``[n, K, 1 + keys]``; NaN where
    nothing was told."""

    def rows(self, chosen: NDArray[Any]) -> "Trials":
        """Copies of some of them."""
        return Trials(*(values[chosen] for values in self))


class TrialRecorder:
    """Follows the trials of N environments of a :class:`~metarl.sb3.TrialVecEnv`.

    That calls :meth:`begin` after every reset and then the recorder at every step, before the
    observation is handed out. Where a trial is over, its environment has the task of the next one
    by then.

    Of the trials that an environment ends the first is kept: where trials that go well are short,
    most of all those that fit into a number of steps would be such.

    Args:
        num_envs: N.
        num_trajectories: K; what comes after them in a trial is left out.
        horizon: T, the longest trajectory.
        num_features: F, of the transitions; 0 to keep none.
        task_vectors: gives the parameters of the tasks of now, ``[N, P]``.
        num_outcomes: numbers that environments tell of a trajectory.
    """

    def __init__(
        self,
        num_envs: int,
        num_trajectories: int,
        *,
        horizon: int,
        num_features: int = 0,
        task_vectors: Callable[[], NDArray[np.float32]],
        num_outcomes: int = 1,
    ) -> None:
        shape = (num_envs, num_trajectories)
        self._task_vectors = task_vectors
        self.current = Trials(
            np.zeros(shape),
            np.zeros(shape, np.int64),
            np.zeros((*shape, horizon, num_features), np.float32),
            np.zeros((num_envs, 0), np.float32),
            np.full((*shape, num_outcomes), np.nan, np.float32),
        )
        self.index = np.zeros(num_envs, np.int64)
        """Trajectories that have ended in the current trial, ``[N]``."""
        self._finished: list[Trials] = []
        self._missing = np.ones(num_envs, bool)
        self._num_features = num_features

    def begin(self) -> None:
        """Every environment has started a trial."""
        self.current = self.current._replace(tasks=self._task_vectors())
        self._forget(np.ones(len(self.index), bool))
        self._missing[:] = True

    def __call__(self, step: Transitions, over: NDArray[np.bool_]) -> None:
        """Every environment took a step, which ended a trial where ``over``, ``[N]``."""
        rows = np.flatnonzero(self.index < self.current.returns.shape[1])
        place = rows, self.index[rows]
        if self._num_features:
            time = self.current.lengths[place]
            self.current.transitions[(*place, time)] = step.features[rows]
        self.current.returns[place] += step.rewards[rows]
        self.current.lengths[place] += 1
        self.index += step.ended
        if over.any():
            taken = over & self._missing & ~np.isnan(self.current.returns).any(1)
            self._finished.append(self.current.rows(taken))
            self._missing &= ~taken
            self._forget(over)

    def leave_out(self, rows: NDArray[np.bool_]) -> None:
        """The trials that these environments are in do not count, ``[N]``: their returns are NaN.

        A later trial is kept in their place.
        """
        self.current.returns[rows] = np.nan

    def tell(self, outcomes: Mapping[int, NDArray[np.float32]]) -> None:
        """What these environments told of the trajectories that the next step given here ends."""
        for row, told in outcomes.items():
            if self.index[row] < self.current.returns.shape[1]:
                self.current.outcomes[row, self.index[row]] = told

    def take(self) -> Trials:
        """Of every environment the first trial that has ended since the last call, if one has."""
        parts = [*self._finished, self.current.rows(np.empty(0, np.int64))]
        self._finished = []
        self._missing[:] = True
        return Trials(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def _forget(self, rows: NDArray[np.bool_]) -> None:
        self.index[rows] = 0
        self.current.returns[rows] = 0.0
        self.current.lengths[rows] = 0
        self.current.outcomes[rows] = np.nan
        self.current.tasks[rows] = self._task_vectors()[rows]

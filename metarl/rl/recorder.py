"""Takes down trajectories while they happen."""

from typing import Any

import numpy as np

from metarl.rl.acting import Acted
from metarl.rl.trajectories import Trajectories


class TrajectoryRecorder:
    """Takes down what happens in one environment, step by step.

    >>> recorder = TrajectoryRecorder()
    >>> recorder.start(np.zeros(2))
    >>> step = Acted(np.zeros(1, np.float32), np.zeros(1, np.float32), np.float32(-0.9))
    >>> recorder.add(step, 1.0, np.ones(2), terminated=True, truncated=False)
    >>> recorder.trajectories().num_steps
    1
    """

    def __init__(self) -> None:
        self._observations: list[Any] = []
        self._steps: list[tuple[Acted, float]] = []
        self._ends: list[tuple[int, bool, bool]] = []

    def start(self, observation: Any) -> None:
        """A trajectory starts; one that has not ended until now was cut off."""
        self._close(False, False)
        self._observations.append(np.array(observation))

    def add(
        self,
        acted: Acted,
        reward: float,
        next_observation: Any,
        terminated: bool,
        truncated: bool,
    ) -> None:
        """A step of the trajectory that goes on.

        Args:
            acted: what :meth:`metarl.Actor.act` gave.
            reward: of the step.
            next_observation: that it led to; of one that ended the last, not the next one's first.
            terminated: whether the task ended the trajectory.
            truncated: whether a time limit did.

        Raises:
            ValueError: no trajectory was started.
        """
        if len(self._observations) == len(self._steps) + len(self._ends):
            raise ValueError("the trajectory has ended: start() the next one")
        self._steps.append((acted, float(reward)))
        self._observations.append(np.array(next_observation))
        if terminated or truncated:
            self._close(terminated, truncated)

    def trajectories(self) -> Trajectories:
        """What there is until now.

        Raises:
            ValueError: there is nothing.
        """
        self._close(False, False)
        if not self._steps:
            raise ValueError("there are no steps yet")
        acted, rewards = zip(*self._steps, strict=True)
        raw_actions, actions, log_probs = map(np.stack, zip(*acted, strict=True))
        lengths, terminated, truncated = map(np.array, zip(*self._ends, strict=True))
        return Trajectories(
            lengths=lengths,
            observations=np.stack(self._observations),
            rewards=np.array(rewards),
            terminated=terminated,
            truncated=truncated,
            raw_actions=raw_actions,
            actions=actions,
            log_probs=log_probs,
        )

    def _close(self, terminated: bool, truncated: bool) -> None:
        """End the trajectory that goes on, if one does; one without a step is dropped."""
        length = len(self._steps) - sum(length for length, *_ in self._ends)
        if length:
            self._ends.append((length, terminated, truncated))
        elif len(self._observations) > len(self._steps) + len(self._ends):
            self._observations.pop()

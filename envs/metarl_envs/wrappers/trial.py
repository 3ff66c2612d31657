"""``Trial``: several trajectories of one task as one episode (RL²; Duan et al. 2016)."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

Observation = NDArray[Any]


class Trial(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """k trajectories as one episode, so that a recurrent policy can learn within it.

    * Observation: the wrapped environment's, then the previous action, the previous reward and an
      end flag, 1 where the step before ended a trajectory; one vector. Discrete observations and
      actions are one-hot. At the start of a trial the last three are zero.
    * An end of one of the first k - 1 trajectories is a reset of the wrapped environment within the
      same step: the observation is the first of the next trajectory, with the last action and
      reward of the one that ended and the flag 1. The task stays, as tasks do.
    * The trial ends with its last trajectory and in the same way: truncated where a time limit cut
      that trajectory (its last observation is returned, to bootstrap from), terminated where it
      really ended. Either way no trajectory follows, so nothing is bootstrapped across trials.
    * ``info["trajectory"]``: ``index`` of the trajectory this step belongs to and the ``return``
      and ``length`` so far.

    Args:
        env: the environment; its trajectories must end, so it needs a time limit if nothing else
            ends them.
        num_trajectories: k.
    """

    def __init__(self, env: gym.Env[Any, Any], num_trajectories: int) -> None:
        if num_trajectories < 1:
            raise ValueError(f"num_trajectories must be at least 1, got {num_trajectories}")
        RecordConstructorArgs.__init__(self, num_trajectories=num_trajectories)
        super().__init__(env)
        self.num_trajectories = num_trajectories
        self.observation_space = _joined(env.observation_space, env.action_space)
        self._no_action = np.zeros(spaces.flatdim(env.action_space))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start a trial."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._index = 0
        self._begin_trajectory()
        return self._join(observation, self._no_action, 0.0, ended=False), info

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Advance; a trajectory that ends is followed by the next one of the trial."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        reward = float(reward)
        self._return += reward
        self._length += 1
        progress = {"index": self._index, "return": self._return, "length": self._length}
        ended = terminated or truncated
        last = self._index == self.num_trajectories - 1
        if ended and not last:
            observation, _ = self.env.reset()
            self._index += 1
            self._begin_trajectory()
        flat = spaces.flatten(self.env.action_space, action)
        joined = self._join(observation, flat, reward, ended=ended)
        info = {**info, "trajectory": progress}
        return joined, reward, terminated and last, truncated and last, info

    def _begin_trajectory(self) -> None:
        self._return, self._length = 0.0, 0

    def _join(self, observation: Any, action: Any, reward: float, *, ended: bool) -> Observation:
        flat = spaces.flatten(self.env.observation_space, observation)
        joined = np.concatenate([flat, action, [reward, float(ended)]])
        return joined.astype(self.observation_space.dtype)


def _joined(observation: spaces.Space[Any], action: spaces.Space[Any]) -> spaces.Box:
    """Bounds of observation, action, reward and end flag."""
    seen, acted = _flat(observation), _flat(action)
    low = np.concatenate([seen.low, np.minimum(acted.low, 0), [-np.inf, 0]])
    high = np.concatenate([seen.high, np.maximum(acted.high, 0), [np.inf, 1]])
    dtype = np.float64 if seen.dtype == np.float64 else np.float32
    return spaces.Box(low.astype(dtype), high.astype(dtype), dtype=dtype)


def _flat(space: spaces.Space[Any]) -> spaces.Box:
    flat = spaces.flatten_space(space)
    if not isinstance(flat, spaces.Box):
        raise ValueError(f"Trial needs observations and actions that flatten to a Box, got {space}")
    return flat

"""``ShowTask``: the task beside the observation, for policies that are to know it (an oracle)."""

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from metarl_envs.vector import TaskVectorEnv


class ShowTask(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Appends the task to every observation of a single environment with tasks.

    The entries come in the order of ``task_space``, bounded ones scaled to [-1, 1].

    Args:
        env: the environment; observations must be a Box of one axis.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        self._task_space: spaces.Dict = env.get_wrapper_attr("task_space")
        self.observation_space = _with_task(env.observation_space, self._task_space)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start in the current task."""
        observation, info = self.env.reset(seed=seed, options=options)
        return self._show(observation), info

    def step(self, action: Any) -> tuple[NDArray[Any], float, bool, bool, dict[str, Any]]:
        """Advance by one step."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._show(observation), float(reward), terminated, truncated, info

    def _show(self, observation: NDArray[Any]) -> NDArray[Any]:
        features = task_features(self._task_space, [self.env.get_wrapper_attr("task")])[0]
        return np.concatenate([observation, features.astype(observation.dtype)])


class ShowTaskVector(VectorWrapper):
    """Appends its task to every observation of a vector environment, as :class:`ShowTask` does.

    Args:
        env: a vector environment whose environments have tasks.
    """

    env: Any  # get_attr and set_attr are in every vector environment, but not in their base class

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        super().__init__(env)
        self._task_space: spaces.Dict = self.env.get_attr("task_space")[0]
        space = _with_task(env.single_observation_space, self._task_space)
        self.single_observation_space = space
        self.observation_space = batch_space(space, env.num_envs)
        self._features = task_features(self._task_space, self.env.get_attr("task"))

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """An attribute of the environments, see gymnasium."""
        values: tuple[Any, ...] = self.env.get_attr(name)
        return values

    def set_attr(self, name: str, values: Any) -> None:
        """Set an attribute of the environments, see gymnasium."""
        self.env.set_attr(name, values)
        if name == "task":
            self._features = task_features(self._task_space, self.env.get_attr("task"))

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start in the current tasks."""
        observations, info = self.env.reset(seed=seed, options=options)
        if not isinstance(self.env.unwrapped, TaskVectorEnv):
            # single environments can be given tasks past this wrapper
            self._features = task_features(self._task_space, self.env.get_attr("task"))
        return self._show(observations), info

    def step(
        self, actions: Any
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Advance every environment by one step."""
        observations, rewards, terminated, truncated, info = self.env.step(actions)
        return self._show(observations), rewards, terminated, truncated, info

    def _show(self, observations: NDArray[Any]) -> NDArray[Any]:
        features = self._features.astype(observations.dtype, copy=False)
        return np.concatenate([observations, features], axis=1)


def task_features(
    space: spaces.Dict, tasks: Sequence[Mapping[str, ArrayLike]]
) -> NDArray[np.float32]:
    """Tasks as vectors ``[num, F]``, bounded entries scaled to [-1, 1].

    >>> space = spaces.Dict({"velocity": spaces.Box(0.0, 2.0, ())})
    >>> task_features(space, [{"velocity": 0.5}, {"velocity": 2.0}]).tolist()
    [[-0.5], [1.0]]
    """
    columns = []
    for name, part in space.items():
        values = np.stack([np.asarray(task[name], np.float64).ravel() for task in tasks])
        low, high = (bound.astype(np.float64).ravel() for bound in _bounds(part))
        with np.errstate(invalid="ignore"):
            half = (high - low) / 2
            scaled = (values - (low + high) / 2) / np.where(half > 0, half, 1.0)
        columns.append(np.where(np.isfinite(half), scaled, values))
    return np.concatenate(columns, axis=1).astype(np.float32)


def _bounds(part: spaces.Space[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    if not isinstance(part, spaces.Box):
        raise ValueError(f"only tasks of Box entries can be shown, not of {part}")
    return part.low, part.high


def _with_task(observation: spaces.Space[Any], task: spaces.Dict) -> spaces.Box:
    """Observations with the task behind them."""
    if not isinstance(observation, spaces.Box) or len(observation.shape) != 1:
        raise ValueError(f"a task can be shown beside a Box of one axis, not beside {observation}")
    lows, highs = [observation.low], [observation.high]
    for part in task.values():
        low, high = _bounds(part)
        finite = np.isfinite(low) & np.isfinite(high)
        lows.append(np.where(finite, -1.0, low).ravel())
        highs.append(np.where(finite, 1.0, high).ravel())
    dtype: Any = observation.dtype
    low, high = (np.concatenate(bounds).astype(dtype) for bounds in (lows, highs))
    return spaces.Box(low, high, dtype=dtype)

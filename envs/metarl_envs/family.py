"""A task family written once as pure functions, run single or batched.

A :class:`Family` describes start states, transitions and rewards on arrays of any leading shape.
:class:`FamilyEnv` runs one environment of it (leading shape ``()``), :class:`FamilyVectorEnv` a
whole batch (leading shape ``(num_envs,)``) with the same functions, so both agree step for step.
Where steps are random, one environment draws from its ``np_random``, a batch from
:class:`~metarl_envs.rows.RowRandom` where every environment of it has a seed of its own. With
tensors of a device it is :class:`~metarl_envs.device.FamilyDeviceEnv` that runs a batch.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from numpy.typing import ArrayLike, NDArray

from metarl_envs.arrays import Array
from metarl_envs.rows import Random
from metarl_envs.task_spaces import validate_task
from metarl_envs.tasks import Product, Task
from metarl_envs.vector import TaskVectorEnv


class Outcome(NamedTuple):
    """What one step gives, each with the leading shape of the batch."""

    state: Array
    reward: Array
    terminated: Array


class Family(Protocol):
    """Dynamics and reward of a task family; ``...`` is any leading shape."""

    @property
    def observation_space(self) -> spaces.Space[Any]:
        """Of a single environment."""
        ...

    @property
    def action_space(self) -> spaces.Space[Any]:
        """Of a single environment."""
        ...

    task_distribution: Product

    def start(self, rng: Random, leading: tuple[int, ...]) -> Array:
        """Start states ``[*leading, ...]``, of any type."""
        ...

    def step(self, state: Array, action: Array, task: Task, rng: Random) -> Outcome:
        """Successor states, as fresh arrays, rewards and terminations."""
        ...

    def observe(self, state: Array, task: Task) -> Array:
        """Observations, as fresh arrays."""
        ...


class FamilyEnv(gym.Env[NDArray[Any], NDArray[Any]]):
    """One environment of a family, with a sticky ``task``.

    Args:
        family: the dynamics.
        task: the task to start with; by default one drawn from the train part at construction.
    """

    def __init__(self, family: Family, task: Mapping[str, ArrayLike] | None = None) -> None:
        self.family = family
        self.observation_space = family.observation_space
        self.action_space = family.action_space
        self.task_distribution = family.task_distribution
        self.task_space = family.task_distribution.space
        drawn = self.task_distribution.sample(self.np_random, 1, "train")
        self.task = {name: value[0] for name, value in drawn.items()} if task is None else task

    @property
    def task(self) -> Task:
        """The current task; it stays through resets until set again."""
        return self._task

    @task.setter
    def task(self, task: Mapping[str, ArrayLike]) -> None:
        self._task = validate_task(self.task_space, task)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start in the current task."""
        super().reset(seed=seed)
        self.state = self.family.start(self.np_random, ())
        return self.family.observe(self.state, self._task), {}

    def step(self, action: NDArray[Any]) -> tuple[NDArray[Any], float, bool, bool, dict[str, Any]]:
        """Advance by one step."""
        self.state, reward, terminated = self.family.step(
            self.state, action, self._task, self.np_random
        )
        observation = self.family.observe(self.state, self._task)
        return observation, float(reward), bool(terminated), False, {}


class FamilyVectorEnv(TaskVectorEnv):
    """A batch of environments of one family in NumPy arrays.

    Args:
        family: the dynamics.
        num_envs: number of environments.
        max_episode_steps: time limit in steps.
        autoreset_mode: as in gymnasium.
    """

    def __init__(
        self,
        family: Family,
        num_envs: int,
        max_episode_steps: int,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        self.family = family
        super().__init__(
            num_envs,
            observation_space=family.observation_space,
            action_space=family.action_space,
            task_distribution=family.task_distribution,
            max_episode_steps=max_episode_steps,
            autoreset_mode=autoreset_mode,
        )
        self.state = family.start(np.random.default_rng(0), (num_envs,))

    def _start(self, rows: NDArray[np.bool_]) -> None:
        self.state[rows] = self.family.start(self._random(rows), (int(rows.sum()),))

    def _advance(
        self, actions: NDArray[Any]
    ) -> tuple[Array, NDArray[np.bool_], dict[str, NDArray[Any]]]:
        self.state, rewards, terminated = self.family.step(
            self.state, actions, self._tasks, self._random()
        )
        return rewards, terminated, {}

    def _observe(self) -> NDArray[Any]:
        observations: NDArray[Any] = self.family.observe(self.state, self._tasks)
        return observations

"""``TaskVecEnv``: a vector environment with tasks as stable-baselines3's ``VecEnv``."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from metarl.rl.sampler import SEED_RANGE, TaskEnvs

Task = dict[str, NDArray[Any]]


class TaskVecEnv(VecEnv):
    """One stable-baselines3 environment for every environment of the batch, each with its task.

    An environment that ends starts again within the same step, as stable-baselines3 has it: the
    observation is the first of the next trajectory, ``terminal_observation`` in its info the last
    of this one and ``TimeLimit.truncated`` whether a time limit ended it.

    Args:
        env: a gymnasium vector environment with tasks and autoreset mode ``DISABLED``; this class
            resets what has ended.
        draw: draw a new task for an environment whenever its trajectory ends (domain
            randomisation), or leave tasks as they are set.
        split: part of the task distribution that tasks are drawn from.
        seed: of the task draws and, before ``seed()`` is called, of the environments.

    Raises:
        ValueError: for another autoreset mode.
    """

    def __init__(
        self,
        env: TaskEnvs,
        *,
        draw: Literal["never", "trajectory"] = "trajectory",
        split: Literal["train", "held_out"] = "train",
        seed: int = 0,
    ) -> None:
        if env.metadata.get("autoreset_mode") != AutoresetMode.DISABLED:
            raise ValueError(
                "TaskVecEnv resets by itself: make the environment with "
                "autoreset_mode=AutoresetMode.DISABLED"
            )
        self.env = env
        self.draw = draw
        self.split = split
        self._rng = np.random.default_rng(seed)
        self._distribution = env.get_attr("task_distribution")[0]
        self._actions: NDArray[Any] = np.empty(0)
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        if draw == "trajectory":
            self.draw_tasks()

    @property
    def tasks(self) -> list[Task]:
        """The task of every environment."""
        return list(self.env.get_attr("task"))

    def set_tasks(self, tasks: Sequence[Task]) -> None:
        """Give every environment its task; they hold until they are drawn or set again."""
        self.env.set_attr("task", list(tasks))

    def draw_tasks(self) -> None:
        """Draw a new task for every environment."""
        self.set_tasks(self._drawn(self.num_envs))

    def reset(self) -> NDArray[Any]:
        """Start all environments."""
        first = self._seeds[0]
        seed = int(self._rng.integers(SEED_RANGE)) if first is None else first
        observations, _ = self.env.reset(seed=seed)
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions for :meth:`step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Advance every environment, and start again those that have ended."""
        observations, rewards, terminated, truncated, info = self.env.step(self._actions)
        ended = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if ended.any():
            diverged = np.broadcast_to(info.get("diverged", False), ended.shape)
            for index in np.flatnonzero(ended):
                infos[index] = {
                    "terminal_observation": observations[index].copy(),
                    "TimeLimit.truncated": bool(truncated[index] and not terminated[index]),
                    "diverged": bool(diverged[index]),
                }
            if self.draw == "trajectory":
                tasks = self.tasks
                drawn = self._drawn(int(ended.sum()))
                for index, task in zip(np.flatnonzero(ended), drawn, strict=True):
                    tasks[index] = task
                self.set_tasks(tasks)
            observations, _ = self.env.reset(options={"reset_mask": ended})
        return observations, rewards.astype(np.float32), ended, infos

    def close(self) -> None:
        """Close the environments."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of some environments."""
        values = self.env.get_attr(attr_name)
        return [values[index] for index in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of some environments to one value."""
        values = list(self.env.get_attr(attr_name))
        for index in self._get_indices(indices):
            values[index] = value
        self.env.set_attr(attr_name, values)

    def env_method(
        self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """Not for batched environments."""
        raise AttributeError(f"batched environments have no method {method_name!r} of their own")

    def env_is_wrapped(self, wrapper_class: type[Any], indices: VecEnvIndices = None) -> list[bool]:
        """No environment of a batch is wrapped."""
        return [False for _ in self._get_indices(indices)]

    def _drawn(self, num: int) -> list[Task]:
        batch = self._distribution.sample(self._rng, num, self.split)
        return [{name: values[i] for name, values in batch.items()} for i in range(num)]

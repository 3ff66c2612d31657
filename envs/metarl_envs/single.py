"""One environment of a batched family, as gymnasium's ``make`` gives it."""

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray

from metarl_envs.task_spaces import validate_task
from metarl_envs.tasks import Task, unstack
from metarl_envs.vector import TaskVectorEnv


class SingleTaskEnv(gym.Env[NDArray[Any], NDArray[Any]]):
    """A batch of one as a single environment, with a sticky ``task``.

    Args:
        batch: of one environment, without time limit and autoreset.
        task: the task to start with; by default the batch's.
    """

    def __init__(self, batch: TaskVectorEnv, task: Mapping[str, ArrayLike] | None = None) -> None:
        self.batch = batch
        self.render_mode = batch.render_mode
        frames = ("render_modes", "render_fps")
        self.metadata = {name: batch.metadata[name] for name in frames if name in batch.metadata}
        self.observation_space = batch.single_observation_space
        self.action_space = batch.single_action_space
        self.task_distribution = batch.task_distribution
        self.task_space = batch.task_space
        if task is not None:
            self.task = validate_task(self.task_space, task)

    @property
    def task(self) -> Task:
        """The current task; it stays through resets until set again."""
        return unstack(self.batch.tasks)[0]

    @task.setter
    def task(self, task: Mapping[str, ArrayLike]) -> None:
        self.batch.set_attr("task", [task])

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start in the current task."""
        super().reset(seed=seed)
        self.batch.np_random = self.np_random
        observations, _ = self.batch.reset()
        return observations[0], {}

    def step(self, action: NDArray[Any]) -> tuple[NDArray[Any], float, bool, bool, dict[str, Any]]:
        """Advance by one step."""
        observations, rewards, terminations, _, info = self.batch.step(np.asarray(action)[None])
        facts = {name: values[0].item() for name, values in info.items()}
        return observations[0], float(rewards[0]), bool(terminations[0]), False, facts

    def render(self) -> Any:
        """A picture ``[height, width, 3]``, where ``render_mode`` asks for it."""
        pictures = self.batch.render()
        return None if pictures is None else pictures[0]

    def close(self) -> None:
        """Close the batch."""
        self.batch.close()

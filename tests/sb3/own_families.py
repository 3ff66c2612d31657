"""Single environments with tasks, as users write them."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from metarl_envs.tasks import Choice, Product


class Walk(gym.Env[Any, Any]):
    """Observes (step, length); terminates after ``length`` steps, which is its task.

    The setter starts the trajectory anew, as that of a simulator that is loaded again does. The
    reward is the number of the step.

    Args:
        bad: (trajectory since the environment was made, step) to the reward of that step.
    """

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    task_distribution = Product({"length": Choice(np.arange(2, 9), held_out=[3])})
    task_space = task_distribution.space

    def __init__(self, bad: dict[tuple[int, int], float] | None = None) -> None:
        self.bad = bad or {}
        self.trajectory = -1
        self.task = {"length": np.array(4.0)}

    @property
    def task(self) -> Any:
        return self._task

    @task.setter
    def task(self, task: Any) -> None:
        self._task, self.time = task, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.time, self.trajectory = 0, self.trajectory + 1
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.time += 1
        over = bool(self.time >= self._task["length"])
        info = {"is_success": over, "parts": {"time": float(self.time)}} if over else {}
        reward = self.bad.get((self.trajectory, self.time), float(self.time))
        return self._observe(), reward, over, False, info

    def _observe(self) -> Any:
        return np.array([self.time, self._task["length"]], np.float32)


def walks(bad: list[Any], *, workers: bool = False) -> Any:
    """Environments, each with its own bad steps, whose resets are the caller's."""
    kind = AsyncVectorEnv if workers else SyncVectorEnv
    makers = [lambda steps=steps: Walk(steps) for steps in bad]
    return kind(makers, autoreset_mode=AutoresetMode.DISABLED)

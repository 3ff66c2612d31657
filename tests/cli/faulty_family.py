"""A task family of a user's own that does wrong on request: ``faulty_family:Faulty-v0``."""

import os
import sys
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from metarl_envs.tasks import Product, Uniform


class Faulty(gym.Env[Any, Any]):
    """2-D navigation.

    Args:
        fault: what goes wrong in the third step, or where its name says.
        only: every so many environments one, instead of all.
    """

    action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
    observation_space = spaces.Box(-10.0, 10.0, (2,), np.float32)
    task_distribution = Product({"goal": Uniform([-0.5, -0.5], 0.5)})
    task_space = task_distribution.space
    num_made: ClassVar[int] = 0

    def __init__(self, fault: str = "", only: int = 1) -> None:
        Faulty.num_made += 1
        self.fault = fault if Faulty.num_made % only == 0 else ""
        if self.fault == "make":
            raise ConnectionResetError(104, "Connection reset by peer")
        self._task: Any = {"goal": np.zeros(2)}

    @property
    def task(self) -> Any:
        return self._task

    @task.setter
    def task(self, task: Any) -> None:
        if self.fault == "setter":
            raise KeyError("no such goal")
        self._task = task

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if self.fault == "reset":
            raise TimeoutError("the simulator\nis not there")
        self.x, self.time = np.zeros(2), 0
        return self.x.astype(np.float32), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        self.x = np.clip(self.x + 0.1 * action, -5, 5)
        reward = -float(np.linalg.norm(self.x - self._task["goal"]))
        usual: Any = (self.x.astype(np.float32), reward, False, False, {})
        return self._wrong(usual) if self.time == 3 else usual

    def _wrong(self, usual: Any) -> Any:
        observation, reward, *rest = usual
        match self.fault:
            case "raise":
                raise ConnectionResetError(104, "Connection reset by peer")
            case "numpy":
                np.linalg.inv(np.zeros((2, 2)))
            case "exit":
                sys.exit(0)
            case "die":
                os._exit(9)
        wrong = {
            "nan-observation": (observation * np.nan, reward, *rest),
            "inf-reward": (observation, np.inf, *rest),
            "text": (np.array(["a", "b"]), reward, *rest),
            "shape": (np.zeros(3, np.float32), reward, *rest),
            "no-reward": (observation, None, *rest),
            "old-api": (observation, reward, False, {}),
            "outside": (observation + 100, reward, *rest),
        }
        return wrong.get(self.fault, usual)


gym.register("Faulty-v0", Faulty, max_episode_steps=5)

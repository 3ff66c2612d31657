"""A task family that does wrong on request: 2-D navigation with faults that people make."""

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from metarl_envs import Choice, Product, Uniform

GOALS = Product({"goal": Uniform([-0.5, -0.5], 0.5)})


class Navigation(gym.Env[Any, Any]):
    """Walk to the goal, which is the task.

    Args:
        fault: what is wrong.
    """

    action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
    observation_space = spaces.Box(-10.0, 10.0, (4,), np.float32)
    task_distribution: Any = GOALS
    task_space = task_distribution.space
    shared: ClassVar[Any] = np.zeros(2)
    living: ClassVar[list["Navigation"]] = []

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.goal, self.gain, self.x = np.zeros(2), 1.0, np.zeros(2)
        self.own_generator = np.random.default_rng(0)
        self.offset = np.random.random(2) if fault == "drawn when made" else 0.0  # noqa: NPY002
        Navigation.living.append(self)
        self.task = {"goal": np.full(2, 3.0 if fault == "first task outside" else 0.0)}

    @property
    def task(self) -> Any:
        if self.fault == "shared task":
            return {"goal": Navigation.shared}
        return self._task

    @task.setter
    def task(self, task: Any) -> None:
        self._task = task
        self.goal = np.array(task["goal"])
        self.gain *= 1.0 + abs(self.goal[0]) if self.fault == "compounds" else 1.0
        if self.fault.startswith("shared"):
            Navigation.shared = self.goal
        if self.fault == "restarts all":
            for other in Navigation.living:
                other.x = np.zeros(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        match self.fault:
            case "redrawn":
                self.task = {"goal": self.np_random.uniform(-0.5, 0.5, 2)}
            case "redrawn inside":
                self.goal = self.np_random.uniform(-0.5, 0.5, 2)
            case "redrawn without a seed" if seed is None:
                self.goal = self.np_random.uniform(-0.5, 0.5, 2)
        generator = self.own_generator if self.fault == "seed ignored" else self.np_random
        self.x, self.time = generator.uniform(-0.1, 0.1, 2) + self.offset, 0
        if self.fault == "shows the task":
            self.x = self.x + self.goal
        return self._observe(), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        noise = np.random.normal(size=2) if self.fault == "global numbers" else 0.0  # noqa: NPY002
        self.x = np.clip(self.x + 0.1 * self.gain * action + 0.01 * noise, -5, 5)
        goal = Navigation.shared if self.fault == "shared goal" else self.goal
        reward: Any = -float(np.linalg.norm(self.x - goal))
        if self.fault == "redrawn late" and self.time == 15:
            self._task = {"goal": self.np_random.uniform(-0.5, 0.5, 2)}
        if self.fault in ("no effect", "only shown"):
            reward = -float(np.linalg.norm(self.x))
        if self.fault == "raises":
            raise KeyError("no such goal")
        if self.fault == "reward array":
            reward = np.array([reward])
        terminated = 0 if self.fault == "no flag" else False
        return self._observe(), reward, terminated, False, {}

    def _observe(self) -> Any:
        goal = self.goal if self.fault == "only shown" else np.zeros(2)
        x = np.concatenate([self.x, goal])
        x = x.astype(np.float64 if self.fault == "dtype" else np.float32)
        if self.fault == "bounds":
            return x + 20 * (self.time > 2)
        return x / (0.0 if self.fault == "nan" and self.time > 10 else 1.0)


class Draws:
    """A distribution that does wrong on request."""

    space = GOALS.space
    disjoint = True

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def sample(self, rng: Any, num: int, split: str) -> Any:
        match self.fault:
            case "split ignored":
                return {"goal": rng.uniform(-0.5, 0.5, (num, 2))}
            case "overlap":
                low, high = (-0.5, 0.2) if split == "train" else (-0.2, 0.5)
                return {"goal": rng.uniform(low, high, (num, 2))}
            case "outside":
                return {"goal": rng.uniform(-0.5, 0.6, (num, 2))}
            case "own generator":
                return GOALS.sample(np.random.default_rng(), num, split)  # type: ignore[arg-type]
            case "by number":
                return GOALS.sample(np.random.default_rng([num, rng.integers(9)]), num, split)  # type: ignore[arg-type]
            case "scalar":
                return {"goal": rng.uniform(-0.5, 0.5, num)}
        values = Choice(np.linspace([-0.5, -0.5], [0.5, 0.5], 9), held_out=[1, 4]).sample(
            rng, num, "train"
        )
        return {"goal": values[rng.permutation(num)] if split == "train" else values}


class OddDraws(Navigation):
    """Navigation in whose distribution something is wrong."""

    def __init__(self, draws: str) -> None:
        super().__init__()
        self.task_distribution = Draws(draws)


gym.register("PlantedFault-v0", Navigation, max_episode_steps=20)
gym.register("PlantedEndless-v0", Navigation)
gym.register("PlantedDraws-v0", OddDraws, max_episode_steps=20)

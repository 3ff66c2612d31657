"""A family of a user's own, with any spaces: press what the task says."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from metarl_envs import Choice, Product

ACTIONS: dict[str, spaces.Space[Any]] = {
    "choices": spaces.MultiDiscrete([3, 4], start=[0, 1]),
    "switches": spaces.MultiBinary((2, 2)),
    "number": spaces.Discrete(4),
    "vector": spaces.Box(-1.0, 1.0, (2,), np.float32),
    "free": spaces.Box(-np.inf, np.inf, (2,), np.float32),
}


class Buttons(gym.Env[Any, Any]):
    """The reward is 1 minus the distance of the first number of an action from the task's place.

    Args:
        actions: name of the action space.
        sees: observation space and what is seen of (step, place).
        tells: info, of step and reward.
    """

    task_distribution = Product({"place": Choice(np.array([0.0, 1.0, 2.0]), held_out=[1])})
    task_space = task_distribution.space
    limit = 4

    def __init__(
        self,
        actions: str = "vector",
        sees: tuple[spaces.Space[Any], Callable[[int, float], Any]] | None = None,
        tells: Callable[[int, float], dict[str, Any]] = lambda step, reward: {},
    ) -> None:
        self.tells = tells
        self.action_space = ACTIONS[actions]
        self.observation_space, self.look = sees or (
            spaces.Box(-np.inf, np.inf, (2,), np.float32),
            lambda step, place: np.array([step, 1.0], np.float32),
        )
        self.task: Any = {"place": np.array(1.0)}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.time = 0
        return self.look(0, float(self.task["place"])), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert np.all(np.isfinite(action))
        if not isinstance(self.action_space, spaces.Box):
            assert self.action_space.contains(action), action
        self.time += 1
        place = float(self.task["place"])
        reward = 1.0 - abs(float(np.ravel(action)[0]) - place)
        info = self.tells(self.time, reward)
        return self.look(self.time, place), reward, False, self.time == self.limit, info


BOX = spaces.Box(-1.0, 9.0, (1,), np.float32)
GOAL = spaces.Dict({"observation": BOX, "achieved_goal": BOX, "desired_goal": BOX})


def goals(step: int, place: float) -> Any:
    """What an environment with a goal dictionary gives."""
    parts = {"observation": step, "achieved_goal": place + 1, "desired_goal": place}
    return {name: np.array([value], np.float32) for name, value in parts.items()}


def tells(step: int, reward: float) -> dict[str, Any]:
    """Success in the third step of four; what the number is, is of the last."""
    return {"success": step == 3, "step": step}


gym.register(
    "Everything-v0",
    lambda: Buttons("choices", (GOAL, goals), tells),
    max_episode_steps=4,
    disable_env_checker=True,
)

TINY: dict[str, Any] = {
    "meta_batch_size": 2,
    "num_trajectories": 2,
    "horizon": 4,
    "iterations": 1,
    "hidden_sizes": (8,),
    "eval_tasks": 0,
}
FEW_STEPS: dict[str, dict[str, Any]] = {
    "maml-trpo": {},
    "promp": {"epochs": 2},
    "rl2": {"num_epochs": 1, "num_minibatches": 2, "hidden_size": 8},
    "proto-embedding": {"num_epochs": 1, "encoder_steps": 1, "encoder_warmup": 1, "num_ways": 2},
}
"""Options that make one iteration of a learner short."""


def some(*fast: str) -> list[Any]:
    """The learners, of which others than these are slow tests: about 1 s of CPU each."""
    slow = pytest.mark.slow
    return [name if name in fast else pytest.param(name, marks=slow) for name in FEW_STEPS]

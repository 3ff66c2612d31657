"""Batched environments of another make: their info is as they like it, and SB3's learners train."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

import metarl
from metarl.sb3 import TaskVecEnv
from metarl.sb3.infos import listed
from metarl_envs import Product, Uniform


class Slopes(VectorEnv[Any, Any, Any]):
    """Points on slopes of which each environment has its own; says how fast it is, once for all."""

    metadata = {"autoreset_mode": AutoresetMode.DISABLED}  # noqa: RUF012  # gymnasium's form

    def __init__(
        self, num_envs: int = 1, max_episode_steps: int = 8, autoreset_mode: Any = None
    ) -> None:
        self.num_envs, self.limit = num_envs, max_episode_steps
        self.elapsed = np.zeros(num_envs, int)
        self.single_observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)
        self.single_action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.task_distribution = Product({"slope": Uniform(-1.0, 1.0)})
        self.task_space = self.task_distribution.space
        self.task = [{"slope": np.array(0.5)}] * num_envs
        self.place = np.zeros((num_envs, 1), np.float32)

    def get_attr(self, name: str) -> tuple[Any, ...]:
        return tuple(self.task) if name == "task" else (getattr(self, name),) * self.num_envs

    def set_attr(self, name: str, values: Any) -> None:
        self.task = list(values)

    def reset(
        self, *, seed: Any = None, options: Any = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        rows = (options or {}).get("reset_mask", slice(None))
        self.place[rows], self.elapsed[rows] = 0, 0
        return self.place.copy(), {"fps": 60.0}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        self.place += actions
        self.elapsed += 1
        slopes = np.array([float(task["slope"]) for task in self.task])
        never = np.zeros(self.num_envs, bool)
        rewards, ended = slopes * self.place[:, 0], self.elapsed >= self.limit
        return self.place.copy(), rewards, never, ended, {"fps": 60.0}


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    gym.register("Slopes-v0", vector_entry_point=Slopes, max_episode_steps=8)
    yield
    del gym.registry["Slopes-v0"]


@pytest.mark.parametrize("told", [60.0, np.float64(60), np.array(60), ["a"], np.zeros(2)])
def test_what_is_told_of_all_is_of_none(told: object) -> None:
    assert listed({"told": told, "each": np.arange(3)}, 3) == [{"each": k} for k in range(3)]


def test_a_batch_that_tells_of_all_is_stepped() -> None:
    env = TaskVecEnv(Slopes(3))
    env.reset()
    env.step_async(np.ones((3, 1), np.float32))
    assert env.step_wait()[3] == [{}, {}, {}]


@pytest.mark.parametrize("learner", ["maml-vpg", "sb3-ppo", "rl2"])
def test_every_kind_of_learner_trains_on_it(learner: str, tmp_path: Path) -> None:
    small = {"iterations": 1, "meta_batch_size": 2, "num_trajectories": 2, "eval_tasks": 2}
    run = metarl.train(learner, env="Slopes-v0", horizon=8, output=tmp_path, **small)
    assert np.isfinite(run.evaluate(tasks=2, steps=1).values).all()

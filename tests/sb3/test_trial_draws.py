"""What an environment of stable-baselines3's view gets does not depend on the others."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

import metarl_envs  # noqa: F401  # registers the ids
from metarl.sb3 import TaskVecEnv

MDP = "metarl/TabularMDP-v0"  # random steps
CORNERS = "metarl/PointCorners-v0"  # random starts
FINITE = [{"goal": np.array([0.1 * i, 0.0])} for i in range(5)]


def make(env_id: str, num_envs: int, **options: Any) -> TaskVecEnv:
    env: Any = gym.make_vec(env_id, num_envs=num_envs, autoreset_mode=AutoresetMode.DISABLED)
    return TaskVecEnv(env, **options)


def run(env: TaskVecEnv, num_steps: int = 25) -> tuple[NDArray[Any], NDArray[Any]]:
    """Observations ``[T, N, D]`` and tasks ``[T, N, P]``; action 0 always."""
    seen, tasks = [env.reset()], [env.task_vectors()]
    shape = env.action_space.shape or ()
    for _ in range(num_steps):
        env.step_async(np.zeros((env.num_envs, *shape), env.action_space.dtype))
        seen.append(env.step_wait()[0])
        tasks.append(env.task_vectors())
    return np.stack(seen), np.stack(tasks)


@pytest.mark.parametrize("draw_every", [1, 2])
def test_an_environment_is_the_same_among_fewer(draw_every: int) -> None:
    """Trajectories of 10 steps, each in a new task or two in one."""
    whole, part = (run(make(MDP, num, draw_every=draw_every, seed=3)) for num in (6, 2))
    for ours, theirs in zip(whole, part, strict=True):
        np.testing.assert_array_equal(ours[:, :2], theirs)
    drawn = {tuple(task) for task in whole[1][:, 0]}
    assert len(drawn) == {1: 3, 2: 2}[draw_every]


def test_environments_get_tasks_and_starts_of_their_own() -> None:
    seen, tasks = run(make(CORNERS, 30, seed=3), 0)
    assert len(np.unique(seen[0], axis=0)) == 30
    assert len(np.unique(tasks[0], axis=0)) == 4


def test_resets_go_on_and_a_seed_goes_back() -> None:
    env = make(CORNERS, 3, seed=3)
    first, second = env.reset(), env.reset()
    assert not np.array_equal(first, second)
    for seed in (5, 5):
        env.seed(seed)
        third = env.reset()
    assert not np.array_equal(first, third)
    other = make(CORNERS, 3, seed=5)
    np.testing.assert_array_equal(other.reset(), third)


def test_given_tasks_are_drawn_by_environment_too() -> None:
    whole, part = (
        run(make("metarl/PointGoal-v0", num, among=FINITE, seed=1), 0)[1] for num in (20, 3)
    )
    np.testing.assert_array_equal(whole[:, :3], part)
    assert len(np.unique(whole[0], axis=0)) == 5

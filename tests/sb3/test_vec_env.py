"""A vector environment with tasks as stable-baselines3 sees it."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

import metarl_envs
from metarl.sb3 import TaskVecEnv

GOALS = [{"goal": np.array(goal)} for goal in ([0.1, 0.0], [0.5, 0.5], [-0.5, 0.0])]
RIGHT = np.array([[0.1, 0.0]] * 3, np.float32)


def batched(**options: Any) -> Any:
    return gym.make_vec(
        "metarl/PointGoal-v0",
        num_envs=3,
        max_episode_steps=4,
        autoreset_mode=AutoresetMode.DISABLED,
        **options,
    )


def synchronous() -> Any:
    make = lambda: gym.make("metarl/PointGoal-v0", max_episode_steps=4)  # noqa: E731
    return SyncVectorEnv([make] * 3, autoreset_mode=AutoresetMode.DISABLED)


@pytest.mark.parametrize("make", [batched, synchronous])
def test_ends_are_told_apart_and_followed_by_a_start(make: Any) -> None:
    """The first environment reaches its goal in one step, the others their time limit in four."""
    env = TaskVecEnv(make(), draw_every=0)
    env.set_tasks(GOALS)
    env.reset()
    observations, rewards, ended, infos = env.step(RIGHT)
    assert ended.tolist() == [True, False, False]
    np.testing.assert_allclose(infos[0]["terminal_observation"], [0.1, 0.0])
    assert infos[0]["TimeLimit.truncated"] is False
    assert infos[1] == infos[2] == {}
    np.testing.assert_allclose(observations, [[0, 0], [0.1, 0], [0.1, 0]])
    np.testing.assert_allclose(rewards, [0.0, -np.hypot(0.4, 0.5), -0.6], atol=1e-6)
    for _ in range(2):
        env.step(np.zeros((3, 2), np.float32))
    observations, _, ended, infos = env.step(RIGHT)
    assert ended.tolist() == [True, True, True]  # the first has reached its goal a second time
    assert [info["TimeLimit.truncated"] for info in infos] == [False, True, True]
    np.testing.assert_allclose(infos[1]["terminal_observation"], [0.2, 0.0], atol=1e-6)
    np.testing.assert_allclose(observations, np.zeros((3, 2)))
    assert [task["goal"].tolist() for task in env.tasks] == [g["goal"].tolist() for g in GOALS]
    env.close()


@pytest.mark.parametrize("make", [batched, synchronous])
def test_tasks_are_drawn_anew_where_a_trajectory_ended(make: Any) -> None:
    env = TaskVecEnv(make(), seed=1)
    env.set_tasks(GOALS)
    env.reset()
    env.step(RIGHT)
    goals = [task["goal"].tolist() for task in env.tasks]
    assert goals[0] != [0.1, 0.0]
    assert goals[1:] == [[0.5, 0.5], [-0.5, 0.0]]
    other = TaskVecEnv(make(), seed=1)
    assert not np.array_equal(other.tasks[0]["goal"], other.tasks[1]["goal"])


def test_the_first_observation_shows_the_new_task() -> None:
    env = TaskVecEnv(metarl_envs.ShowTaskVector(batched()), seed=1)
    env.set_tasks(GOALS)
    env.reset()
    observations, _, ended, infos = env.step(RIGHT)
    assert ended.tolist() == [True, False, False]
    np.testing.assert_allclose(observations[:, 2:], [2 * t["goal"] for t in env.tasks], rtol=1e-6)
    np.testing.assert_allclose(infos[0]["terminal_observation"], [0.1, 0, 0.2, 0], atol=1e-6)


def test_seeds_decide_tasks_and_starts() -> None:
    def start(seed: int) -> Any:
        env = gym.make_vec(
            "metarl/PointCorners-v0", num_envs=3, autoreset_mode=AutoresetMode.DISABLED
        )
        task_env = TaskVecEnv(env, seed=seed)  # type: ignore[arg-type]  # has tasks
        return task_env.reset()

    np.testing.assert_array_equal(start(3), start(3))
    assert not np.array_equal(start(3), start(4))


def test_another_autoreset_mode_is_refused() -> None:
    env: Any = gym.make_vec("metarl/PointGoal-v0", num_envs=3)
    with pytest.raises(ValueError, match="make the environment with autoreset_mode="):
        TaskVecEnv(env)


def test_attributes_are_per_environment() -> None:
    env = TaskVecEnv(batched(), draw_every=0)
    env.set_tasks(GOALS)
    env.set_attr("task", GOALS[1], indices=[0])
    assert [t["goal"].tolist() for t in env.get_attr("task")] == [
        [0.5, 0.5],
        [0.5, 0.5],
        [-0.5, 0.0],
    ]
    assert env.env_is_wrapped(gym.Wrapper) == [False] * 3
    with pytest.raises(AttributeError, match="no method 'fly' of their own"):
        env.env_method("fly")


def test_ppo_trains_over_it_with_a_monitor() -> None:
    env = VecMonitor(TaskVecEnv(batched()))
    model = PPO("MlpPolicy", env, n_steps=8, batch_size=24, n_epochs=1, seed=0, device="cpu")
    model.learn(48)
    lengths = [episode["l"] for episode in model.ep_info_buffer or ()]
    assert lengths
    assert max(lengths) <= 4

"""The task beside the observation, single and batched."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import SyncVectorEnv

import metarl_envs
from metarl_envs.wrappers.show_task import task_features

GOALS = [{"goal": np.array([0.5, -0.25])}, {"goal": np.array([0.0, 0.125])}]
SHOWN = np.array([[1.0, -0.5], [0.0, 0.25]])  # of the bounds ±0.5


def batched() -> Any:
    return gym.make_vec("metarl/PointGoal-v0", num_envs=2)


def synchronous() -> Any:
    return SyncVectorEnv([lambda: gym.make("metarl/PointGoal-v0")] * 2)


@pytest.mark.parametrize("make", [batched, synchronous])
def test_every_environment_of_a_batch_shows_its_own_task(make: Any) -> None:
    env = metarl_envs.ShowTaskVector(make())
    env.set_attr("task", GOALS)
    observations, _ = env.reset(seed=0)
    np.testing.assert_array_equal(observations, np.hstack([np.zeros((2, 2)), SHOWN]))
    stepped, *_ = env.step(np.full((2, 2), 0.1, np.float32))
    np.testing.assert_allclose(stepped, np.hstack([np.full((2, 2), 0.1), SHOWN]))
    assert stepped.dtype == np.float32
    assert env.observation_space.contains(stepped)
    assert env.get_attr("task")[1]["goal"].tolist() == [0.0, 0.125]
    env.close()


def test_a_new_task_shows_at_once() -> None:
    env = metarl_envs.ShowTaskVector(batched())
    env.set_attr("task", GOALS)
    env.reset(seed=0)
    env.set_attr("task", GOALS[::-1])
    observations, *_ = env.step(np.zeros((2, 2), np.float32))
    np.testing.assert_array_equal(observations[:, 2:], SHOWN[::-1])


# positions are unbounded, as in the paper, and not symmetric with the task
@pytest.mark.filterwarnings("ignore:.*A Box observation space (min|max)imum value is:UserWarning")
# the wrapper is what is checked
@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version:UserWarning")
def test_a_single_environment_shows_its_task() -> None:
    env = metarl_envs.ShowTask(gym.make("metarl/PointGoal-v0", task=GOALS[0]))
    observation, _ = env.reset(seed=0)
    assert observation.tolist() == [0.0, 0.0, 1.0, -0.5]
    moved, *_ = env.step(np.array([0.1, 0.0], np.float32))
    np.testing.assert_allclose(moved, [0.1, 0.0, 1.0, -0.5])
    env.set_wrapper_attr("task", GOALS[1])
    assert env.reset()[0].tolist() == [0.0, 0.0, 0.0, 0.25]
    check_env(env, skip_render_check=True)


def test_unbounded_entries_are_shown_as_they_are() -> None:
    space = spaces.Dict(
        {
            "mean": spaces.Box(-np.inf, np.inf, (2,), np.float64),
            "mass": spaces.Box(1.0, 3.0, (1,), np.float64),
            "fixed": spaces.Box(2.0, 2.0, (1,), np.float64),
        }
    )
    task = {"mean": [7.0, -9.0], "mass": [2.5], "fixed": [2.0]}
    shown = task_features(space, [task])[0]
    by_name = {name: shown[i] for i, name in enumerate(_columns(space))}
    assert by_name == {"mean0": 7.0, "mean1": -9.0, "mass0": 0.5, "fixed0": 0.0}


def _columns(space: spaces.Dict) -> list[str]:
    return [
        f"{name}{i}" for name, part in space.items() for i in range(int(np.prod(part.shape or ())))
    ]


def test_a_task_is_not_shown_beside_an_image() -> None:
    env = gym.make_vec(
        "metarl/GridNavi-v0", num_envs=2, observation="image", vectorization_mode=None
    )
    with pytest.raises(ValueError, match="a task can be shown beside a Box of one axis, not"):
        metarl_envs.ShowTaskVector(env)

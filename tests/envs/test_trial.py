"""``Trial``: the stream of two trajectories, by hand, and how a trial ends."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from small_envs import Countdown, Slide

from metarl_envs import RandomGoal, Trial, Uniform


@pytest.mark.parametrize("terminates", [True, False])
def test_two_trajectories_by_hand(terminates: bool) -> None:
    """One-hot state of 4, one-hot action of 2, reward, end flag."""
    env = Trial(Countdown(terminates=terminates), 2)
    observation, _ = env.reset(seed=0)
    np.testing.assert_array_equal(observation, [0, 0, 0, 1, 0, 0, 0, 0])
    expected = [
        # action, next state of 4, action of 2, reward, flag
        (0, [0, 0, 1, 0, 1, 0, 10, 0], False),
        (1, [0, 0, 0, 1, 0, 1, 20, 1], False),  # ended: the state is the next trajectory's first
        (0, [0, 0, 1, 0, 1, 0, 10, 0], False),
        (0, [0, 1, 0, 0, 1, 0, 20, 0], False),
        (0, [1, 0, 0, 0, 1, 0, 30, 1], True),  # the trial ended: the last state itself
    ]
    progress = []
    for action, stream, ended in expected:
        observation, reward, terminated, truncated, info = env.step(action)
        np.testing.assert_array_equal(observation, stream)
        assert observation.dtype == np.float32
        assert reward == stream[-2]
        assert terminated == (ended and terminates)
        assert truncated == (ended and not terminates)
        progress.append(info["trajectory"])
    assert progress == [
        {"index": 0, "return": 10.0, "length": 1},
        {"index": 0, "return": 30.0, "length": 2},
        {"index": 1, "return": 10.0, "length": 1},
        {"index": 1, "return": 30.0, "length": 2},
        {"index": 1, "return": 60.0, "length": 3},
    ]
    observation, _ = env.reset()
    np.testing.assert_array_equal(observation, [0, 0, 0, 1, 0, 0, 0, 0])
    assert env.step(0)[-1]["trajectory"]["index"] == 0


def test_box_observations_and_actions() -> None:
    env = Trial(gym.wrappers.TimeLimit(Slide(), 2), 3)
    low, high = env.observation_space.low, env.observation_space.high
    np.testing.assert_array_equal(low, np.float32([-10, -10, -1, -np.inf, 0]))
    np.testing.assert_array_equal(high, np.float32([10, 10, 1, np.inf, 1]))
    first = env.reset(seed=0)[0]
    np.testing.assert_array_equal(first[1:], 0)
    action = np.array([0.5], np.float32)
    observations, ends, inner = [first], [], []
    for _ in range(6):
        observation, _, terminated, truncated, info = env.step(action)
        observations.append(observation)
        ends.append((terminated, truncated))
        inner.append(info["x"])
    stream = np.array(observations)
    np.testing.assert_array_equal(stream[1:, 2], 0.5)
    np.testing.assert_array_equal(stream[:, 4], [0, 0, 1, 0, 1, 0, 1])
    assert ends == [(False, False)] * 5 + [(False, True)]
    starts = stream[[0, 2, 4], 0]
    assert len(set(starts)) == 3  # starts of a trial are drawn one after another, not seeded anew
    assert (np.abs(starts) <= 0.1).all()
    np.testing.assert_allclose(inner, np.repeat(starts, 2) + np.tile([0.25, 0.5], 3), atol=1e-6)


def test_the_task_stays_and_can_be_set_through_the_trial() -> None:
    def reward(s: Any, a: Any, s_next: Any, info: Any, goal: Any) -> float:
        return float(goal)

    env = Trial(RandomGoal(gym.wrappers.TimeLimit(Slide(), 2), Uniform(-1.0, 1.0), reward), 2)
    assert env.set_wrapper_attr("task", {"goal": 0.25}, force=False)
    for _ in range(2):
        env.reset()
        rewards = [env.step(np.zeros(1, np.float32))[1] for _ in range(4)]
        assert rewards == [0.25] * 4


def test_one_trajectory_is_the_environment_itself_with_more_to_see() -> None:
    plain, trial = gym.make("Pendulum-v1"), Trial(gym.make("Pendulum-v1"), 1)
    np.testing.assert_array_equal(trial.reset(seed=0)[0][:3], plain.reset(seed=0)[0])
    for i in range(200):
        action = np.array([np.sin(i)], np.float32)
        expected, got = plain.step(action), trial.step(action)
        np.testing.assert_array_equal(got[0][:3], expected[0])
        assert got[1:4] == expected[1:4]
    assert got[3]


def test_zeros_of_the_first_step_fit_actions_that_cannot_be_zero() -> None:
    env = gym.wrappers.RescaleAction(Slide(), np.float32(1.0), np.float32(2.0))
    trial = Trial(env, 2)
    assert trial.observation_space.contains(trial.reset(seed=0)[0])


def test_wrong_constructions() -> None:
    with pytest.raises(ValueError, match="num_trajectories must be at least 1, got 0"):
        Trial(Slide(), 0)
    env = Slide()
    env.observation_space = spaces.Sequence(spaces.Discrete(2))  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"flatten to a Box, got Sequence"):
        Trial(env, 2)

"""``RandomGoal``: what the reward function gets, where the goal is put, what is shown of it."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from small_envs import Countdown, Slide

from metarl_envs import RandomGoal, Uniform

GOALS = Uniform(-1.0, 1.0)


def ignore(*_: Any) -> float:
    return 0.0


def pusher(**options: Any) -> RandomGoal:
    """The goal is a place of the table; Pusher's own reward follows the goal's body."""

    def set_goal(robot: Any, goal: Any) -> None:
        robot.model.body("goal").pos[:2] = goal

    goals = Uniform([0.3, -0.4], [0.6, 0.1])
    return RandomGoal(gym.make("Pusher-v5"), goals, set_goal=set_goal, **options)


@pytest.mark.parametrize("reuses_arrays", [False, True])
def test_the_reward_is_of_the_step_and_the_goal(reuses_arrays: bool) -> None:
    """Progress |x - g| - |x' - g| with x' = x + 0.5 a, also where observations share one array."""
    seen = []

    def progress(observation, action, next_observation, info, goal):
        seen.append((float(observation[0]), action, float(next_observation[0]), info, goal))
        return abs(observation[0] - goal) - abs(next_observation[0] - goal)

    env = RandomGoal(Slide(reuses_arrays=reuses_arrays), GOALS, progress, task={"goal": 0.9})
    start = float(env.reset(seed=0)[0][0])
    action = np.array([0.4], np.float32)
    rewards = [env.step(action)[1] for _ in range(3)]
    np.testing.assert_allclose(rewards, 0.2, rtol=1e-6)
    assert all(type(reward) is float for reward in rewards)
    np.testing.assert_allclose([s[0] for s in seen], start + np.array([0, 0.2, 0.4]), rtol=1e-6)
    np.testing.assert_allclose([s[2] for s in seen], start + np.array([0.2, 0.4, 0.6]), rtol=1e-6)
    assert [s[3] for s in seen] == [{"x": pytest.approx(s[2], rel=1e-6)} for s in seen]
    assert all(s[1] is action and s[4] == 0.9 for s in seen)
    env.task = {"goal": -0.9}
    assert env.step(action)[1] == pytest.approx(-0.2, rel=1e-6)


def test_without_a_reward_function_the_environment_s_own_counts() -> None:
    env = pusher(task={"goal": [0.5, -0.3]}, hide=range(20, 23))
    robot: Any = env.unwrapped
    env.reset(seed=0)
    action = np.zeros(7, np.float32)
    reward = env.step(action)[1]
    tip, object_, goal = (robot.get_body_com(name) for name in ("tips_arm", "object", "goal"))
    np.testing.assert_allclose(goal[:2], [0.5, -0.3], atol=0.01)
    near, distance = np.linalg.norm(object_ - tip), np.linalg.norm(object_ - goal)
    assert reward == pytest.approx(-0.5 * near - distance)


def test_a_goal_in_the_model_is_there_in_the_first_observation() -> None:
    env = pusher()
    for goal in ([0.5, -0.3], [0.35, 0.05]):
        env.task = {"goal": goal}
        observation, _ = env.reset(seed=0)
        np.testing.assert_array_equal(observation[20:22], goal)


def test_hidden_entries_are_left_out_and_tell_nothing() -> None:
    whole, hidden = pusher(), pusher(hide=range(20, 23))
    assert hidden.observation_space.shape == (20,)
    shown = []
    for goal in ([0.5, -0.3], [0.35, 0.05]):
        whole.task = hidden.task = {"goal": goal}
        observation = hidden.reset(seed=0)[0]
        np.testing.assert_array_equal(observation, whole.reset(seed=0)[0][:20])
        shown.append((observation, hidden.step(np.full(7, 0.5, np.float32))[0]))
    np.testing.assert_array_equal(shown[0], shown[1])


def test_an_observed_goal_comes_last() -> None:
    env = RandomGoal(Slide(), GOALS, ignore, task={"goal": 0.25}, hide=[1], observe_goal=True)
    np.testing.assert_array_equal(env.observation_space.low, np.float32([-10, -1]))
    np.testing.assert_array_equal(env.observation_space.high, np.float32([10, 1]))
    for observation in (env.reset(seed=0)[0], env.step(np.zeros(1, np.float32))[0]):
        assert observation.dtype == np.float32
        assert observation[1] == np.float32(0.25)
        assert env.observation_space.contains(observation)


def test_the_goal_is_put_back_after_each_reset() -> None:
    """An environment that draws a goal of its own in reset."""

    class Moves(Slide):
        def reset(self, **options: Any) -> Any:
            self.lamp = -5.0
            return super().reset(**options)

    def set_goal(env: Any, goal: Any) -> None:
        env.lamp = float(goal)

    env = RandomGoal(Moves(), GOALS, set_goal=set_goal, task={"goal": 0.25})
    for _ in range(2):
        env.reset()
        assert env.unwrapped.lamp == 0.25
        assert env.step(np.zeros(1, np.float32))[0][1] == 0.25


def test_environments_with_other_observations_and_actions() -> None:
    env = RandomGoal(
        Countdown(), GOALS, lambda s, a, s_next, info, goal: s + 10 * a + 100 * s_next + goal
    )
    env.task = {"goal": 0.5}
    assert env.reset(seed=0)[0] == 3
    assert env.step(0) == (2, 203.5, False, False, {})
    assert env.step(1) == (0, 12.5, True, False, {})


@pytest.mark.parametrize(
    ("env", "options", "message"),
    [
        (Slide(), {}, "needs reward, set_goal or both"),
        (Slide(), {"reward": ignore, "hide": [2]}, r"hide must be within 0 and 1, got \[2\]"),
        (Slide(), {"reward": ignore, "hide": [-1]}, r"hide must be within 0 and 1, got \[-1\]"),
        (Countdown(), {"reward": ignore, "hide": [0]}, r"not of Discrete\(4\); wrap .*Flatten"),
        (Countdown(), {"reward": ignore, "observe_goal": True}, "only entries of a Box"),
    ],
)
def test_wrong_constructions(env: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        RandomGoal(env, GOALS, **options)
    assert "\n" not in str(error.value)

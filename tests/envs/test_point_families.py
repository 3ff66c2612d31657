"""The point families, number by number, from their rows of the specification table.

The rows are those of the reference implementations: 2-D navigation of MAML, the sparse point robot
of PEARL, the corners of ProMP.
"""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from metarl_envs import FAMILIES, PointCorners

Point = tuple[float, float]
Steps = list[tuple[Point, Point, float, bool]]


def make(env_id: str, goal: Point, start: Point | None = None, **options: Any) -> gym.Env[Any, Any]:
    """A reset environment with that goal, moved to ``start`` if given."""
    env = gym.make(env_id, **options)
    env.unwrapped.set_wrapper_attr("task", {"goal": list(goal)})
    env.reset(seed=0)
    if start is not None:
        env.unwrapped.set_wrapper_attr("state", np.array(start))
    return env


def assert_step(env: gym.Env[Any, Any], action: Point, *expected: Any) -> None:
    position, reward, terminated = expected
    observation, got_reward, got_terminated, truncated, _ = env.step(np.array(action, np.float32))
    np.testing.assert_allclose(observation, position, rtol=1e-6)
    assert got_reward == pytest.approx(reward, rel=1e-6, abs=1e-8)
    assert (got_terminated, truncated) == (terminated, False)


def test_navigation() -> None:
    """Start (0, 0), x' = x + clip(a, ±0.1), reward -||x' - g||, done when |dx|, |dy| < 0.01.

    Goal (0.3, 0.4): after (0.1, -0.1) the offset is (0.2, 0.5), distance sqrt(0.29); after another
    (5, 5), clipped to (0.1, 0.1), the position is (0.2, 0), the offset (0.1, 0.4).
    """
    env = make("metarl/PointGoal-v0", (0.3, 0.4))
    assert_step(env, (0.1, -0.1), (0.1, -0.1), -np.sqrt(0.29), False)
    assert_step(env, (5.0, 5.0), (0.2, 0.0), -np.sqrt(0.17), False)
    assert_step(env, (-0.05, 0.0), (0.15, 0.0), -np.sqrt(0.0225 + 0.16), False)


@pytest.mark.parametrize(
    ("offset", "terminated"),
    [((0.009, -0.009), True), ((0.011, 0.0), False), ((0.0, -0.011), False)],
)
def test_navigation_ends_near_the_goal(offset: Point, terminated: bool) -> None:
    position = (0.3 + offset[0], 0.4 + offset[1])
    env = make("metarl/PointGoal-v0", (0.3, 0.4), position)
    assert_step(env, (0.0, 0.0), position, -np.hypot(*offset), terminated)


@pytest.mark.parametrize(
    ("gap", "reward"), [(0.0, 1.0), (0.15, 0.85), (0.199, 0.801), (0.201, 0.0)]
)
def test_sparse_reward_is_one_minus_the_distance_within_a_fifth(gap: float, reward: float) -> None:
    env = make("metarl/PointGoalSparse-v0", (0.0, 1.0), (0.0, 1.0 - gap))
    assert_step(env, (0.0, 0.0), (0.0, 1.0 - gap), reward, False)


def test_sparse_robot_starts_at_the_origin_and_is_clipped() -> None:
    env = make("metarl/PointGoalSparse-v0", (0.0, 1.0))
    assert_step(env, (0.0, 3.0), (0.0, 0.1), 0.0, False)


def test_sparse_goals_are_on_the_half_circle() -> None:
    """100 goals at angles linspace(0, π), 80 for training and 20 held out, interleaved."""
    goals = gym.make("metarl/PointGoalSparse-v0").get_wrapper_attr("task_distribution")
    parts = []
    for split in ("train", "held_out"):
        drawn = goals.sample(np.random.default_rng(0), 5000, split)["goal"]
        angles = np.arctan2(drawn[:, 1], drawn[:, 0])
        np.testing.assert_allclose(np.hypot(*drawn.T), 1.0)
        parts.append(set(np.round(angles / np.pi * 99, 6).tolist()))
    train, held_out = parts
    assert train | held_out == set(range(100))
    assert (len(train), len(held_out)) == (80, 20)
    assert {0.0, 99.0} <= train
    assert not train & held_out


@pytest.mark.parametrize(
    ("goal", "start", "action", "reward"),
    [
        # ||x'||_1 = 0.4 < 0.5
        ((2.0, 2.0), (0.1, 0.1), (0.1, 0.1), 0.0),
        # ||x'||_1 = 0.6, goal nearest: 1.8 √2 - 1.7 √2
        ((2.0, 2.0), (0.2, 0.2), (0.1, 0.1), 0.1 * np.sqrt(2.0)),
        # the same move with another corner as the goal
        ((2.0, -2.0), (0.2, 0.2), (0.1, 0.1), 0.0),
        # away from the nearest corner, clipped to -0.2: from (2, 2 - 1) back to (2, 0.8)
        ((2.0, 2.0), (2.0, 1.0), (0.0, -9.0), -0.2),
    ],
)
def test_corner_rewards(goal: Point, start: Point, action: Point, reward: float) -> None:
    env = make("metarl/PointCorners-v0", goal, start)
    position = (start[0] + np.clip(action[0], -0.2, 0.2), start[1] + np.clip(action[1], -0.2, 0.2))
    assert_step(env, action, position, reward, False)


@pytest.mark.parametrize(("reward", "expected"), [("dense", -5.0), ("dense_squared", -25.0)])
def test_dense_corner_rewards(reward: str, expected: float) -> None:
    """From (-1, -2) to the corner (2, 2) it is 3 and 4 along the axes, 5 in all."""
    env = make("metarl/PointCorners-v0", (2.0, 2.0), (-1.0, -2.0), reward=reward)
    assert_step(env, (0.0, 0.0), (-1.0, -2.0), expected, False)


def test_corners_start_in_the_square_and_share_their_tasks() -> None:
    """Start uniform on [-0.2, 0.2]²: mean 0, variance 0.4² / 12."""
    family = PointCorners()
    starts = family.start(np.random.default_rng(0), (10_000,))
    assert np.abs(starts).max() <= 0.2
    np.testing.assert_allclose(starts.mean(0), 0.0, atol=0.005)
    np.testing.assert_allclose(starts.var(0), 0.16 / 12, rtol=0.05)
    assert not family.task_distribution.disjoint
    goals = family.task_distribution.sample(np.random.default_rng(0), 100, "held_out")["goal"]
    assert {tuple(goal) for goal in goals} == {(x, y) for x in (-2.0, 2.0) for y in (-2.0, 2.0)}


def test_unknown_corner_reward() -> None:
    with pytest.raises(ValueError, match="reward must be sparse, dense or dense_squared"):
        gym.make("metarl/PointCorners-v0", reward="shaped")


def test_navigation_goals_span_the_square() -> None:
    goals = gym.make("metarl/PointGoal-v0").get_wrapper_attr("task_distribution")
    drawn = goals.sample(np.random.default_rng(0), 10_000, "train")["goal"]
    np.testing.assert_allclose([drawn.min(0), drawn.max(0)], [[-0.5] * 2, [0.5] * 2], atol=0.001)


@pytest.mark.parametrize(
    ("env_id", "horizon"),
    [
        ("metarl/PointGoal-v0", 100),
        ("metarl/PointGoalSparse-v0", 20),
        ("metarl/PointCorners-v0", 100),
    ],
)
def test_time_limits(env_id: str, horizon: int) -> None:
    env = make(env_id, (0.5, 0.5) if env_id != "metarl/PointCorners-v0" else (2.0, 2.0))
    ends = [env.step(np.zeros(2, np.float32))[2:4] for _ in range(horizon)]
    assert ends == [(False, False)] * (horizon - 1) + [(False, True)]
    assert FAMILIES[env_id] == horizon

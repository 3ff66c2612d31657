"""The robots that stand for real ones: gymnasium's where nothing differs, others where it does."""

import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from numpy.testing import assert_allclose, assert_array_equal
from real_robots import (
    HALF_CHEETAH,
    PENDULUM,
    RealHalfCheetah,
    Reality,
    RealPendulum,
    RealRobot,
)

ROBOTS = {RealHalfCheetah: HALF_CHEETAH, RealPendulum: PENDULUM}
DIFFERENCES = [
    (kind, name)
    for kind, reality in ROBOTS.items()
    for name, plain in Reality._field_defaults.items()
    if getattr(reality, name) != plain
]


def rolled(env: gym.Env, scale: float = 1.0, steps: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Observations and rewards of a trajectory of random actions."""
    rng = np.random.default_rng(1)
    observations, rewards = [env.reset(seed=3)[0]], []
    for _ in range(steps):
        action = scale * rng.uniform(env.action_space.low, env.action_space.high)
        observation, reward, *_ = env.step(action.astype(np.float32))
        observations.append(observation)
        rewards.append(float(reward))
    return np.array(observations), np.array(rewards)


def test_half_cheetah_without_differences_is_gymnasiums_step_for_step() -> None:
    found = rolled(RealHalfCheetah())
    expected = rolled(gym.make("HalfCheetah-v5", ctrl_cost_weight=0.05))
    assert_array_equal(found[0], expected[0])
    assert_allclose(found[1], expected[1], rtol=1e-6)  # costs are of single precision there


def test_pendulum_without_differences_is_gymnasiums_step_for_step() -> None:
    found, expected = rolled(RealPendulum(), 0.3, 40), rolled(gym.make("Pendulum-v1"), 0.3, 40)
    assert abs(expected[0][:, 2]).max() < 8  # where it stops
    assert_allclose(found[0], expected[0], atol=1e-5)  # theirs are shown in single precision
    assert_allclose(found[1], expected[1], atol=1e-5)


@pytest.mark.parametrize(("kind", "name"), DIFFERENCES)
def test_each_difference_changes_what_happens(kind: type[RealRobot], name: str) -> None:
    value = getattr(ROBOTS[kind], name)
    plain, changed = rolled(kind(), 0.3), rolled(kind(Reality(**{name: value})), 0.3)
    if name.endswith("noise"):  # sensed, not true
        assert_array_equal(plain[1], changed[1])
        assert 0.1 * value < (plain[0] - changed[0]).std() < value
    else:
        assert abs(plain[1] - changed[1]).max() > 1e-3


@pytest.mark.parametrize("kind", ROBOTS)
def test_an_action_arrives_after_its_delay(kind: type[RealRobot]) -> None:
    late, rest = kind(Reality(delay=2)), kind()
    rest.reset(seed=0)
    late.reset(seed=0)
    push, nothing = late.action_space.high, np.zeros_like(late.action_space.high)
    for step, action in enumerate([push, nothing, nothing]):
        found, expected = late.step(action)[0], rest.step(nothing)[0]
        assert np.array_equal(found, expected) == (step < 2)


@pytest.mark.filterwarnings("ignore:.*A Box observation space (min|max)imum value is:UserWarning")
@pytest.mark.filterwarnings("ignore:.*a symmetric and normalized space:UserWarning")
@pytest.mark.parametrize("kind", ROBOTS)
def test_they_are_environments(kind: type[RealRobot]) -> None:
    check_env(kind(ROBOTS[kind]), skip_render_check=True)


def test_they_need_nothing_of_ours() -> None:
    program = (
        "import real_robots, sys; assert not {'metarl', 'metarl_envs', 'torch'} & {*sys.modules}"
    )
    folder = Path(__file__).parents[2] / "experiments"
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True)

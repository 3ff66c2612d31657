"""What is wrong is named at the earliest place."""

import sys
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from transitions import make_vec

from metarl_envs.mujoco.version import check_version

CHEETAH = "metarl/HalfCheetahDir-v0"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_action_that_is_not_finite(value: float) -> None:
    env = make_vec("HalfCheetahDir")
    env.reset(seed=0)
    actions = np.zeros((4, 6), np.float32)
    actions[2, 3] = value
    before = env.physics.qpos.copy()
    with pytest.raises(
        ValueError, match=r"the action of environment 2 is \[0.0, 0.0, 0.0, (nan|inf)"
    ):
        env.step(actions)
    np.testing.assert_array_equal(env.physics.qpos, before)


def test_actions_of_the_wrong_shape() -> None:
    env = make_vec("HalfCheetahDir")
    with pytest.raises(ValueError, match=r"actions must be \(4, 6\), got \(4, 5\)"):
        env.step(np.zeros((4, 5), np.float32))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float16"}, "dtype must be float32 or float64, got 'float16'"),
        ({"num_threads": -1}, "num_threads must be at least 0, got -1"),
        ({"max_episode_steps": 0}, "max_episode_steps must be at least 1, got 0"),
        ({"num_envs": 0}, "num_envs must be at least 1, got 0"),
    ],
)
def test_sizes_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gym.make_vec(CHEETAH, **{"num_envs": 2, "num_threads": 1, **options})


def test_a_task_outside_the_space() -> None:
    with pytest.raises(ValueError, match=r"'velocity' is 9.0; it must lie within \[0.0, 2.0\]"):
        gym.make("metarl/HalfCheetahVel-v0", task={"velocity": 9.0})


@pytest.mark.parametrize(
    ("version", "accepted"),
    [("3.16.9", False), ("2.3.7", False), ("3.17.0", True), ("4.0.0", True), ("10.0.0", True)],
)
def test_the_version_of_mujoco(version: str, accepted: bool) -> None:
    if accepted:
        check_version(version)
    else:
        with pytest.raises(gym.error.DependencyNotInstalled, match=rf">= 3.17, found {version}"):
            check_version(version)


def test_a_mujoco_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it has no ``mujoco.batch`` at all."""
    for module in [name for name in sys.modules if name.startswith("metarl_envs.mujoco")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(mujoco, "__version__", "3.3.0")
    monkeypatch.setitem(sys.modules, "mujoco.batch", None)
    with pytest.raises(gym.error.DependencyNotInstalled, match=r"mujoco >= 3\.17, found 3\.3"):
        gym.make(CHEETAH)

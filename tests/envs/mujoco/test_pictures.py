"""Pictures of the MuJoCo families, where OpenGL can draw without a screen."""

import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

import metarl_envs  # noqa: F401  # registers the ids

DRAW = """
import gymnasium, numpy, sys
import metarl_envs
env = gymnasium.make("metarl/HalfCheetahDir-v0", render_mode="rgb_array")
env.reset(seed=0)
first = env.render()
for _ in range(20):
    env.step(numpy.ones(6, numpy.float32))
second = env.render()
print(first.shape, first.dtype, numpy.abs(first.astype(int) - second).mean() > 1)
env.close()
"""


def test_a_picture_shows_what_the_robot_does() -> None:
    """In a process of its own, since an OpenGL that is missing may end it."""
    done = subprocess.run(
        [sys.executable, "-c", DRAW],
        env={"MUJOCO_GL": "egl", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"OpenGL draws nothing without a screen here: {done.stderr[-200:]}")
    assert done.stdout.split("\n")[0] == "(320, 480, 3) uint8 True"


def test_pictures_are_asked_for_when_the_environment_is_made() -> None:
    env = gym.make_vec("metarl/HalfCheetahDir-v0", num_envs=1)
    assert env.metadata["render_modes"] == ["rgb_array"]
    assert env.metadata["render_fps"] == 20
    env.reset(seed=0)
    with pytest.raises(ValueError, match="pictures need render_mode='rgb_array'"):
        env.render()
    with pytest.raises(ValueError, match="render_mode must be rgb_array or None, got 'human'"):
        gym.make_vec("metarl/HalfCheetahDir-v0", num_envs=1, render_mode="human")
    assert np.isfinite(env.step(env.action_space.sample())[0]).all()

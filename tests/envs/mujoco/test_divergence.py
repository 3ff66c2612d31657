"""A simulation that diverges ends its own trajectory and no other."""

from typing import Any

import numpy as np
import pytest
from mujoco.batch import SimulationError
from transitions import make_vec, random_actions, single

from metarl_envs.mujoco.engine import MujocoVectorEnv

CHEETAH = "metarl/HalfCheetahDir-v0"


def disturb_by_speed(env: MujocoVectorEnv) -> None:
    env.physics.qvel[1] = 1e9


def disturb_by_nan(env: MujocoVectorEnv) -> None:
    env.physics.qpos[1, 2] = np.nan


def disturb_at_the_end(env: MujocoVectorEnv) -> None:
    """A velocity that only the last simulation step's result shows to be unstable."""
    step = env.batch.step

    def step_then_break(ids: Any, **how: Any) -> None:
        step(ids, **how)
        env.physics.qvel[1] = np.inf

    env.batch.step = step_then_break


def disturb_by_error(env: MujocoVectorEnv) -> None:
    """MuJoCo itself raises for one simulation; the others run to completion."""
    step = env.batch.step

    def step_all_but_one(ids: Any, **how: Any) -> None:
        step([0, 2, 3], **how)
        raise SimulationError(np.array([1]), "mj_step: out of memory")

    env.batch.step = step_all_but_one


@pytest.mark.parametrize("physics", ["gymnasium", "maml"])
@pytest.mark.parametrize("name", ["HalfCheetahDir", "AntVel"])
@pytest.mark.parametrize(
    "disturb", [disturb_by_speed, disturb_by_nan, disturb_at_the_end, disturb_by_error]
)
# MuJoCo tells of an unstable simulation in a log file of the current folder
@pytest.mark.usefixtures("in_a_folder_of_its_own")
def test_a_diverged_simulation_ends_its_trajectory_only(
    name: str, physics: str, disturb: Any
) -> None:
    env, calm = (make_vec(name, physics=physics) for _ in range(2))
    calm.set_tasks(env.tasks)
    env.reset(seed=0), calm.reset(seed=0)
    disturb(env)
    actions = random_actions(env, 3)
    observations, rewards, terminated, truncated, info = env.step(actions[0])
    expected = calm.step(actions[0])
    others = [0, 2, 3]
    assert info["diverged"].tolist() == [False, True, False, False]
    assert terminated[1]
    assert not truncated.any()
    assert rewards[1] == 0.0
    assert np.isfinite(observations).all()
    assert np.abs(env.physics.qpos[1] - env.family.robot.start_qpos).max() <= 0.1  # a start
    np.testing.assert_array_equal(observations[others], expected[0][others])
    np.testing.assert_array_equal(rewards[others], expected[1][others])
    vars(env.batch).pop("step", None)
    # it waits for its reset, then is as good as new
    waiting = env.physics.qpos[1].copy()
    for _ in range(2):
        assert not env.step(actions[1])[4]["diverged"].any()
        np.testing.assert_array_equal(env.physics.qpos[1], waiting)
    env.reset(options={"reset_mask": terminated})
    observations, rewards, terminated, _, info = env.step(actions[2])
    assert not info["diverged"].any()
    assert rewards[1] != 0.0
    assert np.isfinite(observations).all()


@pytest.fixture
def in_a_folder_of_its_own(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("in_a_folder_of_its_own")
def test_a_diverged_single_environment_says_so() -> None:
    env = single(CHEETAH)
    env.reset(seed=0)
    env.batch.physics.qvel[0] = np.nan
    observation, reward, terminated, truncated, info = env.step(np.zeros(6, np.float32))
    assert (reward, terminated, truncated, info) == (0.0, True, False, {"diverged": True})
    assert type(info["diverged"]) is bool  # of which gymnasium's vector environments make arrays
    assert np.isfinite(observation).all()

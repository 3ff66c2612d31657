"""Each MuJoCo family against its row of the specification table.

The table is made from the reference implementations (rllab's MAML, ProMP, PEARL). Velocities are
differences of positions before and after a step, written out here from ``qpos``; contact forces are
those that the parity tests compare with gymnasium's.
"""

from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from transitions import (
    ANT_DT,
    CHEETAH_DT,
    NUM_ENVS,
    Array,
    Transition,
    close,
    ends,
    make_vec,
    squares,
    tasks_of,
    transitions,
)

from metarl_envs import FAMILIES
from metarl_envs.mujoco.ant import ant_dir, ant_goal, ant_vel
from metarl_envs.mujoco.family import MujocoFamily
from metarl_envs.mujoco.humanoid import humanoid_dir

# -- half-cheetah ---------------------------------------------------------------------------------


def test_half_cheetah_dir() -> None:
    """d dx/dt - 0.05 ||a||², d in {-1, 1}, observation qpos[1:], qvel (17), never ends."""
    env = make_vec("HalfCheetahDir")
    direction = np.array([1.0, -1.0, 1.0, -1.0])
    env.set_tasks({"direction": direction})
    for step in transitions(env):
        speed = (step.next_qpos[:, 0] - step.qpos[:, 0]) / CHEETAH_DT
        close(step.reward, direction * speed - 0.05 * squares(step.action))
        close(step.observation, np.concatenate([step.next_qpos[:, 1:], step.next_qvel], axis=1))
        assert step.observation.shape == (NUM_ENVS, 17)
        assert not step.terminated.any()
    for split in ("train", "held_out"):
        drawn = tasks_of(env.family, "direction", split)
        assert set(drawn) == {-1.0, 1.0}
        assert abs(drawn.mean()) < 0.05
    assert not env.task_distribution.disjoint
    assert FAMILIES["metarl/HalfCheetahDir-v0"] == 100


def test_half_cheetah_with_the_torso_s_position() -> None:
    """The 20 numbers of MAML's code, PEARL and VariBAD: the last three are the torso's xyz."""
    env = make_vec("HalfCheetahDir", observation="joints+torso")
    for step in transitions(env, 5):
        assert step.observation.shape == (NUM_ENVS, 20)
        close(step.observation[:, :17], np.concatenate([step.next_qpos[:, 1:], step.next_qvel], 1))
        data = mujoco.MjData(env.batch.model)
        data.qpos[:] = step.next_qpos[0]
        mujoco.mj_kinematics(env.batch.model, data)
        close(step.observation[0, 17:], data.body("torso").xpos)


@pytest.mark.parametrize(("options", "fastest"), [({}, 2.0), ({"velocity_range": [0, 3]}, 3.0)])
def test_half_cheetah_vel(options: dict[str, Any], fastest: float) -> None:
    """-|dx/dt - v| - 0.05 ||a||², v ~ U(0, 2) (MAML) or U(0, 3) (ProMP), never ends."""
    env = make_vec("HalfCheetahVel", **options)
    velocity = np.array([0.0, 0.5, 1.5, fastest])
    env.set_tasks({"velocity": velocity})
    for step in transitions(env):
        speed = (step.next_qpos[:, 0] - step.qpos[:, 0]) / CHEETAH_DT
        close(step.reward, -np.abs(speed - velocity) - 0.05 * squares(step.action))
        close(step.observation, np.concatenate([step.next_qpos[:, 1:], step.next_qvel], axis=1))
        assert not step.terminated.any()
    drawn = tasks_of(env.family, "velocity")
    np.testing.assert_allclose([drawn.min(), drawn.max()], [0.0, fastest], atol=0.01)
    assert abs(drawn.mean() - fastest / 2) < 0.03
    assert env.task_distribution.disjoint
    assert FAMILIES["metarl/HalfCheetahVel-v0"] == 200


# -- ant ------------------------------------------------------------------------------------------


def planar_velocity(step: Transition) -> Array:
    return (step.next_qpos[:, :2] - step.qpos[:, :2]) / ANT_DT


def test_ant_vel() -> None:
    """(1 - |vx - v|) - 0.005 ||a||² - 0.0005 ||clip cfrc||² + 0.05; 125 numbers; v ~ U(0, 3)."""
    env = make_vec("AntVel")
    velocity = np.array([0.0, 0.5, 1.5, 3.0])
    env.set_tasks({"velocity": velocity})
    touched = False
    for step in transitions(env):
        miss = np.abs(planar_velocity(step)[:, 0] - velocity)
        costs = 0.005 * squares(step.action) + 0.0005 * squares(step.forces)
        close(step.reward, (1 - miss) - costs + 0.05)
        assert step.observation.shape == (NUM_ENVS, 125)
        state = [step.next_qpos, step.next_qvel, step.forces]
        close(step.observation[:, :113], np.concatenate(state, axis=1))
        matrix = step.observation[:, 113:122].reshape(NUM_ENVS, 3, 3)
        close(matrix @ matrix.transpose(0, 2, 1), np.broadcast_to(np.eye(3), matrix.shape))
        close(step.observation[:, 122:], step.next_qpos[:, :3])
        touched |= bool(step.forces.any())
    assert touched
    drawn = tasks_of(env.family, "velocity")
    np.testing.assert_allclose([drawn.min(), drawn.max()], [0.0, 3.0], atol=0.01)
    assert FAMILIES["metarl/AntVel-v0"] == 200


def test_a_reset_forgets_contact_forces() -> None:
    """There are none before the first step, as in gymnasium."""
    env = make_vec("AntVel")
    observations, _ = env.reset(seed=0)
    while not observations[:, 29:113].any(1).all():
        observations, *_ = env.step(np.zeros((NUM_ENVS, 8), np.float32))
    assert not env.reset()[0][:, 29:113].any()


def test_ant_torso_rotation_is_that_of_its_quaternion() -> None:
    """After a reset it is exact; after steps it lags by 0.01 s, as everything derived does."""
    env = make_vec("AntVel")
    observations, _ = env.reset(seed=0)
    expected = np.empty(9)
    mujoco.mju_quat2Mat(
        expected, env.physics.qpos[0, 3:7] / np.linalg.norm(env.physics.qpos[0, 3:7])
    )
    close(observations[0, 113:122], expected)


@pytest.mark.parametrize(
    ("style", "size", "control", "alive"),
    [("maml", 125, 0.005, 0.05), ("promp", 111, 0.5, 1.0), ("pearl", 27, 0.5, 1.0)],
)
def test_ant_dir_on_the_line(style: str, size: int, control: float, alive: float) -> None:
    """d vx - w ||a||² - 0.0005 ||clip cfrc||² + b, d in {-1, 1}; (w, b) by the paper."""
    env = make_vec("AntDir", style=style)
    direction = np.array([1.0, -1.0, 1.0, -1.0])
    env.set_tasks({"direction": direction})
    for step in transitions(env):
        costs = control * squares(step.action) + 0.0005 * squares(step.forces)
        close(step.reward, direction * planar_velocity(step)[:, 0] - costs + alive)
        assert step.observation.shape == (NUM_ENVS, size)
        if style != "maml":
            parts = [step.next_qpos[:, 2:], step.next_qvel, step.forces]
            close(step.observation, np.concatenate(parts, axis=1)[:, :size])
    assert set(tasks_of(env.family, "direction")) == {-1.0, 1.0}
    assert FAMILIES["metarl/AntDir-v0"] == 200


@pytest.mark.parametrize(("style", "size"), [("promp", 111), ("pearl", 27)])
def test_ant_dir_in_the_plane(style: str, size: int) -> None:
    """u · dxy/dt - 0.5 ||a||² - contact + 1, u at a uniform angle."""
    env = make_vec("AntDir", style=style, dimensions=2)
    angle = np.array([0.0, np.pi / 2, np.pi, 4.0])
    env.set_tasks({"angle": angle})
    for step in transitions(env):
        velocity = planar_velocity(step)
        along = np.cos(angle) * velocity[:, 0] + np.sin(angle) * velocity[:, 1]
        costs = 0.5 * squares(step.action) + 0.0005 * squares(step.forces)
        close(step.reward, along - costs + 1.0)
        assert step.observation.shape == (NUM_ENVS, size)
    drawn = tasks_of(env.family, "angle")
    quarters, _ = np.histogram(drawn, 4, (0.0, 2 * np.pi))
    np.testing.assert_allclose(quarters / len(drawn), 0.25, atol=0.08)
    assert env.task_distribution.disjoint


def test_ant_without_contact_cost() -> None:
    """``contact_cost=0`` leaves the term out, and the forces are not even computed."""
    env = make_vec("AntDir", style="pearl", contact_cost=0.0)
    env.set_tasks({"direction": np.ones(NUM_ENVS)})
    assert not env.batch.persistent
    for step in transitions(env, 3):
        forward = planar_velocity(step)[:, 0]
        close(step.reward, forward - 0.5 * squares(step.action) + 1.0)


@pytest.mark.parametrize(
    ("family", "lowest"),
    [
        (ant_vel(), 0.2),
        (ant_dir(style="maml"), 0.2),
        (ant_dir(style="pearl", dimensions=2), 0.2),
        (ant_dir(style="promp"), 0.0),
    ],
)
def test_ants_end_outside_a_range_of_heights(family: MujocoFamily, lowest: float) -> None:
    heights = np.array([lowest - 0.001, lowest + 0.001, 0.75, 0.999, 1.001])
    assert ends(family, q2=heights) == [True, False, False, False, True]


def test_a_jumping_ant_is_terminated() -> None:
    env = make_vec("AntVel")
    env.reset(seed=0)
    qpos = np.tile(env.batch.model.qpos0, (NUM_ENVS, 1))
    qpos[:, 2] = [0.75, 1.5, 0.75, 1.5]
    env.set_state(np.ones(NUM_ENVS, bool), qpos, np.zeros((NUM_ENVS, 14)))
    terminated = env.step(np.zeros((NUM_ENVS, 8), np.float32))[2]
    assert terminated.tolist() == [False, True, False, True]


def test_ant_goal() -> None:
    """-||xy - g||_1 - 0.1 ||a||² - 0.0005 ||clip cfrc||²; 113 numbers; disk of 3 m; never ends."""
    env = make_vec("AntGoal")
    goal = np.array([[3.0, 0.0], [-1.0, 1.0], [0.0, 0.0], [0.5, -2.0]])
    env.set_tasks({"goal": goal})
    for step in transitions(env):
        gap = np.abs(step.next_qpos[:, :2] - goal).sum(1)
        costs = 0.1 * squares(step.action) + 0.0005 * squares(step.forces)
        close(step.reward, -gap - costs)
        state = [step.next_qpos, step.next_qvel, step.forces]
        close(step.observation, np.concatenate(state, axis=1))
        assert step.observation.shape == (NUM_ENVS, 113)
    drawn = tasks_of(env.family, "goal")
    radius = np.hypot(*drawn.T)
    assert 2.9 < radius.max() <= 3.0
    assert abs((radius**2).mean() - 4.5) < 0.15  # r = 3 sqrt(U): r² ~ U(0, 9)
    assert ends(ant_goal(), q2=np.array([0.0, 5.0])) == [False, False]
    assert FAMILIES["metarl/AntGoal-v0"] == 200


# -- humanoid -------------------------------------------------------------------------------------


def test_humanoid_dir() -> None:
    """0.25 u · dCOM / 0.003 - 0.1 ||a||² - min(5e-7 ||cfrc||², 10) + 5; 376 numbers.

    COM and forces come from gymnasium's Humanoid-v5, stepped alongside: its velocity is per 0.015 s
    and its 348 numbers leave out the zeros of the world body.
    """
    theirs: Any = gym.make("Humanoid-v5").unwrapped
    env = make_vec("HumanoidDir")
    angle = np.array([0.0, np.pi / 2, 3.0, 5.0])
    env.set_tasks({"angle": angle})
    direction = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    theirs.reset(seed=0)
    everywhere = np.ones(NUM_ENVS, bool)
    env.set_state(
        everywhere, *(np.tile(x, (NUM_ENVS, 1)) for x in (theirs.data.qpos, theirs.data.qvel))
    )
    for _ in range(20):
        action = rng.uniform(-0.4, 0.4, 17).astype(np.float32)
        observation, reward, terminated, _, _ = env.step(np.tile(action, (NUM_ENVS, 1)))
        expected, _, fallen, _, info = theirs.step(action)
        displacement = 0.015 * np.array([info["x_velocity"], info["y_velocity"]])
        contact = min(5e-7 * squares(theirs.data.cfrc_ext).sum(), 10.0)
        forward = 0.25 * direction @ displacement / 0.003
        close(reward, forward - 0.1 * squares(action) - contact + 5.0)
        assert observation.shape == (NUM_ENVS, 376)
        assert terminated.tolist() == [fallen] * NUM_ENVS
        parts = np.split(observation[0], [45, 45 + 140, 45 + 140 + 84, 45 + 140 + 84 + 23])
        without_world = [parts[0], parts[1][10:], parts[2][6:], parts[3][6:], parts[4][6:]]
        np.testing.assert_array_equal(np.concatenate(without_world), expected)
    heights = np.array([0.999, 1.001, 1.999, 2.001])
    assert ends(humanoid_dir(), q2=heights) == [True, False, False, True]
    drawn = tasks_of(env.family, "angle")
    assert drawn.min() < 0.05
    assert drawn.max() > 6.2
    assert FAMILIES["metarl/HumanoidDir-v0"] == 200


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("HalfCheetahDir", {"observation": "all"}, "observation must be one of joints, joints.tor"),
        ("HalfCheetahVel", {"velocity_range": (2.0, 1.0)}, "needs low < high"),
        ("AntDir", {"style": "rl2"}, "style must be one of maml, promp, pearl, got 'rl2'"),
        ("AntDir", {"dimensions": 3}, "dimensions must be 1 or 2, got 3"),
    ],
)
def test_impossible_options(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_vec(name, **options)

"""``physics="maml"`` against what the files of the authors of MAML say, fact by fact.

The files are ``rllab/envs/mujoco/{mujoco_env,half_cheetah_env_rand*,ant_env_rand*}.py`` and
``vendor/mujoco_models/{half_cheetah,ant}.xml`` of cbfinn/maml_rl; their order of steps is in
``authors.py``.
"""

from typing import Any

import mujoco
import numpy as np
import pytest
from authors import AuthorsRobot
from transitions import NUM_ENVS, Array, batch_of, close, make_vec, single, tasks_of

from metarl_envs.mujoco.engine import MujocoVectorEnv
from metarl_envs.mujoco.registry import declare

INIT_QPOS = [0, 0, 0.55, 1, 0, 0, 0, 0, 1, 0, -1, 0, -1, 0, 1]  # of the authors' ant.xml
SPEEDS = np.array([0.0, 0.5, 1.5, 2.0])
WAYS = np.array([1.0, -1.0, 1.0, -1.0])
RUNS = {
    "HalfCheetahVel": ("half_cheetah.xml", {"velocity": SPEEDS}),
    "HalfCheetahDir": ("half_cheetah.xml", {"direction": WAYS}),
    "AntVel": ("ant.xml", {"velocity": SPEEDS}),
    "AntDir": ("ant.xml", {"direction": WAYS}),
}


def gain_of(task: dict[str, Array], speed: Array) -> Array:
    """-|v - v*| or d v."""
    if "velocity" in task:
        return -np.abs(speed - task["velocity"])
    return task["direction"] * speed


def stepped(name: str, num: int = 40) -> Any:
    """Steps of a batch, ended ones not reset, and of one robot of the authors for each of it.

    Actions are up to 1.5: what is beyond ±1 is cut off by both.
    """
    xml_file, task = RUNS[name]
    env = make_vec(name, physics="maml")
    env.set_tasks(task)
    start, _ = env.reset(seed=0)
    robots = [AuthorsRobot(xml_file) for _ in range(NUM_ENVS)]
    for row, robot in enumerate(robots):
        robot.put(env.physics.qpos[row], env.physics.qvel[row])
        np.testing.assert_array_equal(start[row], robot.observation)
    rng = np.random.default_rng(0)
    for _ in range(num):
        action = rng.uniform(-1.5, 1.5, (NUM_ENVS, *env.single_action_space.shape))
        result = env.step(action)
        for row, robot in enumerate(robots):
            robot.step(np.clip(action[row], -1, 1))
        yield env, task, np.clip(action, -1, 1), robots, result
        if result[2].any():
            return


@pytest.mark.parametrize("name", list(RUNS))
def test_not_one_bit_differs_from_their_order_of_steps(name: str) -> None:
    """States, centres of mass, rotations and contact forces after every step."""
    steps = 0
    for env, _, _, robots, (observation, *_) in stepped(name):
        for row, robot in enumerate(robots):
            np.testing.assert_array_equal(env.physics.qpos[row], robot.data.qpos)
            np.testing.assert_array_equal(env.physics.qvel[row], robot.data.qvel)
            np.testing.assert_array_equal(observation[row], robot.observation)
        steps += 1
    assert steps >= 20
    assert observation.shape == (NUM_ENVS, 20 if "Cheetah" in name else 125)


@pytest.mark.parametrize("name", ["HalfCheetahVel", "HalfCheetahDir"])
def test_half_cheetah_rewards(name: str) -> None:
    """-|v - v*| or d v, minus 0.05 ||a||², v of the centre of mass, a within its bounds."""
    for _, task, action, robots, (_, reward, terminated, *_) in stepped(name):
        speed = np.array([robot.velocity[0] for robot in robots])
        close(reward, gain_of(task, speed) - 0.05 * (action**2).sum(1))
        assert not terminated.any()


@pytest.mark.parametrize(("name", "offset"), [("AntVel", 1.0), ("AntDir", 0.0)])
def test_ant_rewards_and_ends(name: str, offset: float) -> None:
    """1 - |v - v*| or d v, - 0.005 ||a||² - 0.0005 ||clip cfrc||² + 0.05; .2 <= z <= 1."""
    touched = False
    for _, task, action, robots, (_, reward, terminated, *_) in stepped(name):
        speed = np.array([robot.velocity[0] for robot in robots])
        forces = np.array([(robot.forces**2).sum() for robot in robots])
        costs = 0.005 * (action**2).sum(1) + 0.0005 * forces
        close(reward, gain_of(task, speed) + offset - costs + 0.05)
        height = np.array([robot.data.qpos[2] for robot in robots])
        np.testing.assert_array_equal(terminated, (height < 0.2) | (height > 1.0))
        touched |= bool(forces.any())
    assert touched


def test_the_centre_of_mass_moves_at_its_velocity() -> None:
    """Its positions in observations, 0.01 s apart, are the rewarded velocity's integral."""
    centres, speeds = [], []
    for _, _, _, robots, (observation, *_) in stepped("HalfCheetahVel", 100):
        centres.append(observation[:, 17])
        speeds.append([robot.velocity[0] for robot in robots])
    moved = centres[-1] - centres[0]
    # of the first order in the time step: 3 % of the way
    np.testing.assert_allclose(moved, 0.01 * np.sum(speeds[1:], axis=0), atol=0.01)


# -- what the files say of the robots -------------------------------------------------------------


def env_of(name: str) -> MujocoVectorEnv:
    return make_vec(name, physics="maml")


def test_the_half_cheetah_s_clock() -> None:
    """Time step .01 and no ``frame_skip`` numeric: 200 steps are 2 s."""
    env = env_of("HalfCheetahVel")
    assert env.batch.model.opt.timestep == 0.01
    assert env.family.robot.frame_skip == 1
    assert 200 * env.dt == 2.0


def test_the_ant_s_clock() -> None:
    """Time step .02, RK4 and no ``frame_skip`` numeric: 200 steps are 4 s."""
    env = env_of("AntVel")
    assert env.batch.model.opt.timestep == 0.02
    assert env.batch.model.opt.integrator == mujoco.mjtIntegrator.mjINT_RK4
    assert env.family.robot.frame_skip == 1
    assert 200 * env.dt == 4.0


def test_the_ant_s_joints_and_contacts() -> None:
    """Of all hinges armature 1, damping 1; of all geoms margin .01, solref and solimp."""
    model = env_of("AntVel").batch.model
    assert (model.dof_armature[6:] == 1).all()
    assert (model.dof_damping[6:] == 1).all()
    assert not model.dof_armature[:6].any()
    assert (model.geom_margin == 0.01).all()
    assert (model.geom_solref == [0.02, 1]).all()
    assert (model.geom_solimp[:, :3] == [0.8, 0.8, 0.01]).all()
    # torques of ±150: their gear is 1 and their controls are scaled to ±150
    assert (model.actuator_gear[:, 0] == 150).all()
    assert (model.actuator_ctrlrange == [-1, 1]).all()


@pytest.mark.parametrize(
    ("name", "posture"), [("HalfCheetahVel", [0.0] * 9), ("AntVel", INIT_QPOS)]
)
def test_starts(name: str, posture: list[float]) -> None:
    """Posture + .01 N(0, 1) and .1 N(0, 1); of N(0, 1), 4.6 % is beyond 2, of a uniform none."""
    env = batch_of(f"metarl/{name}-v0", 100, physics="maml")  # MuJoCo keeps 10 MB for each
    starts = []
    for seed in range(20):
        env.reset(seed=seed)
        starts.append((env.physics.qpos - np.array(posture), env.physics.qvel.copy()))
    shifts, speeds = map(np.concatenate, zip(*starts, strict=True))
    np.testing.assert_allclose(shifts.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(shifts.std(0), 0.01, rtol=0.06)
    np.testing.assert_allclose(speeds.std(0), 0.1, rtol=0.06)
    for noise, scale in ((shifts, 0.01), (speeds, 0.1)):
        assert 0.04 < (np.abs(noise) > 2 * scale).mean() < 0.051


def test_the_ant_starts_on_its_feet() -> None:
    """Shins touch the ground, which the first observation shows."""
    env = env_of("AntVel")
    start, _ = env.reset(seed=0)
    touching = start[:, 29:113].reshape(NUM_ENVS, 14, 6).any(2).sum(1)
    assert touching.min() >= 1
    assert touching.mean() >= 3
    assert not env.step(np.zeros((NUM_ENVS, 8)))[2].any()


@pytest.mark.parametrize(
    ("name", "entry", "fastest"), [("HalfCheetahVel", "velocity", 2), ("AntVel", "velocity", 3)]
)
def test_speeds_asked_for(name: str, entry: str, fastest: float) -> None:
    drawn = tasks_of(declare(name, {"physics": "maml"}), entry)
    np.testing.assert_allclose([drawn.min(), drawn.max()], [0, fastest], atol=0.01)


@pytest.mark.parametrize("name", ["HalfCheetahDir", "AntDir"])
def test_directions_asked_for(name: str) -> None:
    assert set(tasks_of(declare(name, {"physics": "maml"}), "direction")) == {-1.0, 1.0}


# -- as a family of ours --------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(RUNS))
def test_one_robot_is_a_batch_of_one(name: str) -> None:
    one, batch = single(f"metarl/{name}-v0", physics="maml"), make_vec(name, physics="maml")
    task = {key: values[0] for key, values in RUNS[name][1].items()}
    one.task = task
    batch.set_tasks({key: np.full(NUM_ENVS, value) for key, value in task.items()})
    one.reset(seed=3), batch.reset()
    state = [np.tile(part, (NUM_ENVS, 1)) for part in one.batch.physics[:2]]
    batch.set_state(np.ones(NUM_ENVS, bool), *state)
    action = np.full((NUM_ENVS, *batch.single_action_space.shape), 0.5, np.float32)
    ours, theirs = batch.step(action), one.step(action[0])
    np.testing.assert_array_equal(ours[0][0].astype(np.float32), theirs[0])
    assert ours[1][0] == theirs[1]


def test_starting_one_anew_leaves_the_others_alone() -> None:
    """Centre, rotation and contact forces of the others remain those of their states."""
    env = env_of("AntVel")
    env.reset(seed=0)
    before = env.step(np.full((NUM_ENVS, 8), 0.3))[0]
    after, _ = env.reset(options={"reset_mask": np.array([True, False, False, False])})
    np.testing.assert_array_equal(after[1:], before[1:])
    assert (after[0] != before[0]).any()


def test_in_the_plane_an_ant_runs_by_its_centre_of_mass() -> None:
    env = make_vec("AntDir", physics="maml", dimensions=2, contact_cost=0)
    env.set_tasks({"angle": np.full(NUM_ENVS, np.pi / 2)})
    env.reset(seed=0)
    _, reward, *_ = env.step(np.zeros((NUM_ENVS, 8)))
    close(reward, env.physics.derived["sensordata"][:, 4] + 0.05)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("AntVel", {"physics": "rllab"}, "physics must be one of gymnasium, maml, got 'rllab'"),
        ("AntDir", {"style": "pearl"}, "in maml physics style must be one of maml, got 'pearl'"),
        ("HalfCheetahDir", {"observation": "joints"}, "observation must be one of joints.centre"),
        ("HalfCheetahVel", {"physics": "gymnasium", "observation": "joints+centre"}, "one of joi"),
    ],
)
def test_impossible_options(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_vec(name, **{"physics": "maml", **options})

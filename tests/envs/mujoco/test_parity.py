"""The engine against gymnasium's v5 environments: not one bit of difference.

The same states and actions, across terminations and resets, with nominal and with other bodies, on
one thread and on two.
"""

from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from v5_families import FIELDS, V5, V5_FAMILIES

from metarl_envs.mujoco.engine import MujocoVectorEnv
from metarl_envs.tasks import Task

NUM_ENVS = 2
NUM_STEPS = 1000
TIME_LIMIT = 150
SIZES = {"HalfCheetah": 17, "Hopper": 11, "Walker2d": 17, "Ant": 27, "Ant with contact forces": 105}


def v5_environments(robot: V5, num: int) -> list[Any]:
    # gymnasium compiles with MuJoCo's own warnings: half_cheetah.xml has a deprecated attribute
    previous = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda message: None)
    envs = [gym.make(robot.env_id, **robot.options).unwrapped for _ in range(num)]
    mujoco.set_mju_user_warning(previous)
    return envs


def our_environments(robot: V5, scaled: bool) -> list[MujocoVectorEnv]:
    """The same batch on one thread and on two."""
    return [
        MujocoVectorEnv(
            robot.family(scaled),
            NUM_ENVS,
            TIME_LIMIT,
            AutoresetMode.DISABLED,
            num_threads=num_threads,
            dtype="float64",
        )
        for num_threads in (1, 2)
    ]


def random_bodies(robot: V5, rng: np.random.Generator) -> Task:
    """Multipliers of all fields, 1.5 ** U(-1, 1)."""
    model = robot.robot.model
    shapes = {name: np.shape(getattr(model, name)) for name in FIELDS if "." not in name}
    shapes["opt.gravity"] = (3,)
    return {name: 1.5 ** rng.uniform(-1, 1, (NUM_ENVS, *shape)) for name, shape in shapes.items()}


def give_body(env: Any, task: Task, row: int) -> None:
    for name in FIELDS:
        owner = env.model.opt if name.startswith("opt.") else env.model
        getattr(owner, name.removeprefix("opt."))[:] *= task[name][row]
    mujoco.mj_setConst(env.model, env.data)


def restart(ours: list[MujocoVectorEnv], theirs: list[Any], rows: np.ndarray, seed: int) -> None:
    """Start some environments where gymnasium's start."""
    for row in np.flatnonzero(rows):
        theirs[row].reset(seed=seed + int(row))
    qpos = np.stack([theirs[row].data.qpos for row in np.flatnonzero(rows)])
    qvel = np.stack([theirs[row].data.qvel for row in np.flatnonzero(rows)])
    for env in ours:
        env.reset(options={"reset_mask": rows})
        env.set_state(rows, qpos, qvel)


@pytest.mark.parametrize(
    "scaled",
    [pytest.param(False, marks=pytest.mark.slow), True],  # 3 s a family
    ids=["nominal", "other bodies"],
)
@pytest.mark.parametrize("name", list(V5_FAMILIES))
def test_not_one_bit_differs(name: str, scaled: bool) -> None:
    robot, rng = V5_FAMILIES[name], np.random.default_rng(0)
    theirs, ours = v5_environments(robot, NUM_ENVS), our_environments(robot, scaled)
    if scaled:
        bodies = random_bodies(robot, rng)
        for row, env in enumerate(theirs):
            give_body(env, bodies, row)
        for batch in ours:
            batch.set_tasks(bodies)
    restart(ours, theirs, np.ones(NUM_ENVS, bool), seed=0)
    age, num_ends = np.zeros(NUM_ENVS, int), 0
    for step in range(NUM_STEPS):
        actions = rng.uniform(-1.0, 1.0, (NUM_ENVS, robot.robot.model.nu)).astype(np.float32)
        expected = [env.step(action) for env, action in zip(theirs, actions, strict=True)]
        observations, rewards, terminated = (np.stack([e[i] for e in expected]) for i in range(3))
        age += 1
        for batch in ours:
            got = batch.step(actions)
            np.testing.assert_array_equal(got[0], observations)
            np.testing.assert_array_equal(got[1], rewards)
            np.testing.assert_array_equal(got[2], terminated)
            np.testing.assert_array_equal(got[3], age >= TIME_LIMIT)
            assert not got[4]["diverged"].any()
        ended = terminated | (age >= TIME_LIMIT)
        if ended.any():
            restart(ours, theirs, ended, seed=NUM_ENVS * step + NUM_ENVS)
            age[ended] = 0
            num_ends += ended.sum()
    assert observations.shape == (NUM_ENVS, SIZES[name])
    assert num_ends >= NUM_ENVS * (NUM_STEPS // TIME_LIMIT)


@pytest.mark.parametrize("name", list(V5_FAMILIES))
def test_starts_are_gymnasium_s(name: str) -> None:
    robot = V5_FAMILIES[name]
    (theirs,) = v5_environments(robot, 1)
    ours = MujocoVectorEnv(robot.family(False), 1, 100, num_threads=1, dtype="float64")
    for seed in range(3):
        np.testing.assert_array_equal(ours.reset(seed=seed)[0][0], theirs.reset(seed=seed)[0])


def test_other_bodies_move_otherwise() -> None:
    """The parity above would mean little if bodies were ignored on both sides."""
    robot = V5_FAMILIES["HalfCheetah"]
    env, nominal = our_environments(robot, True)
    env.set_tasks(random_bodies(robot, np.random.default_rng(0)))
    action = np.ones((NUM_ENVS, 6), np.float32)
    env.reset(seed=0), nominal.reset(seed=0)
    assert (env.step(action)[1] != nominal.step(action)[1]).all()

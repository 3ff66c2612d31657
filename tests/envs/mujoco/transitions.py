"""MuJoCo environments and what happens in them under random actions, for the tests here."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from metarl_envs import SingleTaskEnv
from metarl_envs.mujoco.engine import MujocoVectorEnv
from metarl_envs.mujoco.family import MujocoFamily, Physics

Array = NDArray[Any]
NUM_ENVS = 4
CHEETAH_DT, ANT_DT, WALKER_DT = 0.05, 0.05, 0.008


class Transition(NamedTuple):
    """One step of a batch, each ``[NUM_ENVS, ...]``."""

    qpos: Array
    """Before."""
    action: Array
    next_qpos: Array
    next_qvel: Array
    forces: Array
    """``cfrc_ext`` after, clipped to ±1, ``[NUM_ENVS, 84]``, where the family computes it."""
    observation: Array
    reward: Array
    terminated: Array


def make_vec(name: str, **options: Any) -> MujocoVectorEnv:
    env = gym.make_vec(
        f"metarl/{name}-v0",
        num_envs=NUM_ENVS,
        num_threads=1,
        dtype="float64",
        autoreset_mode=AutoresetMode.DISABLED,
        **options,
    )
    assert isinstance(env, MujocoVectorEnv)
    return env


def transitions(env: MujocoVectorEnv, num: int = 25) -> Iterator[Transition]:
    """Steps with random actions; what ends is reset."""
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    space = env.single_action_space
    for _ in range(num):
        qpos = env.physics.qpos.copy()
        action = rng.uniform(space.low, space.high, (NUM_ENVS, *space.shape)).astype(np.float32)
        observation, reward, terminated, _, _ = env.step(action)
        forces = env.physics.derived.get("cfrc_ext", np.zeros((NUM_ENVS, 14, 6)))
        clipped = np.clip(forces, -1, 1).reshape(NUM_ENVS, -1)
        after = env.physics.qpos.copy(), env.physics.qvel.copy()
        yield Transition(qpos, action, *after, clipped, observation, reward, terminated)
        if terminated.any():
            env.reset(options={"reset_mask": terminated})


def squares(x: Array) -> Array:
    return (x.astype(np.float64) ** 2).sum(-1)


def close(actual: Array, expected: Any) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def tasks_of(family: MujocoFamily, name: str, split: Any = "train", num: int = 4000) -> Array:
    return family.task_distribution.sample(np.random.default_rng(0), num, split)[name]


def ends(family: MujocoFamily, **changes: Array) -> list[bool]:
    """Whether states end: the nominal one with the given entries of ``qpos`` changed, in rows."""
    model = family.robot.model
    num = len(next(iter(changes.values())))
    qpos, qvel = np.tile(model.qpos0, (num, 1)), np.zeros((num, model.nv))
    for name, values in changes.items():
        (qvel if name.startswith("v") else qpos)[:, int(name[1:])] = values
    ended: list[bool] = family.terminated(Physics(qpos, qvel, {})).tolist()
    return ended


def batch_of(env_id: str, num_envs: int, **options: Any) -> MujocoVectorEnv:
    env = gym.make_vec(env_id, num_envs=num_envs, num_threads=1, **options)
    assert isinstance(env, MujocoVectorEnv)
    return env


def single(env_id: str, **options: Any) -> SingleTaskEnv:
    env = gym.make(env_id, **options).unwrapped
    assert isinstance(env, SingleTaskEnv)
    return env


def random_actions(env: MujocoVectorEnv, num: int, seed: int = 0) -> np.ndarray:
    space, rng = env.single_action_space, np.random.default_rng(seed)
    shape = (num, env.num_envs, *space.shape)
    return rng.uniform(space.low, space.high, shape).astype(np.float32)

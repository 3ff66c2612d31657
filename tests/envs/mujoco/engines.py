"""Families whose bodies differ in everything, run by both engines, for the tests of Warp."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import array_api_compat.torch as xp
import numpy as np
import torch
from numpy.typing import NDArray

from metarl_envs.arrays import Arrays
from metarl_envs.mujoco.ant import ant_vel
from metarl_envs.mujoco.engine import MujocoVectorEnv
from metarl_envs.mujoco.family import MujocoFamily
from metarl_envs.mujoco.half_cheetah import half_cheetah_vel
from metarl_envs.mujoco.humanoid import humanoid_dir
from metarl_envs.mujoco.models import ASSETS
from metarl_envs.mujoco.rand_params import (
    FIELDS,
    half_cheetah_rand_params,
    hopper_rand_params,
    random_bodies,
    walker_2d_rand_params,
)
from metarl_envs.mujoco.warp.env import WarpEnv
from metarl_envs.tasks import Product, Task

CPU = Arrays(xp, torch.float32, torch.device("cpu"))
CUDA = Arrays(xp, torch.float32, torch.device("cuda"))
EVERYTHING = (*FIELDS, "opt.gravity")
FAMILIES = {
    "half-cheetah": lambda folder: half_cheetah_rand_params(EVERYTHING),
    "hopper": lambda folder: hopper_rand_params(EVERYTHING),
    "walker": lambda folder: walker_2d_rand_params(EVERYTHING),
    "ant": lambda folder: with_bodies(ant_vel()),
    "half-cheetah-maml": lambda folder: with_bodies(half_cheetah_vel(physics="maml")),
    "ant-maml": lambda folder: with_bodies(ant_vel(physics="maml")),
    "humanoid": lambda folder: with_bodies(with_newton(humanoid_dir(), folder)),
}


def with_bodies(family: MujocoFamily) -> MujocoFamily:
    """The family with bodies and gravity of their own beside its tasks."""
    bodies = random_bodies(family.robot, EVERYTHING, 3.0)
    tasks = {**family.task_distribution.parts, **bodies.task_distribution.parts}

    def dynamics(task: Task) -> dict[str, NDArray[Any]]:
        return bodies.dynamics({name: task[name] for name in EVERYTHING})

    return replace(family, task_distribution=Product(tasks), dynamics=dynamics)


def with_newton(family: MujocoFamily, folder: Path) -> MujocoFamily:
    """The family with Newton's solver in both engines: Warp has no PGS."""
    model = folder / "newton.xml"
    model.write_text((ASSETS / family.robot.xml_file).read_text().replace("PGS", "Newton"))
    return replace(family, robot=family.robot._replace(xml_file=str(model)))


def make_pair(
    family: MujocoFamily, num: int, arrays: Arrays = CPU
) -> tuple[MujocoVectorEnv, WarpEnv]:
    """The family in both engines, with the same tasks."""
    c = MujocoVectorEnv(family, num, 200, "Disabled", num_threads=1)
    warp = WarpEnv(family, num, 200, arrays)
    tasks = family.task_distribution.sample(np.random.default_rng(0), num)
    c.set_tasks(tasks)
    warp.set_tasks(tasks)
    return c, warp


def actions_of(env: MujocoVectorEnv | WarpEnv, num: int) -> NDArray[np.float32]:
    """Random actions of ``num`` steps, a tenth beyond their range."""
    space, rng = env.single_action_space, np.random.default_rng(1)
    drawn = rng.uniform(1.1 * space.low, 1.1 * space.high, (num, env.num_envs, *space.shape))
    return drawn.astype(np.float32)


def wander(env: MujocoVectorEnv, steps: int = 40) -> tuple[NDArray[Any], NDArray[Any]]:
    """States that the C engine comes to, each environment after another number of steps."""
    env.reset(seed=0)
    until = np.random.default_rng(2).integers(1, steps, env.num_envs)
    qpos, qvel = (part.astype(np.float32) for part in env.physics[:2])
    for step, actions in enumerate(actions_of(env, steps)):
        env.step(actions)
        for kept, part in ((qpos, env.physics.qpos), (qvel, env.physics.qvel)):
            kept[until > step] = part[until > step]
    return qpos, qvel


def put(c: MujocoVectorEnv, warp: WarpEnv, qpos: NDArray[Any], qvel: NDArray[Any]) -> None:
    """Both engines in the same states."""
    c.reset(seed=0)  # what has ended would not be simulated
    c.set_state(np.ones(c.num_envs, bool), qpos, qvel)
    warp.set_state(*(torch.from_numpy(part).to(warp.device) for part in (qpos, qvel)))

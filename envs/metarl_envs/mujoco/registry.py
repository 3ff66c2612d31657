"""What gymnasium calls to make the families of :data:`FAMILIES`, and those of users."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

from gymnasium.vector import AutoresetMode
from numpy.typing import ArrayLike

from metarl_envs.mujoco.ant import ant_dir, ant_goal, ant_vel
from metarl_envs.mujoco.engine import MujocoVectorEnv
from metarl_envs.mujoco.family import MujocoFamily
from metarl_envs.mujoco.half_cheetah import half_cheetah_dir, half_cheetah_vel
from metarl_envs.mujoco.humanoid import humanoid_dir
from metarl_envs.mujoco.rand_params import (
    ant_rand_params,
    half_cheetah_rand_params,
    hopper_rand_params,
    walker_2d_rand_params,
)
from metarl_envs.single import SingleTaskEnv

FAMILIES = {
    "HalfCheetahDir": half_cheetah_dir,
    "HalfCheetahVel": half_cheetah_vel,
    "AntDir": ant_dir,
    "AntVel": ant_vel,
    "AntGoal": ant_goal,
    "HumanoidDir": humanoid_dir,
    "HalfCheetahRandParams": half_cheetah_rand_params,
    "Walker2DRandParams": walker_2d_rand_params,
    "HopperRandParams": hopper_rand_params,
    "AntRandParams": ant_rand_params,
}
"""Name, as in ``metarl/<name>-v0``, to the function that declares the family."""


Declaration = str | Callable[..., MujocoFamily]
"""The name of one of ours, or a function of the family's options."""


def declare(family: Declaration, options: Mapping[str, Any]) -> MujocoFamily:
    """The family, made with these options."""
    function: Any = FAMILIES[family] if isinstance(family, str) else family
    declared = function(**options)
    if not isinstance(declared, MujocoFamily):
        raise ValueError(f"its declaration must give a MujocoFamily, gives {declared!r}")
    return declared


def make_single(
    *,
    family: Declaration,
    task: Mapping[str, ArrayLike] | None = None,
    num_threads: int = 1,
    dtype: Any = "float32",
    render_mode: Any = None,
    **options: Any,
) -> SingleTaskEnv:
    """One environment.

    Args:
        family: name of the family, or what declares it.
        task: the task to start with; by default one drawn from the train part.
        num_threads: physics threads.
        dtype: of observations.
        render_mode: ``rgb_array`` for pictures.
        options: of the family.
    """
    batch = MujocoVectorEnv(
        declare(family, options),
        1,
        sys.maxsize,  # gymnasium.make puts its own time limit around
        AutoresetMode.DISABLED,
        num_threads=num_threads,
        dtype=dtype,
        render_mode=render_mode,
    )
    return SingleTaskEnv(batch, task)


def make_vector(
    *,
    family: Declaration,
    num_envs: int,
    max_episode_steps: int,
    autoreset_mode: Any = AutoresetMode.NEXT_STEP,
    num_threads: int = 0,
    dtype: Any = "float32",
    render_mode: Any = None,
    **options: Any,
) -> MujocoVectorEnv:
    """A batch of environments.

    Args:
        family: name of the family, or what declares it.
        num_envs: number of environments.
        max_episode_steps: time limit in steps.
        autoreset_mode: as in gymnasium.
        num_threads: physics threads; 0 for all cores.
        dtype: of observations.
        render_mode: ``rgb_array`` for pictures.
        options: of the family.
    """
    return MujocoVectorEnv(
        declare(family, options),
        num_envs,
        max_episode_steps,
        autoreset_mode,
        num_threads=num_threads,
        dtype=dtype,
        render_mode=render_mode,
    )

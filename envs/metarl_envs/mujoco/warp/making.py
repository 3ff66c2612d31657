"""What :func:`metarl_envs.making.make_device` calls for the MuJoCo families."""

from typing import Any

import torch

from metarl_envs.arrays import Arrays
from metarl_envs.mujoco.declared import check_for_device
from metarl_envs.mujoco.family import MujocoFamily
from metarl_envs.mujoco.registry import Declaration, declare
from metarl_envs.mujoco.warp.env import WarpEnv


def declared_for_device(xp: Any, family: Declaration, **options: Any) -> MujocoFamily:
    """The family, whose functions run on arrays of that library.

    Raises:
        ValueError: one of them does not.
    """
    declared = declare(family, options)
    check_for_device(declared, xp)
    return declared


def make_device(  # noqa: PLR0913  # the options of a device and its engine
    env_id: str,
    num_envs: int,
    max_episode_steps: int,
    device: torch.device | str,
    xp: Any,
    *,
    family: Declaration,
    nconmax: int | None = None,
    njmax: int | None = None,
    ordered: bool = False,
    **options: Any,
) -> WarpEnv:
    """A batch of environments on a device.

    Args:
        env_id: of the family, in messages.
        num_envs: number of environments.
        max_episode_steps: time limit in steps.
        device: where everything is.
        xp: torch, as array-api-compat has it.
        family: name of the family, or what declares it.
        nconmax: contacts that the buffer holds, a mean over the environments.
        njmax: rows of constraints that an environment may have.
        ordered: sum up forces in an order that is the same in every run.
        options: of the family.
    """
    arrays = Arrays(xp, torch.float32, torch.device(device))
    return WarpEnv(
        declared_for_device(xp, family, **options),
        num_envs,
        max_episode_steps,
        arrays,
        name=env_id,
        nconmax=nconmax,
        njmax=njmax,
        ordered=ordered,
    )

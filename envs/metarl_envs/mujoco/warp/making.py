"""What :func:`metarl_envs.making.make_device` calls for the MuJoCo families."""

from typing import Any

import torch

from metarl_envs.arrays import Arrays
from metarl_envs.mujoco.registry import declare
from metarl_envs.mujoco.warp.env import WarpEnv


def make_device(
    env_id: str,
    num_envs: int,
    max_episode_steps: int,
    device: torch.device | str,
    xp: Any,
    *,
    nconmax: int | None = None,
    njmax: int | None = None,
    **options: Any,
) -> WarpEnv:
    """A batch of environments on a device.

    Args:
        env_id: of the family, ``metarl/<name>-v0``.
        num_envs: number of environments.
        max_episode_steps: time limit in steps.
        device: where everything is.
        xp: torch, as array-api-compat has it.
        nconmax: contacts that the buffer holds, a mean over the environments.
        njmax: rows of constraints that an environment may have.
        options: of the family.
    """
    family = declare(env_id.removeprefix("metarl/").removesuffix("-v0"), options)
    arrays = Arrays(xp, torch.float32, torch.device(device))
    return WarpEnv(
        family, num_envs, max_episode_steps, arrays, name=env_id, nconmax=nconmax, njmax=njmax
    )

"""What runs take of the package of task families, where they take it."""

from typing import Any

import array_api_compat.torch as torch_arrays
import gymnasium as gym
import torch

from metarl.rl.device_envs import DeviceEnv
from metarl_envs import FAMILIES, making, validate_task
from metarl_envs.copies import Around
from metarl_envs.ids import check_id, declaration, options_of
from metarl_envs.making import (
    EnvSource,
    WorkersError,
    check_for_device,
    has_single,
    made_at_once,
    make_single,
    make_task_env,
    name_of,
    on_warp,
)

__all__ = [
    "FAMILIES",
    "Around",
    "EnvSource",
    "WorkersError",
    "check_id",
    "declaration",
    "device_hindrance",
    "has_single",
    "made_at_once",
    "make_device",
    "make_single",
    "make_task_env",
    "name_of",
    "on_warp",
    "options_of",
    "validate_task",
]

OF_THE_CORES = {
    *("autoreset_mode", "num_envs", "vector_kwargs", "vectorization_mode", "wrappers"),
    *("dtype", "num_threads", "render_mode"),
}
"""Options of gymnasium, for environments that it makes, and of the C engine."""


def make_device(
    env_id: str, num_envs: int, device: torch.device, options: dict[str, Any]
) -> DeviceEnv:
    """Environments of a family in torch's tensors; :class:`ValueError` if that cannot be."""
    env: DeviceEnv = making.make_device(env_id, num_envs, device, torch_arrays, **options)
    return env


def device_hindrance(source: EnvSource, options: dict[str, Any]) -> str:
    """Why environments of a source cannot be on a device, in one line; empty if they can."""
    foreign = sorted(OF_THE_CORES & set(options))
    if foreign:
        return f"{foreign[0]} is an option of environments on the cores"
    try:
        check_for_device(source, torch_arrays, **options)
    except (gym.error.DependencyNotInstalled, ValueError) as error:
        return str(error)
    return ""

"""The registered task families, and how gymnasium makes them."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import gymnasium as gym

from metarl_envs.bandits import BernoulliBandit
from metarl_envs.family import FamilyEnv, FamilyVectorEnv
from metarl_envs.grid import GridNavi
from metarl_envs.mdp import TabularMDP
from metarl_envs.point import PointCorners, PointGoal, PointGoalSparse

NUMPY_FAMILIES: dict[str, tuple[type[Any], int]] = {
    "metarl/PointGoal-v0": (PointGoal, 100),
    "metarl/PointGoalSparse-v0": (PointGoalSparse, 20),
    "metarl/PointCorners-v0": (PointCorners, 100),
    "metarl/GridNavi-v0": (GridNavi, 15),
    "metarl/BernoulliBandit-v0": (BernoulliBandit, 1),
    "metarl/TabularMDP-v0": (TabularMDP, 10),
}
"""Environment id to family and time limit."""

MUJOCO_FAMILIES = {
    "metarl/HalfCheetahDir-v0": 100,
    "metarl/HalfCheetahVel-v0": 200,
    "metarl/AntDir-v0": 200,
    "metarl/AntVel-v0": 200,
    "metarl/AntGoal-v0": 200,
    "metarl/HumanoidDir-v0": 200,
    "metarl/HalfCheetahRandParams-v0": 200,
    "metarl/Walker2DRandParams-v0": 200,
    "metarl/HopperRandParams-v0": 200,
    "metarl/AntRandParams-v0": 200,
}
"""Environment id to time limit; their code is imported when the first one is made."""

FAMILIES = {env_id: limit for env_id, (_, limit) in NUMPY_FAMILIES.items()} | MUJOCO_FAMILIES
"""Every registered id to its time limit in steps."""

WARP = "metarl_envs.mujoco.warp:make_device"


class DeviceMaker(NamedTuple):
    """What makes a family's environments on a device."""

    function: str
    """``module:name``, imported when it is needed."""
    options: dict[str, Any]
    """Given to it beside those of the family."""


DEVICE_MAKERS = {
    env_id: DeviceMaker("metarl_envs.device:make_family", {}) for env_id in NUMPY_FAMILIES
}
"""By the id of every family with a form on a device, those of users included."""


BATCHED: set[str] = set()
"""Ids whose batches are :class:`~metarl_envs.vector.TaskVectorEnv`, those of users included."""


def register_batched(
    env_id: str,
    *,
    single: str | Callable[..., Any],
    vector: str | Callable[..., Any],
    max_episode_steps: int,
    **options: Any,
) -> None:
    """Give a family an id with gymnasium.

    Args:
        env_id: such as ``metarl/PointGoal-v0``.
        single: makes one environment.
        vector: makes a batch, with ``num_envs``, ``max_episode_steps`` and ``autoreset_mode``.
        max_episode_steps: time limit in steps.
        options: given to both.
    """
    gym.register(
        env_id,
        entry_point=single,
        vector_entry_point=vector,
        max_episode_steps=max_episode_steps,
        kwargs=options,
    )
    BATCHED.add(env_id)


def _single(family_type: type[Any], *, task: Any = None, **options: Any) -> FamilyEnv:
    return FamilyEnv(family_type(**options), task)


def _vector(
    family_type: type[Any],
    *,
    num_envs: int,
    max_episode_steps: int,
    autoreset_mode: Any = gym.vector.AutoresetMode.NEXT_STEP,
    **options: Any,
) -> FamilyVectorEnv:
    return FamilyVectorEnv(family_type(**options), num_envs, max_episode_steps, autoreset_mode)


for _id, (_family, _limit) in NUMPY_FAMILIES.items():
    register_batched(
        _id,
        single=partial(_single, _family),
        vector=partial(_vector, _family),
        max_episode_steps=_limit,
    )

for _id, _limit in MUJOCO_FAMILIES.items():
    _name = _id.removeprefix("metarl/").removesuffix("-v0")
    register_batched(
        _id,
        single="metarl_envs.mujoco.registry:make_single",
        vector="metarl_envs.mujoco.registry:make_vector",
        max_episode_steps=_limit,
        family=_name,
    )
    DEVICE_MAKERS[_id] = DeviceMaker(WARP, {"family": _name})

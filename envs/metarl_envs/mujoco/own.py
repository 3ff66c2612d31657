"""Families of a user's own: an id for a declaration."""

from collections.abc import Callable
from functools import partial

from metarl_envs.mujoco import registry
from metarl_envs.mujoco.family import MujocoFamily
from metarl_envs.registration import DEVICE_MAKERS, WARP, DeviceMaker, register_batched


def register(
    env_id: str, family: MujocoFamily | Callable[..., MujocoFamily], *, max_episode_steps: int
) -> None:
    """Give a family an id: ``gymnasium.make`` and ``make_vec`` make it, as they do ours.

    So does :func:`metarl_envs.make_device`, on MuJoCo Warp, if its functions run on tensors.

    On the command line it is ``--env my_module:my/Reach-v0``, where ``my_module`` calls this when
    it is imported; ``experiments/own_arm.py`` is an example.

    Args:
        env_id: such as ``my/Reach-v0``.
        family: the declaration, or a function that makes it; that one's arguments are options of
            the family (``--env-kwargs``). It is called when environments are made.
        max_episode_steps: time limit in steps.

    Raises:
        ValueError: the time limit is no number of steps. What is wrong in the declaration is named
            when environments are made.
    """
    if max_episode_steps < 1:
        raise ValueError(f"max_episode_steps must be at least 1, got {max_episode_steps}")
    declare = family if callable(family) else lambda: family
    register_batched(
        env_id,
        single=partial(registry.make_single, family=declare),
        vector=partial(registry.make_vector, family=declare),
        max_episode_steps=max_episode_steps,
    )
    DEVICE_MAKERS[env_id] = DeviceMaker(WARP, {"family": declare})

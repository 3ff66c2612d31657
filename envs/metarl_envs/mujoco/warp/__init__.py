"""MuJoCo Warp: the families' second engine, for thousands of robots on one GPU.

The same :class:`~metarl_envs.mujoco.family.MujocoFamily` declarations as the C engine's, on torch
tensors of a device. Warp's CPU backend runs the same code, for tests.
"""

# the first import, so that a missing extra is named before anything needs it
from metarl_envs.mujoco.warp.installed import start
from metarl_envs.mujoco.warp.making import declared_for_device, make_device

start()

__all__ = ["declared_for_device", "make_device"]

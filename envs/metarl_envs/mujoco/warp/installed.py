"""Refuses, on import, to go on without Warp."""

import gymnasium as gym

try:
    import mujoco_warp
    import warp as wp
except ModuleNotFoundError as error:
    raise gym.error.DependencyNotInstalled(
        f"physics on a device need MuJoCo Warp ({error.name} is missing): "
        "pip install 'metarl-toolkit[gpu]'"
    ) from error

__all__ = ["mujoco_warp", "start", "wp"]


def start() -> None:
    """Make Warp ready, without a line for each of the hundred modules that it compiles.

    It compiles to machine code: PTX, which it takes with a driver newer than itself, would be
    compiled a second time by the driver.
    """
    wp.config.log_level = wp.LOG_ERROR
    wp.config.cuda_output = "cubin"
    wp.init()  # type: ignore[no-untyped-call]

"""Refuses, on import, a MuJoCo that has no ``mujoco.batch``."""

import re

import gymnasium as gym
import mujoco

MINIMUM_VERSION = (3, 17)
"""Of MuJoCo: the first with ``mujoco.batch``."""


def check_version(version: str) -> None:
    """Raise unless MuJoCo is new enough.

    Raises:
        DependencyNotInstalled: naming the version.

    >>> check_version("4.0.0")
    >>> check_version("3.3.0")
    Traceback (most recent call last):
    ...
    gymnasium.error.DependencyNotInstalled: the MuJoCo families need mujoco >= 3.17, found 3.3.0
    """
    numbers = tuple(int(digits) for digits in re.findall(r"\d+", version)[:2])
    if numbers < MINIMUM_VERSION:
        wanted = ".".join(map(str, MINIMUM_VERSION))
        raise gym.error.DependencyNotInstalled(
            f"the MuJoCo families need mujoco >= {wanted}, found {version}"
        )


check_version(mujoco.__version__)

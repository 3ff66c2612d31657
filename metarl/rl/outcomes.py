"""What environments tell of a trajectory in their info: success, and numbers that are asked for.

Success is ``info["success"]``, true at any step of the trajectory, as Meta-World counts it; or else
``info["is_success"]`` as the last step that gives it has it, as stable-baselines3 counts it. Other
numbers are those of the last step that gives them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl.rl.env_faults import EnvironmentFaultError, name_of
from metarl.rl.task_envs import SampledEnvs

Array = NDArray[np.float32]
ANY_STEP, LAST_STEP = "success", "is_success"
LOOKED_AT = (ANY_STEP, LAST_STEP, "diverged")
"""In every info, beside what is asked for."""


class Outcomes:
    """Of the trajectories that N environments are in.

    Args:
        num_envs: N.
        info_keys: names of the numbers in info that are asked for.
    """

    def __init__(self, num_envs: int, info_keys: Sequence[str] = ()) -> None:
        self.info_keys = tuple(info_keys)
        self.values: Array = np.full((num_envs, 1 + len(self.info_keys)), np.nan, np.float32)
        """Success, then the numbers that are asked for; NaN where not told, ``[N, 1 + keys]``."""

    def begin(self, rows: NDArray[np.bool_]) -> None:
        """These environments start a trajectory."""
        self.values[rows] = np.nan

    def take(self, rows: NDArray[np.bool_]) -> Array:
        """Copies of all values; these environments start anew."""
        values = self.values.copy()
        self.begin(rows)
        return values

    def step(self, info: dict[str, Any], rows: NDArray[np.bool_]) -> None:
        """A step told this, as a vector environment has it, of the environments that count."""
        if ANY_STEP in info:
            which, told = _told(info, ANY_STEP, rows)
            self.values[which, 0] = np.fmax(self.values[which, 0], told)
        elif LAST_STEP in info:
            which, told = _told(info, LAST_STEP, rows)
            self.values[which, 0] = told
        for column, key in enumerate(self.info_keys, 1):
            which, told = _told(info, key, rows)
            self.values[which, column] = told


def check_told(env: SampledEnvs, values: NDArray[Any], info_keys: Sequence[str]) -> None:
    """Raise an :class:`EnvironmentFaultError` for a number that no trajectory has told.

    Args:
        env: the environments.
        values: of all trajectories, ``[..., 1 + keys]``.
        info_keys: what was asked for.
    """
    for column, key in enumerate(info_keys, 1):
        if values.size and np.isnan(values[..., column]).all():
            raise EnvironmentFaultError(
                f"{name_of(env)}: no trajectory's info has a number {key!r}, as --info-keys has"
            )


def _told(
    info: dict[str, Any], key: str, rows: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], Array]:
    """Which of the environments that count tell a number, and the numbers."""
    array = np.asarray(info.get(key))
    if array.shape != rows.shape or array.dtype.kind not in "buif":
        return np.zeros_like(rows), np.empty(0, np.float32)
    given = rows & np.asarray(info.get(f"_{key}", True), bool)
    return given, array[given].astype(np.float32)


def mean_told(values: NDArray[Any], axis: int) -> NDArray[np.float64]:
    """Mean over an axis of what was told; NaN where nothing was."""
    told = ~np.isnan(values)
    totals = np.where(told, values, 0.0).sum(axis, np.float64)
    means: NDArray[np.float64] = totals / np.where(told.any(axis), told.sum(axis), np.nan)
    return means


def named(means: NDArray[np.float64], info_keys: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Columns ``[..., 1 + keys]`` by name, of those that were told at all."""
    names = ("success", *(f"info_{key}" for key in info_keys))
    columns = dict(zip(names, np.moveaxis(means, -1, 0), strict=False))
    return {name: column for name, column in columns.items() if not np.isnan(column).all()}

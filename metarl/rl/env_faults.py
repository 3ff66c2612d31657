"""What environments give that is no number: in one line, and how much of it is put up with."""

import json
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl.rl.task_envs import TaskEnvs

LARGEST_SHARE = 0.1  # of the trajectories of an iteration that may be left out
LONGEST_TASK = 200  # letters of a task in a message


class EnvironmentFaultError(ValueError):
    """An environment fails; the message is one line with its name, the task and the step."""


class EnvironmentFaultWarning(UserWarning):
    """A trajectory was left out for what its environment gave."""


def described(
    env: TaskEnvs, index: int, step: int, observation: NDArray[Any], reward: float
) -> str:
    """What one of the environments gave that is no number, and where.

    Args:
        env: all of them.
        index: which one.
        step: of its trajectory, from 1; 0 is the reset.
        observation: that it gave.
        reward: likewise.
    """
    flat = np.ravel(observation)
    bad = np.flatnonzero(~np.isfinite(flat.astype(np.float32)))
    given = f"entry {bad[0]} of the observation is {flat[bad[0]]}" if bad.size else None
    where = f"step {step}" if step else "reset"
    task = shown(env.get_attr("task")[index])
    return f"{name_of(env)}, task {task}, {where}: {given or f'the reward is {reward}'}"


def name_of(env: TaskEnvs) -> str:
    """The id of environments, or what they were called where they were made."""
    return env.spec.id if env.spec else getattr(env, "name", type(env).__name__)


def shown(task: Any) -> str:
    """A task as JSON, not too long of it."""
    text = json.dumps(task, default=lambda value: np.asarray(value).tolist())
    return text if len(text) <= LONGEST_TASK else f"{text[:LONGEST_TASK]}…"


def note(faults: list[str], fault: str) -> None:
    """Keep the newest alone, and say the first."""
    if not faults:
        warnings.warn(
            f"{fault}; such trajectories are left out, and rollout/left_out counts them",
            EnvironmentFaultWarning,
            stacklevel=2,
        )
    faults[:] = [fault]


def check_share(left_out: int, total: int, faults: list[str]) -> None:
    """Raise an :class:`EnvironmentFaultError` if more than a tenth of trajectories is left out."""
    if left_out > LARGEST_SHARE * total:
        raise EnvironmentFaultError(
            f"{faults[-1]}; {left_out} of {total} trajectories ended so, more than a tenth: "
            "observations and rewards must be finite numbers (of single precision)"
        )

"""What environments give that is no number: in one line, and how much of it is put up with."""

import json
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from metarl.rl.task_envs import DeferredEnvs, SampledEnvs, are_numbers

LARGEST_SHARE = 0.1  # of the trajectories of an iteration that may be left out
LONGEST_TASK = 200  # letters of a task in a message


class EnvironmentFaultError(ValueError):
    """An environment fails; the message is one line with its name, the task and the step."""


class EnvironmentFaultWarning(UserWarning):
    """What an environment gave is not as it should be, and training goes on."""


def described(
    env: SampledEnvs, index: int, step: int, observation: NDArray[Any], reward: float
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
    bad = np.flatnonzero(~are_numbers(flat))
    given = f"entry {bad[0]} of the observation is {flat[bad[0]]}" if bad.size else None
    return f"{_placed(env, index, step)}: {given or f'the reward is {reward}'}"


def note_outside(
    said: list[str],
    env: SampledEnvs,
    observations: NDArray[Any],
    mask: NDArray[np.bool_],
    starts: NDArray[np.int64] | int = 0,
) -> None:
    """Say once that an observation lies outside its space, and where.

    Args:
        said: what was said.
        env: the environments.
        observations: of all environments at some steps, ``[M, T, E, D]``.
        mask: those that count, ``[M, T, E]``.
        starts: step of each trajectory that the first of the T came after, ``[M·E]``.
    """
    space = env.single_observation_space
    if said or not isinstance(space, spaces.Box) or observations.dtype.kind != "f":
        return
    low, high = (bound.ravel().astype(observations.dtype) for bound in (space.low, space.high))
    for entry in np.flatnonzero(space.bounded_below.ravel() | space.bounded_above.ravel()):
        values = observations[..., entry]
        outside = mask & ((values < low[entry]) | (values > high[entry]))
        if not outside.any():
            continue
        m, t, e = (int(place) for place in np.argwhere(outside)[0])
        index = m * mask.shape[2] + e
        where = _placed(env, index, t + int(np.broadcast_to(starts, env.num_envs)[index]))
        given, bounds = observations[m, t, e, entry], f"[{low[entry]}, {high[entry]}]"
        fault = f"{where}: entry {entry} of the observation is {given}, outside its space's"
        note(said, f"{fault} {bounds}", AS_IT_IS)
        return


def _placed(env: SampledEnvs, index: int, step: int) -> str:
    task = shown(env.get_attr("task")[index])
    return f"{name_of(env)}, task {task}, {f'step {step}' if step else 'reset'}"


def name_of(env: SampledEnvs) -> str:
    """The id of environments, or what they were called where they were made."""
    if isinstance(env, DeferredEnvs):
        env = env.envs
    named: str = getattr(env, "name", env.spec.id if env.spec else type(env).__name__)
    return named


def shown(task: Any) -> str:
    """A task as JSON, not too long of it."""
    text = json.dumps(
        task, default=lambda value: value.tolist() if hasattr(value, "tolist") else repr(value)
    )
    return text if len(text) <= LONGEST_TASK else f"{text[:LONGEST_TASK]}…"


LEFT_OUT = "such trajectories are left out, and rollout/left_out counts them"
AS_IT_IS = "what is learned from is as it is; this is said once"


def note(said: list[str], fault: str, what_follows: str = LEFT_OUT) -> None:
    """Keep the newest alone, and say the first."""
    if not said:
        warnings.warn(f"{fault}; {what_follows}", EnvironmentFaultWarning, stacklevel=3)
    said[:] = [fault]


def check_share(left_out: int, total: int, faults: Sequence[str]) -> None:
    """Raise an :class:`EnvironmentFaultError` if more than a tenth of trajectories is left out."""
    if left_out > LARGEST_SHARE * total:
        raise EnvironmentFaultError(
            f"{faults[-1]}; {left_out} of {total} trajectories ended so, more than a tenth: "
            "observations and rewards must be finite numbers (of single precision)"
        )

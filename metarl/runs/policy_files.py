"""Policies in files: what training starts from, and what is exported."""

from pathlib import Path
from typing import Any

import numpy as np

from metarl import sb3
from metarl.rl import Actor, MAMLLearner, PolicySpec, load_policy
from metarl.runs.errors import InputError


def read_policy(option: str, path: Path, action_scale: float) -> Actor:
    """A policy file of ours, or the policy of a PPO or A2C model of stable-baselines3.

    Args:
        option: that gives the file.
        path: a ``.pt`` or a ``.zip`` file.
        action_scale: of a model of stable-baselines3, which has none.
    """
    try:
        if path.suffix == ".zip":
            return sb3.load_sb3(path, action_scale=action_scale)
        return load_policy(path)
    except (OSError, ValueError) as error:
        raise InputError(str(error), option.replace("-", "_")) from error


def start_from(learner: MAMLLearner, start: Actor, path: str) -> None:
    """Give the policy of a learner the weights of another, which that file holds."""
    ours = learner.actor()
    shape, other = (
        actor.spec._replace(min_log_std=0.0, max_log_std=None) for actor in (ours, start)
    )
    if shape != other:
        raise InputError(
            f"{path} has a policy of another shape: {_shape_of(other)} there, "
            f"{_shape_of(shape)} here",
            "init_from",
        )
    pairs: Any = zip(start.to_env, ours.to_env, strict=True)
    if type(start.to_env) is not type(ours.to_env) or not all(
        np.shape(theirs) == np.shape(own) and np.allclose(theirs, own) for theirs, own in pairs
    ):
        raise InputError(
            f"{path} has other actions: {start.to_env} there, {ours.to_env} here", "init_from"
        )
    learner.policy.load_state_dict(start.policy.state_dict())
    learner.policy.keep_within_bounds()


def _shape_of(spec: PolicySpec) -> str:
    discrete = spec.categorical or spec.choices or spec.switches
    kind = "discrete" if discrete else "continuous"
    widths = [spec.observation_size, *spec.hidden_sizes, spec.action_size]
    normalised = ", observations normalised" if spec.normalised else ""
    return f"{'-'.join(map(str, widths))} {spec.activation}, {kind}{normalised}"

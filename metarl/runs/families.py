"""The registered task families, for people to read."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

import metarl_envs
from metarl import report
from metarl.runs.errors import InputError, input_errors, nearest, written
from metarl.runs.films import Camera
from metarl_envs.mujoco import registry
from metarl_envs.registration import NUMPY_FAMILIES

COLUMNS = ("id", "observation", "action", "task", "horizon", "held-out tasks")
"""Of the table of ``metarl envs``."""
NUM_DRAWN = 400
"""Tasks of training, and held-out ones, in the picture of a family."""


def families() -> list[tuple[str, ...]]:
    """The :data:`COLUMNS` of every family."""
    return [_row(env_id) for env_id in metarl_envs.FAMILIES]


def _row(env_id: str) -> tuple[str, ...]:
    env: Any = gym.make(env_id).unwrapped
    return (
        env_id,
        _brief(env.observation_space),
        _brief(env.action_space),
        ", ".join(f"{name}: {_brief(part)}" for name, part in env.task_space.items()),
        str(gym.spec(env_id).max_episode_steps),
        "disjoint from training" if env.task_distribution.disjoint else "all are shared",
    )


@dataclass(frozen=True, kw_only=True)
class Family:
    """One task family, for people to read."""

    specification: str
    """What its class, or the function that declares it, says of itself."""
    facts: Mapping[str, str]
    """The rest of the :data:`COLUMNS`."""
    options: Mapping[str, str]
    """For ``--env-kwargs``, with their defaults."""


def family_of(env_id: str) -> Family:
    """What is known of a family of metarl's.

    Raises:
        InputError: there is none of that name.
    """
    _check_family(env_id)
    declared: Any = gym.spec(env_id).kwargs.get("family")
    kind: Any = registry.FAMILIES[declared] if declared else NUMPY_FAMILIES[env_id][0]
    return Family(
        specification=inspect.getdoc(kind) or "",
        facts=dict(zip(COLUMNS[1:], _row(env_id)[1:], strict=True)),
        options={
            name: "" if option.default is option.empty else repr(option.default)
            for name, option in inspect.signature(kind).parameters.items()
        },
    )


def _check_family(env_id: str) -> None:
    known = metarl_envs.FAMILIES
    if env_id not in known:
        raise InputError(f"{env_id} is no task family of metarl; {nearest(env_id, known)}")


def draw_family(env_id: str, path: Path) -> None:
    """Draw how a family of metarl's looks, where it draws anything, and how its tasks are spread.

    Args:
        env_id: of the family.
        path: the picture, such as a .png file.

    Raises:
        InputError: there is no such family, or it cannot be drawn here.
    """
    _check_family(env_id)
    env: Any = gym.make(env_id).unwrapped
    rng = np.random.default_rng(0)
    training, held_out = (
        env.task_distribution.sample(rng, NUM_DRAWN, split) for split in ("train", "held_out")
    )
    frame = None
    if "rgb_array" in env.metadata.get("render_modes", ()):
        camera = Camera(partial(gym.make, env_id), env_id, 1, "picture")
        frame = camera.start({name: part[0] for name, part in held_out.items()}, seed=0)
    with written(path, "picture"), input_errors("picture"):
        report.draw_family(path, env_id, training, held_out, frame)


def _brief(space: gym.Space[Any]) -> str:
    if not isinstance(space, gym.spaces.Box):
        return str(space)
    low, high = float(space.low.min()), float(space.high.max())
    return f"Box({low:.4g}, {high:.4g}, {space.shape})"

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
from metarl.configs import plain
from metarl.runs import environments
from metarl.runs.env_checks.probe import Subject
from metarl.runs.errors import input_errors, written
from metarl.runs.films import Camera

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
        str(gym.spec(env_id.rpartition(":")[2]).max_episode_steps),
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
    """What is known of a family, of metarl's or the user's own.

    Raises:
        InputError: there is none of that name.
        EnvironmentFaultError: it cannot be made.
    """
    _check_family(env_id)
    kind: Any = environments.declaration(env_id)
    return Family(
        specification=plain(inspect.cleandoc(kind.__doc__ or "")),
        facts=dict(zip(COLUMNS[1:], _row(env_id)[1:], strict=True)),
        options={
            # None, as none at all, says nothing of what it stands for
            name: "" if default in (None, ...) else repr(default)
            for name, default in environments.options_of(env_id).items()
        },
    )


def _check_family(env_id: str) -> None:
    if env_id not in metarl_envs.FAMILIES:
        with Subject(source=env_id, options={}, steps=0, seed=0).envs(1):
            pass


def draw_family(env_id: str, path: Path) -> None:
    """Draw how a family looks, where it draws anything, and how its tasks are spread.

    Args:
        env_id: of the family.
        path: the picture, such as a .png file.

    Raises:
        InputError: there is no such family, or it cannot be drawn here.
        EnvironmentFaultError: it cannot be made.
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

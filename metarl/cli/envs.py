"""``metarl envs``."""

from typing import Any

import gymnasium as gym
import metarl_envs
from pydantic.dataclasses import dataclass
from rich.console import Console
from rich.table import Table

from metarl.configs import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Envs:
    """Table of the task families."""


def envs(options: Envs) -> int:
    """Run ``metarl envs``."""
    console = Console(width=None if Console().is_terminal else 140)
    table = Table(title="Task families")
    for column in ("id", "observation", "action", "task", "horizon", "held-out tasks"):
        table.add_column(column, overflow="fold")
    for env_id in metarl_envs.FAMILIES:
        env: Any = gym.make(env_id).unwrapped
        task = ", ".join(f"{name}: {_brief(part)}" for name, part in env.task_space.items())
        table.add_row(
            env_id,
            _brief(env.observation_space),
            _brief(env.action_space),
            task,
            str(gym.spec(env_id).max_episode_steps),
            "disjoint from training" if env.task_distribution.disjoint else "all are shared",
        )
    console.print(table)
    return 0


def _brief(space: gym.Space[Any]) -> str:
    if not isinstance(space, gym.spaces.Box):
        return str(space)
    low, high = float(space.low.min()), float(space.high.max())
    return f"Box({low:.4g}, {high:.4g}, {space.shape})"

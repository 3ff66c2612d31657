"""The registered task families, for people to read."""

from typing import Any

import gymnasium as gym

import metarl_envs

COLUMNS = ("id", "observation", "action", "task", "horizon", "held-out tasks")


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


def _brief(space: gym.Space[Any]) -> str:
    if not isinstance(space, gym.spaces.Box):
        return str(space)
    low, high = float(space.low.min()), float(space.high.max())
    return f"Box({low:.4g}, {high:.4g}, {space.shape})"

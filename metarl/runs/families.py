"""The registered task families, for people to read."""

from typing import Any, NamedTuple

import gymnasium as gym

import metarl_envs


class FamilyRow(NamedTuple):
    """What there is to know of a family before it is made."""

    env_id: str
    observation: str
    action: str
    task: str
    horizon: str
    held_out: str


def families() -> list[FamilyRow]:
    """A row a family."""
    return [_row(env_id) for env_id in metarl_envs.FAMILIES]


def _row(env_id: str) -> FamilyRow:
    env: Any = gym.make(env_id).unwrapped
    return FamilyRow(
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

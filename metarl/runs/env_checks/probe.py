"""Environments to look at, and trajectories played in them by given tasks, seeds and actions."""

import copy
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import iterate
from numpy.typing import NDArray

from metarl.rl import TaskEnvs
from metarl.rl.guarded import ANYTHING, GuardedEnv, GuardedEnvs, fault_of
from metarl.rl.task_sampler import drawn_tasks
from metarl.runs import environments
from metarl.runs.environments import EnvSource
from metarl.runs.errors import input_errors
from metarl.types import Task

Array = NDArray[Any]


class Played(NamedTuple):
    """One trajectory of each environment; zeros after its end."""

    observations: Array
    """``[T + 1, N, D]``, flat."""
    rewards: Array
    """``[T, N]``."""
    ended: NDArray[np.bool_]
    """``[T, N]``."""

    def row(self, index: int) -> "Played":
        """Of one environment."""
        return Played(*(part[:, index : index + 1] for part in self))

    def differs(self, other: "Played") -> list[str]:
        """What of it is different, if only by one bit."""
        names = ("observations", "rewards", "ends")
        pairs = zip(names, self, other, strict=True)
        return [
            name for name, ours, theirs in pairs if not np.array_equal(ours, theirs, equal_nan=True)
        ]


class Watch(gym.Wrapper[Any, Any, Any, Any]):
    """Notes kinds that vector environments would convert: first of each."""

    def __init__(self, env: gym.Env[Any, Any], seen: dict[str, str]) -> None:
        super().__init__(env)
        self._seen = seen

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start a trajectory."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._look(observation)
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Advance by one step."""
        outcome: Any = self.env.step(action)
        observation, reward, terminated, truncated, info = outcome
        self._look(observation)
        if not isinstance(reward, int | float | np.number):
            self._seen.setdefault("reward", f"rewards are {_kind(reward)}; they must be numbers")
        for name, flag in (("terminated", terminated), ("truncated", truncated)):
            if not isinstance(flag, bool | np.bool_):
                self._seen.setdefault(name, f"{name} is {_kind(flag)}; it must be a bool")
        return observation, reward, terminated, truncated, info

    def _look(self, observation: Any) -> None:
        space = self.env.observation_space
        if isinstance(space, spaces.Box) and np.asarray(observation).dtype != space.dtype:
            text = f"observations are {_kind(observation)}, observation_space {space.dtype}"
            self._seen.setdefault("observation", f"{text}; let them agree")


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return type(value).__name__


@dataclass(kw_only=True)
class Subject:
    """What is checked."""

    source: EnvSource
    options: dict[str, Any]
    steps: int
    """Of a long look."""
    seed: int
    kinds: dict[str, str] = field(default_factory=dict)
    """What :class:`Watch` saw."""

    @property
    def name(self) -> str:
        """Of the family."""
        return environments.name_of(self.source)

    @contextmanager
    def envs(self, num: int) -> Iterator[TaskEnvs]:
        """So many environments, closed afterwards."""
        made: Any = self._made(num)
        try:
            ours = self.source in environments.FAMILIES
            guarded: Any = made if ours else GuardedEnvs(made, self.name)
            yield guarded
        finally:
            made.close()

    def _made(self, num: int) -> Any:
        def around(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
            return GuardedEnv(Watch(env, self.kinds), self.name, os.getpid())

        each = environments.Around(around)
        try:
            with input_errors("env"):
                return environments.make_task_env(self.source, num, self.options, around=each)
        except ANYTHING as error:
            if isinstance(error, ValueError):
                raise
            raise fault_of(error, self.name, None, "making it") from error

    def tasks(self, env: TaskEnvs, num: int, split: Any = "train") -> list[Task]:
        """Tasks of one part."""
        return drawn_tasks(env, np.random.default_rng(self.seed), num, split)

    def actions(
        self, env: TaskEnvs, length: int, num: int, seed: int, *, held: bool
    ) -> list[Array]:
        """Random actions ``[num, ...]`` of so many steps; ``held`` ones are that of the first."""
        space = copy.deepcopy(env.single_action_space)
        space.seed(seed)
        each = [[space.sample() for _ in range(num)] for _ in range(1 if held else length)]
        return [np.stack(row) for row in each] * (length if held else 1)


def play(
    env: TaskEnvs,
    tasks: Sequence[Task] | None,
    seeds: Sequence[int],
    actions: Sequence[Array],
    *,
    num_resets: int = 1,
    before_step: Callable[[int], object] = lambda step: None,
) -> Played:
    """One trajectory of every environment, of as many steps as there are actions.

    Args:
        env: the environments.
        tasks: one each, to set; or None, to leave them.
        seeds: of the first reset, one each.
        actions: of every step.
        num_resets: before the trajectory; those after the first have no seeds.
        before_step: called with the number of every step.
    """
    if tasks is not None:
        env.set_attr("task", list(tasks))
    raw, _ = env.reset(seed=list(seeds))
    for _ in range(num_resets - 1):
        raw, _ = env.reset()
    alive = np.ones(env.num_envs, bool)
    observations, rewards, ended = [flat(env, raw)], [], []
    for step, action in enumerate(actions):
        before_step(step)
        raw, reward, terminated, truncated, _ = env.step(action)
        observations.append(np.where(alive[:, None], flat(env, raw), 0.0))
        rewards.append(np.where(alive, reward, 0.0))
        ended.append(alive & (terminated | truncated))
        alive = alive & ~ended[-1]
        if not alive.any():
            break
    return Played(np.array(observations), np.array(rewards), np.array(ended))


def flat(env: TaskEnvs, observations: Any) -> Array:
    """Observations of all environments as vectors, ``[N, D]``."""
    if isinstance(observations, np.ndarray) and isinstance(
        env.single_observation_space, spaces.Box
    ):
        return observations.reshape(env.num_envs, -1).copy()
    space = env.single_observation_space
    batch: Any = iterate(spaces_of(env), observations)
    return np.stack([np.asarray(spaces.flatten(space, one), np.float64) for one in batch])


def spaces_of(env: TaskEnvs) -> spaces.Space[Any]:
    """The space of observations of all."""
    whole: Any = env
    space: spaces.Space[Any] = whole.observation_space
    return space

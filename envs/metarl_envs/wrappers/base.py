"""``TaskWrapper``: owns the task of a wrapped environment. Subclasses say what a task changes."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import ArrayLike, NDArray

from metarl_envs.task_spaces import validate_task
from metarl_envs.tasks import Distribution, Product, Task

Env = gym.Env[Any, Any]

_MAX_STATE = 1e10  # mjMAXVAL: MuJoCo calls a state beyond it unstable
_UNSTABLE = slice(3, 6)  # mjWARN_BADQPOS to mjWARN_BADQACC; importing mujoco is not for all


class TaskWrapper(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs, ABC):
    """Gives an environment ``task_space``, ``task_distribution`` and a sticky ``task``.

    Where the wrapped environment has tasks already, the entries of both make up the task.

    Args:
        env: the environment.
        parts: distributions of this wrapper's entries of the task, by name.
        task: the task to start with, all entries; by default drawn from the train part.
        hide: indices of observation entries to leave out, as they give the task away.
        observe: whether this wrapper's entries are appended to the observation, in the order of
            ``task_space``.
    """

    def __init__(
        self,
        env: Env,
        parts: Mapping[str, Distribution],
        *,
        task: Mapping[str, ArrayLike] | None,
        hide: Sequence[int],
        observe: bool,
    ) -> None:
        super().__init__(env)
        self._has_inner_tasks = env.has_wrapper_attr("task_distribution")
        inner = env.get_wrapper_attr("task_distribution").parts if self._has_inner_tasks else {}
        if shared := sorted(set(inner) & set(parts)):
            raise ValueError(f"the wrapped environment's task has the entries {shared} already")
        own = Product(parts)
        self.task_distribution = Product({**inner, **own.parts})
        self.task_space = self.task_distribution.space
        self._own = tuple(own.parts)
        self._view = _View(env.observation_space, hide, own.space if observe else None)
        self.observation_space = self._view.space
        self._spec_of_wrapped = env.unwrapped.spec
        self.task = self._first_task(own) if task is None else task

    @abstractmethod
    def _apply(self, task: Task) -> None:
        """Make the environment do this wrapper's entries of the task."""

    @abstractmethod
    def _after_reset(self, observation: Any) -> None:
        """What the wrapper has to do between a reset and its first step."""

    def _reward_of(
        self, action: Any, observation: Any, info: dict[str, Any], reward: SupportsFloat
    ) -> SupportsFloat:
        """The reward of a step that led to ``observation``; by default the environment's own."""
        return reward

    @property
    def task(self) -> Task:
        """The current task; it stays through resets until set again."""
        return self._task

    @task.setter
    def task(self, task: Mapping[str, ArrayLike]) -> None:
        checked = validate_task(self.task_space, task)
        own = {name: checked[name] for name in self._own}
        if self._has_inner_tasks:
            inner = {name: value for name, value in checked.items() if name not in own}
            self.env.set_wrapper_attr("task", inner)
        self._apply(own)
        self._task = checked

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start in the current task."""
        observation, info = self.env.reset(seed=seed, options=options)
        if (simulation := _simulation(self.unwrapped)) is not None:
            simulation.warning.number[_UNSTABLE] = 0
        self._after_reset(observation)
        return self._view(observation, self._task), info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Advance by one step; a MuJoCo simulation that diverges ends the trajectory.

        As in metarl's own families its reward is then 0, and ``info["diverged"]`` says so.
        """
        # MuJoCo takes all controls as zero where one is NaN, and says so in a log file only
        # (a sum of squares is NaN where one is, and costs a third of looking at each)
        if isinstance(self.action_space, spaces.Box) and math.isnan(np.vdot(action, action)):
            raise ValueError(f"action {np.asarray(action).tolist()} has NaN; it must be numbers")
        observation, reward, terminated, truncated, info = self.env.step(action)
        reward = float(self._reward_of(action, observation, info, reward))
        if has_diverged(self.unwrapped):
            reward, terminated, info = 0.0, True, {**info, "diverged": True}
        return self._view(observation, self._task), reward, terminated, truncated, info

    @property
    def spec(self) -> EnvSpec | None:  # type: ignore[override] # a property in gymnasium's, too
        """The environment's spec, from which it can be made again.

        Without this wrapper where ``gymnasium.make`` got it from a registered entry point: that
        makes it already.
        """
        if self.unwrapped.spec is not self._spec_of_wrapped:
            return self.env.spec
        return super().spec

    def _first_task(self, own: Product) -> Task:
        inner = self.env.get_wrapper_attr("task") if self._has_inner_tasks else {}
        drawn = own.sample(self.np_random, 1, "train")
        return {**inner, **{name: values[0] for name, values in drawn.items()}}


def has_diverged(env: Any) -> bool:
    """Whether an unwrapped environment's MuJoCo simulation has become unstable since its reset.

    MuJoCo starts it anew by itself, in the middle of a step, and counts that in its warnings.
    """
    simulation = _simulation(env)
    if simulation is None:
        return False
    state = simulation.qpos, simulation.qvel
    # sums of squares, which cost less, are below the bound in all but the largest states
    calm = state[0].dot(state[0]) + state[1].dot(state[1]) < _MAX_STATE or all(
        np.abs(part).max(initial=0.0) < _MAX_STATE for part in state
    )
    return not calm or any(simulation.warning.number[_UNSTABLE].tolist())


def _simulation(env: Any) -> Any:
    """MuJoCo's data, if the environment has them."""
    data = getattr(env, "data", None)
    return data if hasattr(data, "warning") and hasattr(data, "qpos") else None


class _View:
    """What is shown of an observation: without hidden entries, with entries of the task."""

    def __init__(
        self, space: spaces.Space[Any], hide: Sequence[int], shown: spaces.Dict | None
    ) -> None:
        self.space = space
        self._names: tuple[str, ...] = () if shown is None else tuple(shown.spaces)
        self._changes = len(hide) > 0 or len(self._names) > 0
        if not self._changes:
            return
        if not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise ValueError(
                f"only entries of a Box of one axis can be hidden or appended, not of {space}; "
                "wrap the environment in gymnasium.wrappers.FlattenObservation first"
            )
        num = space.shape[0]
        if any(not 0 <= index < num for index in hide):
            raise ValueError(f"hide must be within 0 and {num - 1}, got {list(hide)}")
        self._keep = np.setdiff1d(np.arange(num), list(hide))
        parts = [] if shown is None else [shown[name] for name in self._names]
        low, high = (
            np.concatenate([bound[self._keep], *(getattr(part, end).ravel() for part in parts)])
            for end, bound in (("low", space.low), ("high", space.high))
        )
        dtype: Any = space.dtype
        self.space = spaces.Box(low.astype(dtype), high.astype(dtype), dtype=dtype)

    def __call__(self, observation: Any, task: Task) -> Any:
        """The observation as shown."""
        if not self._changes:
            return observation
        kept: NDArray[Any] = observation[self._keep]
        shown = np.concatenate([kept, *(task[name].ravel() for name in self._names)])
        return shown.astype(self.space.dtype, copy=False)

"""Environments of a user's own: what they raise is one line with environment, task and place."""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import logger, spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AsyncVectorEnv, VectorWrapper
from gymnasium.wrappers import TransformObservation
from numpy.typing import NDArray

from metarl.rl.env_faults import EnvironmentFaultError, shown
from metarl.rl.observations import ObservationView, as_array, given_space
from metarl.rl.task_envs import set_some

ANYTHING = (Exception, SystemExit)
"""A user's code may raise what it likes, and none of that is about our files or options."""
LIBRARIES = {"gymnasium", "metarl", "metarl_envs", "mujoco", "numpy", "torch"}
LONGEST = 300  # letters of a foreign message
TASK_ATTRIBUTES = ("task_space", "task_distribution", "task")  # of every environment with tasks


class GuardedEnv(gym.Wrapper[Any, Any, Any, Any]):
    """One environment, also in the processes of ``AsyncVectorEnv``.

    Errors of its step, its reset and the setter of its task become an
    :class:`EnvironmentFaultError`, and so do observations and rewards of a wrong kind. Observations
    are as policies see them (:mod:`metarl.rl.observations`).

    Args:
        env: the environment.
        name: what it is called in messages.
        process: the id of the one that collects. Another one is ``AsyncVectorEnv``'s: Ctrl-C is not
            meant for it, and whatever handles signals in the first must not keep it from ending.
    """

    def __init__(self, env: gym.Env[Any, Any], name: str, process: int | None = None) -> None:
        super().__init__(as_array(env))
        if process not in (None, os.getpid()):
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._name = name
        self._num_steps = 0
        self._task: Any = None

    @property
    def spec(self) -> EnvSpec | None:  # type: ignore[override] # a property in gymnasium's, too
        """The environment's, which does not know of this wrapper."""
        return self.env.spec

    @property
    def given_observation_space(self) -> spaces.Space[Any] | None:
        """The environment's own, where policies see another."""
        view = self.env.func if isinstance(self.env, TransformObservation) else None
        return view.given if isinstance(view, ObservationView) else None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start a trajectory."""
        self._num_steps = 0
        try:
            observation, info = self.env.reset(seed=seed, options=options)
            return checked_observation(observation, self.observation_space), info
        except ANYTHING as error:
            raise fault_of(error, self._name, self._task, "reset") from error

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Advance by one step."""
        self._num_steps += 1
        try:
            observation, reward, terminated, truncated, info = self.env.step(action)
            observation = checked_observation(observation, self.observation_space)
            ended = bool(terminated), bool(truncated)
            return observation, checked_reward(reward), *ended, info
        except ANYTHING as error:
            where = f"step {self._num_steps}"
            raise fault_of(error, self._name, self._task, where) from error

    def set_wrapper_attr(self, name: str, value: Any, *, force: bool = True) -> bool:
        """Set an attribute, such as the task."""
        if name == "task":
            self._task = value
        try:
            return self.env.set_wrapper_attr(name, value, force=force)  # never of this wrapper
        except ANYTHING as error:
            if isinstance(error, ValueError) and raised_by_us(error):
                raise  # says itself what a task must be
            raise fault_of(error, self._name, self._task, f"setter of {name}") from error


class GuardedEnvs(VectorWrapper[Any, Any, Any, Any, Any]):
    """A vector environment of such: errors of its own and processes that end are named, too.

    Args:
        env: the vector environment.
        name: what its environments are called in messages.
    """

    env: Any  # get_attr and set_attr are in every vector environment, but not in their base class

    def __init__(self, env: Any, name: str) -> None:
        super().__init__(env)
        self.name = name
        self.given_observation_space = given_space(env)
        """Of the environments themselves, where policies see another."""
        self._num_steps = np.zeros(env.num_envs, np.int64)
        self._tasks: list[Any] = [None] * env.num_envs

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start all environments, or those of a mask."""
        self._num_steps[(options or {}).get("reset_mask", slice(None))] = 0
        result: tuple[NDArray[Any], dict[str, Any]]
        result = self._call("reset", self.env.reset, seed=seed, options=options)
        return result

    def step(
        self, actions: Any
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Advance every environment by one step."""
        self._num_steps += 1
        result: tuple[Any, Any, Any, Any, dict[str, Any]] = self._call(
            "step", self.env.step, actions
        )
        return result

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """The attribute of each environment."""
        values: tuple[Any, ...] = self._call(name, self.env.get_attr, name)
        return values

    def set_attr(self, name: str, values: Any) -> None:
        """Set the attribute of each environment."""
        if name == "task":
            self._tasks = list(values)
        self._call(f"setter of {name}", self.env.set_attr, name, values)

    def set_some(self, name: str, rows: Sequence[int], values: Sequence[Any]) -> None:
        """Set the attribute of some environments."""
        for row, value in zip(rows, values, strict=True):
            if name == "task":
                self._tasks[row] = value
        self._call(f"setter of {name}", set_some, self.env, name, rows, values)

    def _call(self, where: str, call: Callable[..., Any], *given: Any, **options: Any) -> Any:
        level = logger.min_level
        if isinstance(self.env.unwrapped, AsyncVectorEnv):
            logger.min_level = logger.ERROR + 1  # it prints the tracebacks of its processes
        try:
            return call(*given, **options)
        except ANYTHING as error:
            if where.startswith("setter") and isinstance(error, ValueError) and raised_by_us(error):
                raise  # says itself what a task must be
            raise self._fault(error, where) from error
        finally:
            logger.min_level = level

    def _fault(self, error: BaseException, where: str) -> EnvironmentFaultError:
        inner = self.env.unwrapped
        if isinstance(inner, AsyncVectorEnv) and isinstance(error, EOFError | ConnectionError):
            codes = _end(inner)
            index = next((i for i, code in enumerate(codes) if code is not None), 0)
            step = f"step {self._num_steps[index]}" if where == "step" else where
            about = f"{self.name}, task {shown(self._tasks[index])}, {step}"
            return EnvironmentFaultError(f"{about}: its process ended, exit code {codes[index]}")
        step = f"step {self._num_steps.max()}" if where == "step" else where
        return fault_of(error, self.name, None, step)


def fault_of(error: BaseException, name: str, task: Any, where: str) -> EnvironmentFaultError:
    """One line about what an environment raised.

    Args:
        error: that it raised.
        name: of the environment.
        task: that it had, if that is known.
        where: the step or another occasion.
    """
    if isinstance(error, EnvironmentFaultError):
        return error
    what = " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST]
    if isinstance(error, AttributeError) and error.name in TASK_ATTRIBUTES:
        what = f"it lacks {error.name}; a task family has {', '.join(TASK_ATTRIBUTES)}"
    about = "" if task is None else f", task {shown(task)}"
    return EnvironmentFaultError(f"{name}{about}, {where}: {what}{_place(error)}")


def checked_observation(observation: Any, space: spaces.Space[Any]) -> Any:
    """The observation, of a Box as an array; :class:`TypeError` if it is of another kind."""
    if not isinstance(space, spaces.Box):
        return observation
    given = np.asarray(observation)
    if given.shape == space.shape and given.dtype == space.dtype:
        return given
    if given.shape != space.shape or not np.can_cast(given.dtype, space.dtype, "same_kind"):
        raise TypeError(
            f"the observation is {given.dtype} of shape {given.shape}, but observation_space "
            f"{space.dtype} of shape {space.shape}"
        )
    return given


def checked_reward(reward: Any) -> float:
    """The reward; :class:`TypeError` if it is no number."""
    if isinstance(reward, float):
        return float(reward)
    given = np.asarray(reward)
    if given.size != 1 or given.dtype.kind not in "buif":
        raise TypeError(f"the reward is {reward!r}, not a number")
    return float(given.item())


def _end(env: AsyncVectorEnv) -> list[int | None]:
    """End the processes of an environment that has lost one; exit codes of those that had ended."""
    codes = []
    for process in env.processes:
        process.join(0.1)  # one that is gone is known to be so a little later
        codes.append(process.exitcode)
    for process in env.processes:
        process.terminate()
    env.closed = True  # closing would wait for answers
    return codes


def _place(error: BaseException) -> str:
    """File and line of the innermost call in the user's own code, in brackets."""
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        package = _package(frame)
        if package not in LIBRARIES and package not in sys.stdlib_module_names:
            return f" ({frame.f_code.co_filename}:{line})"
    return ""


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def raised_by_us(error: BaseException) -> bool:
    """Whether it was a check of metarl's own environments."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return _package(frame) == "metarl_envs"

"""From what a user names or gives to environments with tasks, or one line about what is wrong."""

import copy
import importlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gymnasium as gym
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import TimeLimit

from metarl_envs.contract import check_contract
from metarl_envs.copies import Around, CopiesVectorEnv
from metarl_envs.device import DeviceEnv
from metarl_envs.ids import check_id, not_made, own_name, unknown_option
from metarl_envs.registration import BATCHED, DEVICE_MAKERS, WARP, DeviceMaker
from metarl_envs.workers import WorkerVectorEnv
from metarl_envs.wrappers import ShowTask, ShowTaskVector

Env = gym.Env[Any, Any]
EnvSource = str | Callable[[], Env] | Env
"""An id (``module:Id`` imports the module that registers it), a function that makes an environment,
or an environment, of which copies are made."""

OF_VECTORS = ("vectorization_mode", "vector_kwargs")
"""Options with which gymnasium makes a vector of single environments itself."""


class WorkersError(ValueError):
    """Processes were asked for where there are no single environments for them."""


NOTHING = Around()


def make_task_env(
    source: EnvSource,
    num_envs: int,
    options: dict[str, Any],
    *,
    show_task: bool = False,
    reset_by_caller: bool = False,
    max_episode_steps: int | None = None,
    around: Around = NOTHING,
    workers: int = 1,
) -> Any:
    """A vector environment of a task family.

    Args:
        source: of its environments.
        num_envs: number of environments.
        options: of the family, where the source is an id.
        show_task: append the task to the observation.
        reset_by_caller: what has ended waits until it is reset, whatever kind of environment it is.
        max_episode_steps: a time limit instead of the family's own.
        around: wrappers.
        workers: processes that single environments are stepped in; 1 is this one.

    Raises:
        ValueError: if the id is unknown, the options do not fit or it lacks what a task family has.
    """
    waiting = {"autoreset_mode": AutoresetMode.DISABLED} if reset_by_caller else {}
    if isinstance(source, str):
        limit = {} if max_episode_steps is None else {"max_episode_steps": max_episode_steps}
        env = _make_registered(source, num_envs, {**options, **limit}, waiting, around, workers)
    elif options:
        raise ValueError(f"{name_of(source)} is no id, so env_kwargs cannot be given to it")
    else:
        makers = [_maker(source, max_episode_steps, around.each)] * num_envs
        env = _copies(makers, workers, around.info_keys, waiting)
    check_contract(env, name_of(source))
    try:
        env = env if around.all is None else around.all(env)
        return ShowTaskVector(env) if show_task else env
    except ValueError as error:
        raise ValueError(f"{name_of(source)}: {error}") from error


def make_device(
    source: EnvSource,
    num_envs: int,
    device: Any,
    xp: Any,
    *,
    max_episode_steps: int | None = None,
    **options: Any,
) -> DeviceEnv:
    """Environments of a task family whose tensors stay on their device.

    Args:
        source: an id of :data:`metarl_envs.FAMILIES`, or of :func:`metarl_envs.mujoco.register`.
        num_envs: number of environments.
        device: of the tensors, as the library names it.
        xp: the library, as a namespace of the Python array API: ``array_api_compat.torch``.
        max_episode_steps: a time limit instead of the family's own.
        options: of the family.

    Raises:
        ValueError: where the family has no device form or the options do not fit.
    """
    make = device_maker(source)
    assert isinstance(source, str)
    limit = max_episode_steps
    if limit is None:
        limit = gym.spec(own_name(source)).max_episode_steps
    try:
        env: DeviceEnv = make(source, num_envs, limit, device, xp, **options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{source} with options {json.dumps(options)}: {error}") from error
    return env


def device_maker(source: EnvSource) -> Callable[..., DeviceEnv]:
    """What makes a family's environments on a device, from what :func:`make_device` is given.

    Raises:
        ValueError: where the family has no such form.
        gymnasium.error.DependencyNotInstalled: where it needs a library that is not there.
    """
    maker = _device_maker(source)
    if maker is None:
        known = ", ".join(DEVICE_MAKERS)
        raise ValueError(f"{name_of(source)} has no form on a device; these have: {known}")
    module, _, function = maker.function.partition(":")
    return partial(getattr(importlib.import_module(module), function), **maker.options)


def check_for_device(
    source: EnvSource, xp: Any, *, max_episode_steps: int | None = None, **options: Any
) -> None:
    """Raise where :func:`make_device` cannot make a family with these options, on any device.

    Raises:
        ValueError: one line.
        gymnasium.error.DependencyNotInstalled: as :func:`device_maker`.
    """
    device_maker(source)
    maker = _device_maker(source)
    if maker is not None and maker.function == WARP:
        warp = importlib.import_module(WARP.partition(":")[0])
        try:
            warp.declared_for_device(xp, **maker.options, **options)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{source} with options {json.dumps(options)}: {error}") from error


def on_warp(source: EnvSource) -> bool:
    """Whether it is MuJoCo Warp that has a family on a device.

    Raises:
        ValueError: the source is an id that is not registered.
    """
    maker = _device_maker(source)
    return maker is not None and maker.function == WARP


def _device_maker(source: EnvSource) -> DeviceMaker | None:
    """What the family of that id was registered with."""
    if not isinstance(source, str):
        return None
    check_id(source)
    return DEVICE_MAKERS.get(own_name(source))


def _make_registered(
    env_id: str,
    num_envs: int,
    options: dict[str, Any],
    waiting: dict[str, Any],
    around: Around,
    workers: int,
) -> Any:
    at_once = made_at_once(env_id, options)
    if workers > 1:
        _check_workers(env_id, options, at_once=at_once)
    try:
        if not at_once and not options.keys() & OF_VECTORS:
            makers = [_registered_maker(env_id, options, around.each)] * num_envs
            copies = _copies(makers, workers, around.info_keys, waiting)
            copies.spec = gym.spec(own_name(env_id))
            return copies
        given = {} if at_once or around.each is None else {"wrappers": [around.each]}
        if at_once and own_name(env_id) in BATCHED:
            # every collection resets all: what has ended need not be stepped until then
            waiting = {"autoreset_mode": AutoresetMode.DISABLED}
        elif waiting and not at_once:
            waiting = {"vector_kwargs": {**waiting, **options.get("vector_kwargs", {})}}
        return gym.make_vec(env_id, num_envs=num_envs, **{**options, **given, **waiting})
    except (TypeError, ValueError, gym.error.Error) as error:
        raise ValueError(not_made(env_id, options, error)) from error


def _check_workers(env_id: str, options: dict[str, Any], *, at_once: bool) -> None:
    """Raise a :class:`WorkersError` where something else makes a vector of the environments."""
    if at_once:
        raise WorkersError(
            f"workers must be 1: {env_id} steps all of a batch by itself (MuJoCo families take "
            "num_threads)"
        )
    for name in OF_VECTORS:
        if name in options:
            raise WorkersError(f"workers must be 1 with {name}, which steps {env_id}, too")


def _registered_maker(
    env_id: str, options: dict[str, Any], each: Callable[[Env], Env] | None
) -> Callable[[], Env]:
    def make() -> Env:
        env = gym.make(env_id, **options)
        return env if each is None else each(env)

    return make


def _copies(
    makers: list[Callable[[], Env]],
    workers: int,
    info_keys: Sequence[str] | None,
    waiting: dict[str, Any],
) -> CopiesVectorEnv | WorkerVectorEnv:
    if workers == 1 or len(makers) == 1:
        return CopiesVectorEnv(makers, info_keys=info_keys, **waiting)
    return WorkerVectorEnv(makers, workers, info_keys=info_keys, **waiting)


def made_at_once(env_id: str, options: dict[str, Any]) -> bool:
    """Whether gymnasium makes the environments of an id as one vector environment of their own."""
    check_id(env_id)
    own = gym.spec(own_name(env_id)).vector_entry_point
    return options.get("vectorization_mode") in (None, "vector_entry_point") and own is not None


def has_single(env_id: str) -> bool:
    """Whether gymnasium makes one environment of an id, not a batch alone."""
    check_id(env_id)
    return gym.spec(own_name(env_id)).entry_point is not None


def _maker(
    source: Callable[[], Env] | Env,
    limit: int | None = None,
    around: Callable[[Env], Env] | None = None,
) -> Callable[[], Env]:
    def make() -> Env:
        env = copy.deepcopy(source) if isinstance(source, gym.Env) else source()
        env = env if limit is None else TimeLimit(env, limit)
        return env if around is None else around(env)

    return make


def make_single(
    source: EnvSource,
    options: dict[str, Any],
    *,
    show_task: bool = False,
    around: Callable[[Env], Env] | None = None,
) -> Env:
    """One environment of a task family, for what is not a batch; arguments as above."""
    try:
        env = gym.make(source, **options) if isinstance(source, str) else _maker(source)()
    except TypeError as error:
        if unknown := unknown_option(name_of(source), options, error):
            raise ValueError(unknown) from error
        raise
    env = env if around is None else around(env)
    return ShowTask(env) if show_task else env


def name_of(source: EnvSource) -> str:
    """An id, or the qualified name of a function or a class."""
    if isinstance(source, str):
        return source
    if isinstance(source, partial):
        return name_of(source.func)
    kind = type(source.unwrapped) if isinstance(source, gym.Env) else source
    return f"{kind.__module__}.{getattr(kind, '__qualname__', type(kind).__qualname__)}"

"""From an environment id to a vector environment with tasks, or one line about what is wrong.

The only module that knows :mod:`metarl_envs`, and only to register its ids.
"""

import importlib
import json
import sys
from typing import Any, cast

import gymnasium as gym
import metarl_envs
from gymnasium.vector import AutoresetMode
from rich.console import Console
from rich.table import Table

from metarl.rl.sampler import TaskEnvs
from metarl.runs.errors import InputError, nearest

_REGISTERED_BY_GYMNASIUM = gym.registry.keys() - metarl_envs.FAMILIES.keys()


def make_task_env(
    env_id: str,
    num_envs: int,
    options: dict[str, Any],
    *,
    show_task: bool,
    reset_by_caller: bool = False,
) -> TaskEnvs:
    """A vector environment of a task family.

    Args:
        env_id: a registered id, or ``module:Id`` to import the module that registers it.
        num_envs: number of environments.
        options: of the family.
        show_task: append the task to the observation.
        reset_by_caller: what has ended waits until it is reset, whatever kind of environment it is.

    Raises:
        InputError: if the id is unknown, the options do not fit or it has no tasks.
    """
    check_id(env_id)
    # every collection resets all environments: what has ended need not be stepped until then
    batched = env_id in metarl_envs.FAMILIES and "vectorization_mode" not in options
    mode = {"autoreset_mode": AutoresetMode.DISABLED}
    waiting: dict[str, Any] = mode if batched else {}
    if reset_by_caller and not batched:
        waiting = {"vector_kwargs": {**mode, **options.get("vector_kwargs", {})}}
    try:
        env: Any = gym.make_vec(env_id, num_envs=num_envs, **{**options, **waiting})
    except (TypeError, ValueError, gym.error.Error) as error:
        raise InputError(f"--env {env_id} with options {json.dumps(options)}: {error}") from error
    try:
        env.get_attr("task_distribution")
    except AttributeError as error:
        raise InputError(
            f"--env {env_id} has no tasks: a task family has task_space, task_distribution and task"
        ) from error
    task_envs: TaskEnvs = cast(Any, metarl_envs.ShowTaskVector(env)) if show_task else env
    return task_envs


def check_id(env_id: str) -> None:
    """Raise a :class:`InputError` with the nearest known id unless ``env_id`` is registered."""
    module, _, name = env_id.rpartition(":")
    try:
        if module:
            _import(module)
        gym.spec(name)
    except (ImportError, SyntaxError, TypeError, ValueError) as error:
        raise InputError(f"--env {env_id}: {error}") from error
    except gym.error.Error as error:
        families = gym.registry.keys() - _REGISTERED_BY_GYMNASIUM
        # people forget the namespace more often than they misspell
        by_tail = {known.split("/")[-1]: known for known in families}
        hint = nearest(by_tail.get(name, name), families)
        raise InputError(f"--env {env_id} is not a registered environment; {hint}") from error


def _import(module: str) -> None:
    """Import the user's module; like ``python -m``, also from the current folder."""
    if "" not in sys.path:
        sys.path.insert(0, "")
    importlib.import_module(module)


def make_single(env_id: str, options: dict[str, Any], *, show_task: bool) -> gym.Env[Any, Any]:
    """One environment of a task family, for what is not a batch; arguments as above."""
    env: gym.Env[Any, Any] = gym.make(env_id, **options)
    return metarl_envs.ShowTask(env) if show_task else env


def horizon_of(env: TaskEnvs, requested: int | None) -> int:
    """The requested horizon, or the environment's own time limit.

    Raises:
        InputError: if the horizon is beyond the time limit, or there is neither.
    """
    registered = env.spec.max_episode_steps if env.spec is not None else None
    inner = getattr(env, "unwrapped", env)  # vector wrappers hide its attributes
    limit: int | None = getattr(inner, "max_episode_steps", registered)
    if requested is None:
        if limit is None:
            raise InputError("this environment has no time limit of its own: give --horizon")
        return limit
    if limit is not None and requested > limit:
        raise InputError(
            f"--horizon {requested} is beyond the environment's time limit of {limit} steps; "
            f"""raise that with --env-kwargs '{{"max_episode_steps": {requested}}}'"""
        )
    return requested


def print_families(console: Console) -> None:
    """Table of the registered task families."""
    table = Table(title="Task families")
    for column in ("id", "observation", "action", "task", "horizon", "held-out tasks"):
        table.add_column(column, overflow="fold")
    for env_id in metarl_envs.FAMILIES:
        env: Any = gym.make(env_id).unwrapped
        spec = gym.spec(env_id)
        task = ", ".join(f"{name}: {_brief(part)}" for name, part in env.task_space.items())
        disjoint = "disjoint from training" if env.task_distribution.disjoint else "all are shared"
        table.add_row(
            env_id,
            _brief(env.observation_space),
            _brief(env.action_space),
            task,
            str(spec.max_episode_steps),
            disjoint,
        )
    console.print(table)


def _brief(space: gym.Space[Any]) -> str:
    if not isinstance(space, gym.spaces.Box):
        return str(space)
    low, high = float(space.low.min()), float(space.high.max())
    return f"Box({low:.4g}, {high:.4g}, {space.shape})"

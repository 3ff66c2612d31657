"""What the policy of a run adapts to, from what a user gives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from metarl.fewshot.configs import NormMode
from metarl.fewshot.heads.configs import HeadName
from metarl.rl import (
    RecordedTrajectories,
    SimulatedTasks,
    Source,
    Trajectories,
    UnknownTask,
    read_minari,
)
from metarl.rl.guarded import ANYTHING, GuardedEnv, fault_of
from metarl.rl.observations import as_arrays
from metarl.rl.plain_spaces import space_of
from metarl.rl.trajectories import action_bounds
from metarl.rl.unknown_task import UnknownEnvs
from metarl.runs import environments
from metarl.runs.errors import InputError, input_errors
from metarl.runs.evaluate import NUM_TRAJECTORIES
from metarl.runs.facts import EnvFacts

Recording = Trajectories | str | Path
Recordings = Recording | Sequence[Recording]
"""Recorded trajectories or their file, or one for each step of adaptation."""
Environment = str | Callable[[], Any] | gym.Env[Any, Any] | VectorEnv[Any, Any, Any]
"""An id, a function that makes a single or vector environment, or one that there is."""


OPTION = "trajectories"
FOR_POLICIES = ("task", "env", "trajectories", "num_trajectories", "force")
"""What of :class:`Given` is for policies alone."""
FOR_CLASSIFIERS = ("norm", "head", "head_options")
"""What of it is for classifiers alone."""
HOW_MANY = "how many are collected is --num-trajectories"


@dataclass(frozen=True, kw_only=True)
class Given:
    """What :meth:`metarl.Run.adapt` is given."""

    task: dict[str, Any] | None = None
    env: Environment | None = None
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Options of an id in ``env``."""
    trajectories: Recordings | None = None
    support: Any = None
    steps: int | None = None
    num_trajectories: int | None = None
    force: bool = False
    norm: NormMode | None = None
    head: HeadName | None = None
    head_options: dict[str, Any] | None = None
    seed: int = 0


def source_of(
    given: Given,
    facts: EnvFacts,
    of_task: Callable[[dict[str, Any], int | None, int], SimulatedTasks],
) -> Source:
    """The one source that is given.

    Args:
        given: as a user has it.
        facts: of the run.
        of_task: of a task of the run's family, a number of trajectories and a seed.

    Raises:
        InputError: it does not fit the run, there are several, or there is none.
    """
    recorded = given.trajectories
    if recorded is not None:
        source = _recorded(recorded, facts, force=given.force)
    names = [n for n in ("task", "env", "trajectories") if getattr(given, n) is not None]
    if len(names) != 1:
        wrong = f"is not for --{names[1]}" if names else "is missing: the task to adapt to"
        instead = "give one of --task, --env (whose task is unknown) and --trajectories FILE"
        raise InputError(f"{wrong}; {instead}", names[0] if names else "task")
    if recorded is None and given.force:
        raise InputError("is for --trajectories", "force")
    if given.task is not None:
        return of_task(given.task, given.num_trajectories, given.seed)
    if given.env is not None:
        count = given.num_trajectories or NUM_TRAJECTORIES
        envs = _opened(given.env, given.env_kwargs)
        return _unknown_task(envs, facts, num_trajectories=count, seed=given.seed)
    if given.num_trajectories is not None:
        raise InputError("are collected, and --trajectories are recorded", "num_trajectories")
    return source


def _recorded(given: Recordings, facts: EnvFacts, *, force: bool) -> RecordedTrajectories:
    """Recorded trajectories that fit the spaces of a run; else an :class:`InputError`."""
    parts: Any = given
    if isinstance(given, Trajectories | str | Path):
        parts = [given]
    if not isinstance(parts, Sequence) or not parts:
        raise InputError(f"must be recorded, or their files, got {given!r}; {HOW_MANY}", OPTION)
    return RecordedTrajectories(parts=[_fitting(part, facts) for part in parts], force=force)


def _fitting(given: Recording, facts: EnvFacts) -> Trajectories:
    named = "those given" if isinstance(given, Trajectories) else str(given)
    if not isinstance(given, Trajectories):
        path = Path(given)
        if path.name.isdigit() and not path.exists():
            raise InputError(f"{path}: no such file; {HOW_MANY}", OPTION)
        with input_errors(OPTION):
            given = _read(path)
    with input_errors(OPTION, prefix=f"{named}: "):
        given.check_spaces(space_of(facts.observation_space), space_of(facts.action_space))
    return given


def _read(path: Path) -> Trajectories:
    """An .npz file, or the folder of a data set of Minari."""
    if not path.is_dir():
        return Trajectories.load(path)
    try:
        return read_minari(path)
    except ModuleNotFoundError as error:
        raise InputError(f"{path}: {error}", OPTION) from error


def _unknown_task(
    envs: UnknownEnvs, facts: EnvFacts, *, num_trajectories: int, seed: int
) -> UnknownTask:
    """An environment such as the run was trained on, as the policy is to collect in it."""
    _check_spaces(envs, facts)
    return UnknownTask(
        make_env=lambda num_envs: envs,
        num_trajectories=max(num_trajectories, envs.num_envs),
        seed=seed,
    )


def _opened(given: Environment, options: Mapping[str, Any]) -> UnknownEnvs:
    there = isinstance(given, gym.Env | VectorEnv)
    name = given if isinstance(given, str) else "the environment"
    made: Any = given
    if not (isinstance(given, str) or there or callable(given)):
        raise InputError(f"must be an id, a function or an environment, got {given!r}", "env")
    try:
        if isinstance(given, str):
            environments.check_id(given)
            made = environments.make_single(given, dict(options))
        elif not there:
            made = made()
        name = name if isinstance(given, str) else type(made.unwrapped).__name__
        envs = made
        if not isinstance(made, VectorEnv):
            single = [lambda: GuardedEnv(made, name)]
            envs = SyncVectorEnv(single, autoreset_mode=AutoresetMode.DISABLED)
        return UnknownEnvs(as_arrays(envs), name, closes=not there)
    except ValueError as error:
        raise InputError(str(error), "env") from error
    except ANYTHING as error:
        raise fault_of(error, name, None, "making it") from error


def _check_spaces(envs: UnknownEnvs, facts: EnvFacts) -> None:
    """Observations are of the same shape, and actions mean the same: bounds, or numbers."""
    seen, acted = space_of(facts.observation_space), space_of(facts.action_space)
    shape = envs.single_observation_space.shape
    if shape != seen.shape:
        raise InputError(
            f"{envs.name} has observations of shape {shape}, the run was trained on {seen.shape}",
            "env",
        )
    with input_errors("env", prefix=f"{envs.name}: "):
        theirs, ours = action_bounds(envs.single_action_space), action_bounds(acted)
    same = all(a.shape == b.shape and (a == b).all() for a, b in zip(theirs, ours, strict=True))
    if not same or type(envs.single_action_space) is not type(acted):
        raise InputError(
            f"{envs.name} has actions {envs.single_action_space}, the run was trained on {acted}",
            "env",
        )

"""From a config to functions that make its environments, and what they are like."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import gymnasium as gym

from metarl import sb3
from metarl.rl import DeferredEnvs, TaskEnvs
from metarl.rl.actions import is_unbounded
from metarl.rl.guarded import ANYTHING, GuardedEnv, GuardedEnvs, fault_of
from metarl.rl.observations import as_arrays, described
from metarl.rl.outcomes import LOOKED_AT
from metarl.rl.plain_spaces import space_of
from metarl.runs import environments
from metarl.runs.config import EnvProblem
from metarl.runs.errors import InputError
from metarl.runs.facts import EnvFacts, check_spaces, class_name, env_facts, time_limit
from metarl.runs.user_objects import UserObjects, check_installed


def say_view(problem: EnvProblem, facts: EnvFacts, say: Callable[[str], None]) -> None:
    """Say once how policies see observations that are no vectors, and act without bounds."""
    if is_unbounded(space_of(facts.action_space)):
        say(f"{problem.env}: actions have no bounds, so they are as the policy has them, unscaled")
    if facts.given_observations is None:
        return
    given, seen = map(space_of, (facts.given_observations, facts.observation_space))
    image = len(seen.shape or ()) == 3
    what = f"images {seen.shape}" if image else f"{gym.spaces.flatdim(seen)} numbers"
    line = f"{problem.env}: policies see observations, {described(given)}, as {what}"
    if isinstance(given, gym.spaces.Dict) and "desired_goal" in given.spaces:
        line += "; desired_goal is among them: where the goal is the task, leave it out "
        line += "(gymnasium.wrappers.FilterObservation), or there is nothing to adapt to"
    say(line)


def env_maker(problem: EnvProblem, given: UserObjects) -> Callable[[int], TaskEnvs]:
    """From a number of environments to a vector of them; what goes wrong is one line."""
    source = problem.env if given.env is None else given.env
    told = (*LOOKED_AT, *problem.sampling.info_keys)
    trained_on, by_sb3 = problem.trained_on, isinstance(problem.algorithm, sb3.SB3Config)

    def make(num_envs: int) -> TaskEnvs:
        if given.env is None and trained_on is not None and trained_on.own:
            raise InputError(
                f"{source} was given as an object, which no file can hold: give it again, from "
                f"Python by metarl.load_run(folder, env=...), on a command line registered in a "
                "module of yours (gym.register) as --env my_module:Name-v0",
                "env",
            )
        name = environments.name_of(source)
        guard = partial(GuardedEnv, name=name, process=os.getpid())
        with _one_line(name):
            check_code(source, given)
            env: TaskEnvs = environments.make_task_env(
                source,
                num_envs,
                problem.env_kwargs,
                show_task=problem.algorithm.show_task,
                reset_by_caller=by_sb3,
                # where stable-baselines3 steps, trajectories end when the environment says so; at
                # first the horizon is compared with the family's own
                max_episode_steps=problem.sampling.horizon if by_sb3 and trained_on else None,
                around=environments.Around(guard, as_arrays, told),
                workers=problem.workers,
            )
        guarded: Any = env if source in environments.FAMILIES else GuardedEnvs(env, name)
        if trained_on is not None:
            check_spaces(name, guarded, trained_on)
        return guarded  # type: ignore[no-any-return]

    return make


def check_code(source: "environments.EnvSource", given: UserObjects) -> None:
    """Raise an :class:`InputError` for code that only the run's config names, not installed."""
    module = source.rpartition(":")[0] if isinstance(source, str) else ""
    if module and not given.allow_code and given.env is None:
        check_installed(module, f"--env {source}")


@contextmanager
def _one_line(name: str) -> Iterator[None]:
    """What goes wrong when environments of that name are made."""
    try:
        yield
    except InputError:
        raise
    except environments.WorkersError as error:
        raise InputError(str(error), "workers") from error
    except ValueError as error:
        raise InputError(str(error), "env") from error
    except ANYTHING as error:
        raise fault_of(error, name, None, "making it") from error


def single_maker(
    problem: EnvProblem, given: UserObjects, make_env: Callable[[int], TaskEnvs]
) -> Callable[..., gym.Env[Any, Any]]:
    """Makes one environment of the family; options go to it."""

    def make(**options: Any) -> gym.Env[Any, Any]:
        with closing(make_env(1)) as first:
            first.get_attr("task")  # says what is wrong
        source = problem.env if given.env is None else given.env
        options = {**problem.env_kwargs, **options}
        guard = partial(GuardedEnv, name=environments.name_of(source))
        show_task = problem.algorithm.show_task
        return environments.make_single(source, options, show_task=show_task, around=guard)

    return make


def deferred(make: Callable[[int], TaskEnvs], facts: EnvFacts) -> Callable[[int], DeferredEnvs]:
    """Makes environments when they are used, one set at a time: training's wait for others."""
    seen, acted = space_of(facts.observation_space), space_of(facts.action_space)
    given = None if facts.given_observations is None else space_of(facts.given_observations)
    made: list[DeferredEnvs] = []
    return lambda num_envs: DeferredEnvs(make, num_envs, seen, acted, made, given)


def facts_of(problem: EnvProblem, envs: TaskEnvs, given: UserObjects) -> EnvFacts:
    """What environments that there are are like; :class:`InputError` if no file can hold it."""
    try:
        return env_facts(
            envs,
            _horizon(envs, problem.sampling.horizon),
            own=given.env is not None and not isinstance(given.env, str),
            own_network="" if given.network is None else class_name(given.network),
        )
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{problem.env}: {error}", "env") from error


def _horizon(env: TaskEnvs, requested: int | None) -> int:
    """The requested horizon, or the environment's own time limit."""
    limit = time_limit(env)
    if requested is None:
        if limit is None:
            raise InputError(
                "is missing: the environment has no time limit of its own, so say "
                "how many steps a trajectory may have at most",
                "horizon",
            )
        return limit
    if limit is not None and requested > limit:
        raise InputError(
            f"{requested} is beyond the environment's time limit of {limit} steps; "
            f"""raise that with --env-kwargs '{{"max_episode_steps": {requested}}}'""",
            "horizon",
        )
    return requested

"""Checks of what single steps give: kinds, bounds, numbers, an end, and how fast."""

import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env as check_by_gymnasium
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import iterate

from metarl.rl import TaskEnvs
from metarl.rl.env_faults import shown
from metarl.rl.guarded import ANYTHING
from metarl.rl.task_envs import are_numbers
from metarl.runs import environments
from metarl.runs.env_checks.findings import Finding, note
from metarl.runs.env_checks.probe import Subject, flat, spaces_of
from metarl.runs.facts import time_limit

NUM_ENVS = 4
NUM_ROWS = 400
SECONDS = 0.3


def check_by_peer(subject: Subject) -> Iterator[Finding]:
    """What gymnasium's own checker says of one environment, where one can be made."""
    source = subject.source
    if isinstance(source, str) and not environments.has_single(source):
        return
    env = environments.make_single(source, subject.options)
    if env.spec is not None and env.spec.max_episode_steps == 1:
        return  # it takes a single step for a fault
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its advice, which is about no faults
            check_by_gymnasium(env, skip_render_check=True)
    except ANYTHING as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        yield Finding("gymnasium", f"its own checker says {text}")
    finally:
        env.close()


def check_steps(subject: Subject) -> Iterator[Finding]:
    """Observations, rewards and flags of a thousand steps in several tasks, and that they end."""
    with subject.envs(NUM_ENVS) as env:
        half = NUM_ENVS // 2
        tasks = subject.tasks(env, half) + subject.tasks(env, half, "held_out")
        env.set_attr("task", tasks)
        raw, _ = env.reset(seed=[subject.seed + i for i in range(NUM_ENVS)])
        found = {one.check: one for one in _of_observations(env, raw, 0)}
        num_ended = 0
        for step, action in enumerate(_actions(subject, env), 1):
            raw, rewards, terminated, truncated, _ = env.step(action)
            given = *_of_observations(env, raw, step), *_of_outcomes(env, rewards, step)
            for one in given:
                found.setdefault(one.check, one)
            ended = terminated | truncated
            num_ended += int(ended.sum())
            if ended.any() and env.metadata.get("autoreset_mode") == AutoresetMode.DISABLED:
                env.reset(options={"reset_mask": ended})
        yield from (Finding("kinds", text) for text in subject.kinds.values())
        yield from found.values()
        yield from _of_ends(subject, env, num_ended)
        yield from _of_actions(env)


def _actions(subject: Subject, env: TaskEnvs) -> Iterator[Any]:
    """Random ones, and in the second half of the environments the bounds, where there are any."""
    space = env.single_action_space
    rng = np.random.default_rng(subject.seed)
    for action in subject.actions(env, subject.steps, NUM_ENVS, subject.seed, held=False):
        if isinstance(space, spaces.Box) and space.is_bounded() and space.dtype.kind == "f":
            ends = np.stack([space.low, space.high])
            half = action[NUM_ENVS // 2 :]
            half[...] = np.where(rng.random(half.shape) < 0.5, ends[0], ends[1])
        yield action


def _of_observations(env: TaskEnvs, raw: Any, step: int) -> Iterator[Finding]:
    space = env.single_observation_space
    numbers = flat(env, raw)
    if not (good := are_numbers(numbers)).all():
        index, entry = (int(place) for place in np.argwhere(~good)[0])
        where = (
            f"{_at(env, index, step)} entry {entry} of the observation is {numbers[index, entry]}"
        )
        yield Finding("numbers", f"{where}; end the trajectory before that")
        return
    if isinstance(space, spaces.Box) and raw.dtype != space.dtype:
        text = f"observations are {raw.dtype}, observation_space {space.dtype}; let them agree"
        yield Finding("kinds", text)
    inside = [space.contains(one) for one in iterate(spaces_of(env), raw)]
    if not all(inside):
        index = inside.index(False)
        yield Finding(
            "bounds",
            f"{_at(env, index, step)} the observation is outside its space"
            f"{_entry(space, numbers[index])}; widen observation_space, or clip",
        )


def _entry(space: spaces.Space[Any], values: Any) -> str:
    """The first entry that is outside."""
    if not isinstance(space, spaces.Box):
        return ""
    low, high = space.low.ravel(), space.high.ravel()
    outside = np.flatnonzero((values < low) | (values > high))
    if not outside.size:
        return ""
    entry = outside[0]
    return f": entry {entry} is {values[entry]}, not within [{low[entry]}, {high[entry]}]"


def _of_outcomes(env: TaskEnvs, rewards: Any, step: int) -> Iterator[Finding]:
    good = are_numbers(rewards)
    if not good.all():
        index = int(np.argmin(good))
        yield Finding("numbers", f"{_at(env, index, step)} the reward is {rewards[index]}")


def _at(env: TaskEnvs, index: int, step: int) -> str:
    task = shown(env.get_attr("task")[index])
    return f"in task {task}, {f'step {step} of random actions' if step else 'reset'},"


def _of_ends(subject: Subject, env: TaskEnvs, num_ended: int) -> Iterator[Finding]:
    if time_limit(env) is not None:
        return
    mend = "gymnasium.register(..., max_episode_steps=...), or --horizon"
    if num_ended == 0:
        yield Finding(
            "end",
            f"no trajectory ended in {subject.steps} steps, and there is no time "
            f"limit; give one: {mend}",
        )
    else:
        yield note("end", f"there is no time limit; training asks for one: {mend}")


def _of_actions(env: TaskEnvs) -> Iterator[Finding]:
    space = env.single_action_space
    if isinstance(space, spaces.Box) and not space.is_bounded():
        yield note(
            "actions", f"{space} has no bounds, so --action-scale means nothing; give it some"
        )


def speed(subject: Subject) -> str:
    """Steps a second, and how there would be more of them."""
    batched = isinstance(subject.source, str) and environments.made_at_once(
        subject.source, subject.options
    )
    num = NUM_ROWS if batched else NUM_ENVS
    with subject.envs(num) as env:
        env.set_attr("task", subject.tasks(env, num))
        env.reset(seed=[subject.seed + i for i in range(num)])
        actions = subject.actions(env, 1, num, subject.seed, held=True)[0]
        env.step(actions)
        count, start = 0, time.perf_counter()
        while time.perf_counter() < start + SECONDS:
            env.step(actions)
            count += num
        a_second = f"{count / (time.perf_counter() - start):,.0f} steps a second"
    if batched:
        return f"{a_second}, {num} environments in a batch"
    return f"{a_second} in one process; --workers N steps in N"

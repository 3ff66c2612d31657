"""Checks of what a task does: it matters, stays, and is one environment's alone."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from metarl.rl import TaskEnvs
from metarl.rl.env_faults import shown
from metarl.rl.task_envs import set_some
from metarl.runs.env_checks.draws import same
from metarl.runs.env_checks.findings import Finding, note
from metarl.runs.env_checks.probe import Played, Subject, play
from metarl.types import Task

NUM_TASKS, NUM_TRIES = 20, 10
SHORT = 50  # steps; where nothing shows in them, a long look is taken


def check_effects(subject: Subject) -> Iterator[Finding]:
    """The task is sticky and has an effect; seeds decide; neighbours are left alone."""
    with subject.envs(1) as env:
        tasks = subject.tasks(env, NUM_TASKS)
        found = list(_check_seed(subject, env, tasks))
        found += _check_stays(subject, env, tasks)
        if not found:
            found += _check_effect(subject, env, tasks)
    yield from found
    if not any(one.wrong for one in found):
        yield from _check_neighbours(subject, tasks[:3])


def _check_seed(subject: Subject, env: TaskEnvs, tasks: Sequence[Task]) -> Iterator[Finding]:
    """Seed, task and actions decide a trajectory, whatever was before, in every environment."""
    actions = subject.actions(env, SHORT, 1, subject.seed, held=False)

    def run(env: TaskEnvs, task: Task | None) -> Played:
        return play(env, None if task is None else [task], [subject.seed], actions)

    first = run(env, tasks[0])
    if what := run(env, None).differs(first):
        yield Finding(
            "seed",
            f"the same seed, task and actions give other {_and(what)}; draw from self.np_random "
            "alone, which super().reset(seed=seed) seeds, and start all state anew in reset",
        )
        return
    for task in tasks[1:3]:
        run(env, task)
    if what := run(env, tasks[0]).differs(first):
        yield Finding(
            "history",
            f"a task that is set again, after others, gives other {_and(what)} than at first: a "
            "setter must start from nominal values, or tasks compound",
        )
    with subject.envs(1) as fresh:
        if what := run(fresh, tasks[0]).differs(first):
            yield Finding(
                "seed",
                f"two environments give different {_and(what)} by the same seed, task and actions; "
                "draw nothing when an environment is made",
            )


def _check_stays(subject: Subject, env: TaskEnvs, tasks: Sequence[Task]) -> Iterator[Finding]:
    """The task is what was set, after a first reset, a second one and the end of a trajectory."""
    actions = subject.actions(env, SHORT, 1, subject.seed, held=False)
    occasions = {"a reset with a seed": (1, 0), "a reset without a seed": (2, 0)}
    occasions["a trajectory"] = 1, SHORT
    for occasion, (num_resets, length) in occasions.items():
        for task in tasks[:3]:
            play(env, [task], [subject.seed], actions[:length], num_resets=num_resets)
            now = env.get_attr("task")[0]
            if not same([now], [_cast(env, task)]):
                yield Finding(
                    "sticky",
                    f"after {occasion} the task is {shown(now)}, it was set to {shown(task)}; it "
                    "stays until it is set again: draw no task in reset",
                )
                return


def _check_effect(subject: Subject, env: TaskEnvs, tasks: Sequence[Task]) -> Iterator[Finding]:
    """Tasks change rewards or dynamics, also in trajectories that begin without a seed."""
    for length in (SHORT, subject.steps):
        pair = _effect(subject, env, tasks, length, num_resets=1)
        if pair is not None:
            break
    else:
        yield Finding(
            "effect",
            f"the task changes neither rewards nor dynamics in {NUM_TRIES} trajectories of "
            f"random actions: let it act at once or in the next reset, and draw none in reset; "
            "where rewards are rare, look longer (--steps)",
        )
        return
    if not np.array_equal(*(played.observations[0] for played in pair)):
        yield note(
            "effect",
            "the first observation depends on the task: a policy that sees it has little to adapt "
            "to",
        )
    if _effect(subject, env, tasks, length, num_resets=2) is None:
        yield Finding(
            "sticky",
            "a task has no effect any more after a second reset, which has no seed: reset draws "
            "another",
        )


def _effect(
    subject: Subject, env: TaskEnvs, tasks: Sequence[Task], length: int, *, num_resets: int
) -> tuple[Played, Played] | None:
    """Two trajectories that only the task makes different, if there are any."""
    for attempt in range(NUM_TRIES):
        # held actions go somewhere, which those drawn in every step do not
        actions = subject.actions(env, length, 1, attempt, held=attempt % 2 == 1)
        seed = [subject.seed + attempt]
        each = (play(env, [task], seed, actions, num_resets=num_resets) for task in tasks)
        first = next(each)
        for other in each:
            if _matters(first, other):
                return first, other
    return None


def _matters(first: Played, other: Played) -> bool:
    """Whether more is different than entries of observations that show the task at once."""
    what = first.differs(other)
    if what != ["observations"]:
        return bool(what)
    alike = np.equal(first.observations[0], other.observations[0])[0]
    return not np.array_equal(first.observations[..., alike], other.observations[..., alike])


def _check_neighbours(subject: Subject, tasks: Sequence[Task]) -> Iterator[Finding]:
    """An environment does beside others what it does alone, also where those get other tasks."""
    num = len(tasks)
    seeds = [subject.seed + i for i in range(num)]
    with subject.envs(num) as env:
        actions = subject.actions(env, SHORT, num, subject.seed, held=False)
        together = play(env, tasks, seeds, actions)
        now = env.get_attr("task")
        disturbed = _disturbed(env, tasks, seeds, actions)
    if not same(now, [_cast(env, task) for task in tasks]):
        wrong = next(i for i in range(num) if not same([now[i]], [tasks[i]]))
        yield _leak(
            f"the task of environment {wrong} of {num} is {shown(now[wrong])} where "
            f"{shown(tasks[wrong])} was set"
        )
        return
    with subject.envs(1) as alone:
        for i, task in enumerate(tasks):
            single = play(alone, [task], [seeds[i]], [action[i : i + 1] for action in actions])
            if what := _cut(single, together.row(i)):
                yield _leak(
                    f"beside {num - 1} others an environment gives other {_and(what)} than "
                    "alone, by the same seed, task and actions"
                )
                return
    for i in range(1, num):
        if what := _cut(together.row(i), disturbed.row(i)):
            yield _leak(f"another task of a neighbour changes {_and(what)} within a trajectory")
            return


def _disturbed(
    env: TaskEnvs, tasks: Sequence[Task], seeds: Sequence[int], actions: Sequence[Any]
) -> Played:
    """The same, but environment 0 starts anew with another task after every tenth step."""

    def disturb(step: int) -> None:
        if step % 10 == 5:
            set_some(env, "task", [0], [tasks[1 + step // 10 % (len(tasks) - 1)]])
            env.reset(options={"reset_mask": np.arange(env.num_envs) == 0})

    return play(env, tasks, seeds, actions, before_step=disturb)


def _cut(one: Played, other: Played) -> list[str]:
    """What differs up to the length of the shorter: after an end there are zeros alone."""
    length = min(len(one.rewards), len(other.rewards))

    def first(played: Played) -> Played:
        return Played(
            played.observations[: length + 1], played.rewards[:length], played.ended[:length]
        )

    return first(one).differs(first(other))


def _leak(what: str) -> Finding:
    return Finding(
        "neighbours",
        f"{what}: environments share something, such as an attribute of the class or a model that "
        "is loaded once",
    )


def _cast(env: TaskEnvs, task: Task) -> Task:
    """A task as its space has it."""
    space = env.get_attr("task_space")[0]
    return {name: np.asarray(value, space[name].dtype) for name, value in task.items()}


def _and(what: Sequence[str]) -> str:
    return " and ".join(what)

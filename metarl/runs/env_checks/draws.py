"""Checks of the tasks that a family draws."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from metarl.rl import TaskEnvs
from metarl.rl.env_faults import shown
from metarl.runs import environments
from metarl.runs.env_checks.findings import Finding, note
from metarl.runs.env_checks.probe import Subject
from metarl.types import Task

NUM_DRAWN = 2000
LARGEST_SHARE = 0.1  # of held-out tasks with a train task as near as train tasks have one another


def check_draws(subject: Subject) -> Iterator[Finding]:
    """Tasks are in their space, drawn from the generator, and train and held-out are disjoint."""
    with subject.envs(1) as env:
        for check in (_check_space, _check_generator, _check_parts):
            found = list(check(subject, env))
            yield from found
            if any(one.wrong for one in found):
                return


def _check_space(subject: Subject, env: TaskEnvs) -> Iterator[Finding]:
    space, first = env.get_attr("task_space")[0], env.get_attr("task")[0]
    kinds = {"the first task": [first]}
    for split in ("train", "held_out"):
        kinds[f"a {split.replace('_', '-')} task"] = subject.tasks(env, 100, split)
    for what, tasks in kinds.items():
        for task in tasks:
            try:
                environments.validate_task(space, task)
            except ValueError as error:
                yield Finding("task space", f"{what} is not in task_space: {error}")
                break


def _check_generator(subject: Subject, env: TaskEnvs) -> Iterator[Finding]:
    for split in ("train", "held_out"):
        many, again = (subject.tasks(env, 40, split) for _ in range(2))
        if not same(many, again):
            yield Finding(
                "draws",
                f"{split} tasks of the same generator differ; task_distribution.sample must draw "
                "from the generator that it is given, and from nothing else",
            )
        elif not same(subject.tasks(env, 5, split), many[:5]):
            yield note(
                "draws",
                f"the first of 5 {split} tasks are not the first of 40 of the same generator, so "
                "evaluations of different sizes have different tasks; draw every entry from a "
                "generator of its own",
            )


def _check_parts(subject: Subject, env: TaskEnvs) -> Iterator[Finding]:
    train, held_out = (subject.tasks(env, NUM_DRAWN, split) for split in ("train", "held_out"))
    if not env.get_attr("task_distribution")[0].disjoint:
        yield note(
            "split",
            "disjoint is False: evaluation is on tasks that training has seen, too; hold some out "
            "where there are enough",
        )
    elif same(train, held_out):
        yield Finding("split", "sample draws the same for train and held_out: it ignores split")
    elif common := _common(train, held_out):
        yield Finding(
            "split", f"disjoint is True, but {common} is among the held-out and the train tasks"
        )
    elif (share := _share_within(_matrix(train), _matrix(held_out))) > LARGEST_SHARE:
        yield Finding(
            "split",
            f"disjoint is True, but {share:.0%} of the held-out tasks lie as near to train tasks "
            "as those to one another: keep the parts apart, or say that disjoint is False",
        )


def same(some: Sequence[Task], others: Sequence[Task]) -> bool:
    """Whether tasks are equal, bit for bit."""
    return len(some) == len(others) and all(
        one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)
        for one, other in zip(some, others, strict=True)
    )


def _common(train: Sequence[Task], held_out: Sequence[Task]) -> str:
    """One that is in both."""
    known = {row.tobytes() for row in _matrix(train)}
    pairs = zip(held_out, _matrix(held_out), strict=True)
    return next((shown(task) for task, row in pairs if row.tobytes() in known), "")


def _matrix(tasks: Sequence[Task]) -> NDArray[np.float64]:
    """A row a task."""
    return np.array(
        [np.concatenate([np.ravel(task[k]) for k in sorted(task)]) for task in tasks], np.float64
    )


def _share_within(train: NDArray[Any], held_out: NDArray[Any]) -> float:
    """Share of held-out rows with a train row as near as train rows have half of the time.

    A half where both are of one distribution; next to nothing in cells apart. In more than two
    dimensions draws are too sparse to say, so 0.
    """
    if train.shape[1] > 2:
        return 0.0
    scale = train.std(0) + 1e-12
    tree = cKDTree(train / scale)
    among, _ = tree.query(train / scale, k=2)
    between, _ = tree.query(held_out / scale)
    nearest = float(np.median(among[:, 1]))
    return float((between <= nearest).mean()) if nearest > 0 else 0.0

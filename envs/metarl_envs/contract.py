"""What makes an environment a task family: three attributes, and when they act.

``docs/own-environments.md`` explains it with an example. :class:`TaskEnv` and
:class:`TaskDistribution` are the same for type checkers; :func:`check_contract` says what an
environment lacks.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv

from metarl_envs.tasks import Split, Task

ATTRIBUTES = ("task_space", "task_distribution", "task")
"""Of every environment with tasks."""


class TaskDistribution(Protocol):
    """Where tasks come from, such as :class:`~metarl_envs.tasks.Product`."""

    @property
    def disjoint(self) -> bool:
        """Whether no held-out task is ever a task of training."""
        ...

    def sample(self, rng: np.random.Generator, num: int, split: Split) -> Task:
        """A batch of ``num`` tasks of one part, each entry ``[num, ...]``.

        It draws from ``rng`` alone; the first ones should not depend on ``num``.
        """
        ...


class TaskEnv(Protocol):
    """What a gymnasium environment has beside its own to be a task family."""

    @property
    def task_space(self) -> spaces.Dict:
        """The entries of a task and what they may be."""
        ...

    @property
    def task_distribution(self) -> TaskDistribution:
        """Where tasks come from."""
        ...

    @property
    def task(self) -> Task:
        """The current task, from the start: it stays through resets until it is set again."""
        ...

    @task.setter
    def task(self, task: Task) -> None:
        """Set between trajectories; acts at once or in the reset that follows."""
        ...


def check_contract(env: Any, name: str) -> None:
    """Raise unless the environments of a vector environment have tasks.

    Args:
        env: the vector environment.
        name: what it is called in the message.

    Raises:
        ValueError: naming what is missing.
    """
    if lacks := list(_missing(env)):
        raise ValueError(
            f"{name} has no tasks: a task family has task_space, task_distribution and task, and "
            f"this one lacks {', '.join(lacks)} (docs/own-environments.md)"
        )


def _missing(env: Any) -> Iterator[str]:
    found: dict[str, Any] = {}
    for attribute in ATTRIBUTES:
        try:
            found[attribute] = env.get_attr(attribute)[0]
        except AttributeError as error:
            yield _said(attribute, error)
            if isinstance(env.unwrapped, AsyncVectorEnv):
                return  # its processes have ended
    if not isinstance(found.get("task_space", spaces.Dict()), spaces.Dict):
        yield f"a spaces.Dict as task_space (it is {found['task_space']})"
    for name in ("sample", "disjoint") if "task_distribution" in found else ():
        if not hasattr(found["task_distribution"], name):
            yield f"task_distribution.{name}"


def _said(attribute: str, error: BaseException) -> str:
    """The attribute; and what its own code looked for in vain."""
    while error.__cause__ is not None:
        error = error.__cause__
    other = getattr(error, "name", None)
    return (
        attribute
        if other in (None, attribute, "get_attr")  # the last of vectors that gymnasium brings
        else f"{attribute} (its own code finds no {other!r})"
    )

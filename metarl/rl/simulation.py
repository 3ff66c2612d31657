"""Tasks of a simulator as a source of data to adapt to."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metarl.rl.actor import Actor
from metarl.rl.experience import Experience
from metarl.rl.rollout import Rollout
from metarl.rl.sampler import Sampler
from metarl.rl.task_envs import TaskEnvs
from metarl.types import Adaptation, Task

NUM_SHOWN = 6, 3
"""Tasks of which an adaptation keeps paths, and trajectories of each."""

Paths = Sequence[NDArray[Any]]
"""Observations ``[T, D]`` of a few trajectories."""


class BatchOutcome(NamedTuple):
    """What came of adapting to a batch of tasks."""

    returns: NDArray[np.float64]
    """Mean return of every task after 0..K steps, ``[K + 1, M]``."""
    tasks: Sequence[Task]
    held_out: bool
    """Whether training draws none of them."""
    paths: "list[tuple[Paths, Paths]]"
    """Of the first tasks of the batch."""

    @classmethod
    def of(cls, sampler: Sampler, experience: Experience) -> "BatchOutcome":
        """That of an experience with the tasks of a sampler."""
        return cls(
            experience.returns().cpu().double().numpy(),
            sampler.env.get_attr("task")[:: sampler.num_trajectories],
            bool(sampler.env.get_attr("task_distribution")[0].disjoint),
            paths_of(experience),
        )


@dataclass(frozen=True, kw_only=True)
class SimulatedTasks:
    """M tasks, of which environments can be made."""

    make_env: Callable[[int], TaskEnvs]
    """From a number of environments to a vector environment that the caller resets."""
    num_tasks: int
    """M."""
    num_trajectories: int
    """E, a step and task; trials a task of learners that adapt within a trial."""
    seed: int
    """Of tasks, environments and actions."""
    tasks: Sequence[Task] | None = None
    """M of them; by default held-out ones are drawn."""

    tasks_at_once: int | None = None
    """Tasks of one batch, which changes memory and time, not what is drawn; by default as many as
    training has environments for."""

    def samplers(self, like: Sampler, rng: np.random.Generator) -> Iterator[tuple[int, Sampler]]:
        """Samplers of one batch of the tasks after another, each after its first task's number.

        A sampler's environments are closed when the next one is asked for.

        Args:
            like: that of training, with the same horizon, discount and scale of actions.
            rng: draws held-out tasks where none are given.
        """
        size = self.tasks_at_once or max(like.env.num_envs // self.num_trajectories, 1)
        tasks = self.tasks
        for first in range(0, self.num_tasks, size):
            num = min(size, self.num_tasks - first)
            sampler = like.over(self.make_env(num * self.num_trajectories), num)
            if tasks is None:
                tasks = sampler.drawn(rng, self.num_tasks, "held_out")
            sampler.set_tasks(tasks[first : first + num])
            yield first, sampler
            sampler.env.close()

    def adaptation(
        self,
        outcomes: Sequence[BatchOutcome],
        *,
        model: Callable[[int, bool], Actor],
        inner_lr: list[float] | None,
    ) -> Adaptation[Actor]:
        """What came of adapting to them by gradients.

        Args:
            outcomes: of their batches.
            model: see :class:`~metarl.types.Adaptation`.
            inner_lr: the step sizes that were taken, where they are numbers.
        """
        return Adaptation(
            values=np.concatenate([outcome.returns for outcome in outcomes], 1),
            measure="returns",
            unit="gradient steps",
            model=model,
            tasks=[task for outcome in outcomes for task in outcome.tasks],
            held_out=outcomes[0].held_out,
            paths=[path for outcome in outcomes for path in outcome.paths][: NUM_SHOWN[0]],
            figures={"inner_lr": inner_lr},
        )


def paths_of(experience: Experience) -> list[tuple[Paths, Paths]]:
    """What a few trajectories of the first tasks saw before and after adaptation."""
    num_tasks, num_trajectories = NUM_SHOWN
    first, last = experience.rollouts[0], experience.rollouts[-1]

    def ways(rollout: Rollout, task: int) -> Paths:
        observations, mask = rollout.observations[task].cpu(), rollout.mask[task].cpu()
        shown = range(min(num_trajectories, mask.shape[1]))
        return [observations[mask[:, e], e].numpy() for e in shown]

    tasks = range(min(num_tasks, first.mask.shape[0]))
    return [(ways(first, task), ways(last, task)) for task in tasks]


def plain_tasks(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """Tasks as plain data."""
    return [{name: np.asarray(value).tolist() for name, value in task.items()} for task in tasks]

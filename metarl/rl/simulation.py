"""Tasks of a simulator as a source of data to adapt to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

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

    def sampler(self, like: Sampler, rng: np.random.Generator) -> Sampler:
        """A sampler of them.

        Args:
            like: with the same horizon, discount and scale of actions.
            rng: draws held-out tasks where none are given.
        """
        envs = self.make_env(self.num_tasks * self.num_trajectories)
        sampler = like.over(envs, self.num_tasks)
        if self.tasks is None:
            sampler.draw_tasks(rng, "held_out")
        else:
            sampler.set_tasks(self.tasks)
        return sampler

    def adaptation(
        self,
        sampler: Sampler,
        experience: Experience,
        *,
        model: Callable[[int, bool], Actor],
        inner_lr: list[float] | None,
    ) -> Adaptation[Actor]:
        """What came of adapting to them by gradients.

        Args:
            sampler: of :meth:`sampler`.
            experience: that it collected while it adapted.
            model: see :class:`~metarl.types.Adaptation`.
            inner_lr: the step sizes that were taken, where they are numbers.
        """
        return Adaptation(
            values=experience.returns().cpu().double().numpy(),
            measure="returns",
            unit="gradient steps",
            model=model,
            tasks=sampler.env.get_attr("task")[:: self.num_trajectories],
            held_out=bool(sampler.env.get_attr("task_distribution")[0].disjoint),
            paths=paths_of(experience),
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

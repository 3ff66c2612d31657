"""Tasks of a simulator as a source of data to adapt to."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from metarl.core import select
from metarl.files import check_finite
from metarl.rl.actor import Actor
from metarl.rl.env_faults import EnvironmentFaultError
from metarl.rl.experience import Experience
from metarl.rl.rollout import Rollout
from metarl.rl.task_envs import SampledEnvs
from metarl.rl.task_sampler import TaskSampler
from metarl.types import Adaptation, Params, Task, TasksDone, unwatched

NUM_SHOWN = 6, 3
"""Tasks of which an adaptation keeps paths, and trajectories of each."""

Paths = Sequence[NDArray[Any]]
"""Observations ``[T, D]`` of a few trajectories."""


@dataclass(frozen=True, kw_only=True)
class SimulatedTasks:
    """M tasks, of which environments can be made."""

    make_env: Callable[[int], SampledEnvs]
    """From a number of environments to them, as the learner's sampler takes them."""
    num_tasks: int
    """M."""
    num_trajectories: int
    """E, a step and task; trials a task of learners that adapt within a trial."""
    seed: int
    """Of tasks, environments and actions."""
    tasks: Sequence[Task] | None = None
    """M of them; by default held-out ones are drawn."""

    num_envs: int | None = None
    """Most environments at a time, if more than training has; none are made beyond these."""
    tasks_at_once: int | None = None
    """Tasks of one batch, which changes memory and time, not what is drawn; by default as many as
    there may be environments for."""
    progress: TasksDone = unwatched
    """Told of every batch."""

    option: ClassVar[str | None] = None
    """What a complaint about the source is about, where it is the source that does not fit."""
    default_steps: ClassVar[int | None] = None

    @property
    def facts(self) -> dict[str, Any]:
        """What is worth keeping of it."""
        return {"seed": self.seed, "trajectories": self.num_trajectories}

    def adaptation(
        self,
        adapt: Callable[[TaskSampler[Any], int], tuple[Experience, Params]],
        *,
        like: TaskSampler[Any],
        rng: np.random.Generator,
        actor: Callable[[Params | None], Actor],
        inner_lr: list[float] | None,
    ) -> Adaptation[Actor]:
        """Adapt to them by gradients, a batch of tasks at a time.

        Args:
            adapt: to the tasks of a sampler, of which the first has a number: what was experienced,
                and the parameters after.
            like: the sampler of training, with the same horizon, discount and scale of actions.
            rng: draws held-out tasks where none are given.
            actor: the policy with the parameters of one task, or as it is.
            inner_lr: the step sizes that are taken, where they are numbers.

        Raises:
            NonFiniteError: adaptation diverged.
        """
        tasks: list[Task] = []
        returns, told, after, paths, held_out = [], [], [], [], False
        for first_task, sampler in self._samplers(like, rng):
            experience, params = adapt(sampler, first_task)
            if not all(rollout.kept().any(1).all() for rollout in experience.rollouts):
                raise EnvironmentFaultError(f"{sampler.faults[-1]}; it leaves a task without any")
            returns.append(experience.returns().cpu().double().numpy())
            told.append(experience.outcomes())
            after.append(params)
            tasks += sampler.tasks
            paths += paths_of(experience)
            held_out = bool(sampler.env.get_attr("task_distribution")[0].disjoint)
        adapted = {name: torch.cat([part[name] for part in after]) for name in after[0]}
        check_finite(adapted, "adapted")
        return Adaptation(
            values=np.concatenate(returns, 1),
            measure="returns",
            unit="gradient steps",
            model=lambda task, after: actor(select(adapted, task) if after else None),
            tasks=tasks,
            held_out=held_out,
            paths=paths[: NUM_SHOWN[0]],
            outcomes={
                name: np.concatenate([part[name] for part in told], 1)
                for name in told[0]
                if all(name in part for part in told)
            },
            figures={"inner_lr": inner_lr},
        )

    def _samplers(
        self, like: TaskSampler[Any], rng: np.random.Generator
    ) -> Iterator[tuple[int, TaskSampler[Any]]]:
        """Samplers of one batch of the tasks after another, each after its first task's number.

        A sampler's environments are closed when the next one has others.
        """
        num_envs = max(self.num_envs or 0, like.env.num_envs)
        size = self.tasks_at_once or max(num_envs // self.num_trajectories, 1)
        each = self.num_trajectories
        if self.tasks_at_once is None:  # the fewest equal parts of a task's trajectories
            each = -(-each // -(-each // num_envs))
        tasks, sampler = self.tasks, None
        try:
            for first in range(0, self.num_tasks, size):
                num = min(size, self.num_tasks - first)
                if sampler is None or sampler.num_tasks != num:
                    if sampler is not None:
                        sampler.close()
                    sampler = self._sampler(like, self.make_env(num * each), num)
                if tasks is None:
                    tasks = sampler.drawn(rng, self.num_tasks, "held_out")
                sampler.set_tasks(tasks[first : first + num])
                yield first, sampler
                self.progress(first + num, self.num_tasks)
        finally:
            if sampler is not None:
                sampler.close()

    def _sampler(self, like: TaskSampler[Any], env: Any, num_tasks: int) -> TaskSampler[Any]:
        """Of these environments."""
        return like.over(env, num_tasks, self.num_trajectories)


def paths_of(experience: Experience) -> list[tuple[Paths, Paths]]:
    """What a few trajectories of the first tasks saw before and after adaptation."""
    num_tasks, num_trajectories = NUM_SHOWN
    first, last = experience.rollouts[0], experience.rollouts[-1]

    def ways(rollout: Rollout, task: int) -> Paths:
        observations, mask = rollout.observations[task].cpu(), rollout.mask[task].cpu()
        shown = mask.any(0).nonzero()[:num_trajectories, 0]
        return [observations[mask[:, e], e].numpy() for e in shown]

    tasks = range(min(num_tasks, first.mask.shape[0]))
    return [(ways(first, task), ways(last, task)) for task in tasks]


def plain_tasks(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """Tasks as plain data."""
    return [{name: np.asarray(value).tolist() for name, value in task.items()} for task in tasks]


def task_vectors(tasks: Sequence[Task]) -> NDArray[np.float32]:
    """The numbers of tasks, ``[num, P]``."""
    rows = [np.concatenate([np.ravel(value) for value in task.values()]) for task in tasks]
    return np.asarray(rows, np.float32)

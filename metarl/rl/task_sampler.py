"""What collects trajectories of tasks, whatever the environments are made of."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import is_dataclass, replace
from functools import cached_property
from typing import Any, Generic, Literal, Self, TypeVar

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from metarl.core import Streams
from metarl.core.collectives import Part
from metarl.nn import Policy
from metarl.rl.actions import action_map
from metarl.rl.env_faults import check_share, name_of
from metarl.rl.guarded import ANYTHING, fault_of, raised_by_us
from metarl.rl.rollout import Rollout
from metarl.rl.task_envs import SampledEnvs
from metarl.types import Params, Task

EnvsT = TypeVar("EnvsT", bound=SampledEnvs)


class TaskSampler(ABC, Generic[EnvsT]):
    """Rolls out task-batched policies in environments that have tasks.

    Environment ``m·E + e`` is trajectory ``e`` of task ``m``. Every collection starts all
    environments anew, so each contributes one trajectory.

    Args:
        env: the environments.
        num_tasks: M.
        num_trajectories: E, a task; by default as many as there are environments for. Fewer
            environments collect them in parts: they are whole tasks' trajectories or one task's,
            and draw the same random numbers as all at once.
        horizon: T, the longest trajectory kept.
        discount: γ in [0, 1].
        action_scale: policy actions of ±``action_scale`` span the environment's action bounds, and
            beyond them they are clipped. 1 in the MAML authors' code, 10 in ProMP's and garage's.
        info_keys: numbers of the environments' info to keep, see :mod:`metarl.rl.outcomes`.
    """

    def __init__(
        self,
        env: EnvsT,
        *,
        num_tasks: int,
        horizon: int,
        discount: float,
        action_scale: float,
        num_trajectories: int | None = None,
        info_keys: tuple[str, ...] = (),
    ) -> None:
        each = num_trajectories or max(env.num_envs // num_tasks, 1)
        self._at_once = max(env.num_envs // each, 1), min(env.num_envs, each)
        whole = num_trajectories is not None or env.num_envs == num_tasks * each
        if not whole or env.num_envs != math.prod(self._at_once) or num_tasks % self._at_once[0]:
            of_each = f" of {num_trajectories} trajectories" if num_trajectories else ""
            raise ValueError(
                f"{env.num_envs} environments do not divide into {num_tasks} tasks{of_each}"
            )
        if env.metadata.get("autoreset_mode") == AutoresetMode.SAME_STEP:
            raise ValueError("SAME_STEP autoreset hides last observations; use NEXT_STEP")
        observation_space = env.single_observation_space
        if not isinstance(observation_space, spaces.Box) or len(observation_space.shape) not in (
            1,
            3,
        ):
            raise ValueError(
                "need a Box observation space of one axis, or of three for images "
                "(metarl.rl.observations.as_arrays makes a vector of another), "
                f"got {observation_space}"
            )
        self.env = env
        self.num_tasks = num_tasks
        self.part = Part(0, num_tasks, num_tasks)
        """Which tasks of a meta-batch these M are: all, unless other processes have the others."""
        self.num_trajectories = each
        self.horizon = horizon
        self.discount = discount
        self.action_scale = action_scale
        self.info_keys = info_keys
        self.to_env = action_map(env.single_action_space, action_scale)
        self.faults: list[str] = []
        """The newest trajectory that was left out: what its environment gave, and where."""
        self._outside: list[str] = []
        self.tasks: list[Task] = []
        """M, once they are set."""

    @property
    def observation_size(self) -> int | tuple[int, int, int]:
        """Numbers of an observation; height, width and channels of an image."""
        shape = self.env.single_observation_space.shape or ()
        return (shape[0], shape[1], shape[2]) if len(shape) == 3 else math.prod(shape)

    def over(self, env: EnvsT, num_tasks: int, num_trajectories: int | None = None) -> Self:
        """A sampler like this one in another environment."""
        return type(self)(
            env,
            num_tasks=num_tasks,
            horizon=self.horizon,
            discount=self.discount,
            action_scale=self.action_scale,
            num_trajectories=num_trajectories,
            info_keys=self.info_keys,
        )

    @property
    def can_shrink(self) -> bool:
        """Whether the environments are of a kind of ours, which are made when they are used."""
        return is_dataclass(self.env)

    def smaller(self, num_tasks: int) -> Self:
        """One for fewer tasks, in environments of its own, where that can be."""
        made: Any = self.env
        num_envs = num_tasks * self.num_trajectories
        return self.over(replace(made, num_envs=num_envs), num_tasks, self.num_trajectories)

    def close(self) -> None:
        """Let go of the environments and all that was made for them."""
        self.env.close()

    @property
    def _in_parts(self) -> bool:
        return self._at_once != (self.num_tasks, self.num_trajectories)

    @cached_property
    def _part(self) -> Self:
        """What collects as much as there are environments for."""
        part = self.over(self.env, self._at_once[0])
        part.faults, part._outside = self.faults, self._outside
        return part

    def set_tasks(self, tasks: Sequence[Task]) -> None:
        """Give each of the M tasks to its E environments; they hold until set again."""
        if len(tasks) != self.num_tasks:
            raise ValueError(f"need {self.num_tasks} tasks, got {len(tasks)}")
        self.tasks = list(tasks)
        if not self._in_parts:
            self._set_tasks(self.tasks)

    def drawn(
        self, rng: np.random.Generator, num: int, split: Literal["train", "held_out"]
    ) -> list[Task]:
        """Tasks of one part of the environment's own distribution, which none gets yet."""
        return drawn_tasks(self.env, rng, num, split)

    def draw_tasks(self, rng: np.random.Generator, split: Literal["train", "held_out"]) -> None:
        """Draw the tasks of all processes and set those that are this one's."""
        drawn = self.drawn(rng, self.part.total, split)
        self.set_tasks(drawn[self.part.start : self.part.stop])

    def collect(
        self, policy: Policy, params: Params, streams: Streams, first_task: int = 0
    ) -> Rollout:
        """E trajectories of every task.

        Actions and environments have their random numbers by task and trajectory: they are the
        same whatever M and E, and however many environments there are.

        Args:
            policy: maps parameters, observations and noise to actions.
            params: task-batched parameters.
            streams: at the iteration and the inner step.
            first_task: number of the first of the M tasks among those that belong together.
        """
        if not self._in_parts:
            return self._collect(policy, params, streams, first_task, 0)
        num_tasks, num_trajectories = self._at_once
        part, found = self._part, []
        for first in range(0, self.num_tasks, num_tasks):
            chosen = slice(first, first + num_tasks)
            part.set_tasks(self.tasks[chosen])
            of_part = {name: value[chosen] for name, value in params.items()}
            rollouts = [
                part._collect(policy, of_part, streams, first_task + first, trajectory)
                for trajectory in range(0, self.num_trajectories, num_trajectories)
            ]
            found.append(Rollout.joined(rollouts, tasks=False).first(self.num_trajectories))
        return Rollout.joined(found, tasks=True)

    @abstractmethod
    def _set_tasks(self, tasks: Sequence[Task]) -> None:
        """Give each of the M tasks to its E environments."""

    @abstractmethod
    def _collect(
        self,
        policy: Policy,
        params: Params,
        streams: Streams,
        first_task: int,
        first_trajectory: int,
    ) -> Rollout:
        """One trajectory in every environment, which have tasks and trajectories of these numbers.

        Trajectories that left their environment's numbers are left out and noted in ``faults``.
        """

    def check(self, rollouts: Sequence[Rollout]) -> None:
        """Raise an :class:`EnvironmentFaultError` if too many of the trajectories were left out."""
        left_out = sum(rollout.num_left_out() for rollout in rollouts)
        total = len(rollouts) * self.num_tasks * self.num_trajectories
        if left_out:
            check_share(left_out, total, self.faults)


def drawn_tasks(
    env: SampledEnvs, rng: np.random.Generator, num: int, split: Literal["train", "held_out"]
) -> list[Task]:
    """Tasks of one part of an environment's own distribution.

    Raises:
        EnvironmentFaultError: a distribution of the user's own cannot.
    """
    distribution = env.get_attr("task_distribution")[0]
    try:
        batch = distribution.sample(rng, num, split)
        return [{name: values[i] for name, values in batch.items()} for i in range(num)]
    except ANYTHING as error:
        if raised_by_us(error):
            raise
        raise fault_of(error, name_of(env), None, f"drawing {split} tasks") from error

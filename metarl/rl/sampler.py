"""Collection: all tasks in one environment step and one forward pass, outside autograd.

Environment ``m·E + e`` of the vector environment is trajectory ``e`` of task ``m``. Every
collection resets all environments, so each contributes one trajectory; after it ends the rows are
masked, whatever the environment's autoreset does with them.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from metarl.core import Streams
from metarl.nn import Policy
from metarl.rl.actions import action_map
from metarl.rl.env_faults import check_share, described, name_of, note, note_outside
from metarl.rl.guarded import ANYTHING, fault_of, raised_by_us
from metarl.rl.rollout import Rollout
from metarl.rl.task_envs import TaskEnvs, all_numbers, are_numbers
from metarl.types import Params, Task


class Sampler:
    """Rolls out task-batched policies in a vector environment whose environments have tasks.

    Args:
        env: a gymnasium vector environment with an attribute ``task`` for each environment and
            autoreset other than ``SAME_STEP``, which hides the true last observation.
        num_tasks: M.
        num_trajectories: E, a task; by default as many as there are environments for. Fewer
            environments collect them in parts: they are whole tasks' trajectories or one task's,
            and draw the same random numbers as all at once.
        horizon: T, the longest trajectory kept.
        discount: γ in [0, 1].
        action_scale: policy actions of ±``action_scale`` span the environment's action bounds, and
            beyond them they are clipped. 1 in the MAML authors' code, 10 in ProMP's and garage's.
    """

    def __init__(
        self,
        env: TaskEnvs,
        *,
        num_tasks: int,
        horizon: int,
        discount: float,
        action_scale: float,
        num_trajectories: int | None = None,
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
                "need a Box observation space of one axis, or of three for images, "
                f"got {observation_space}"
            )
        self.env = env
        self.num_tasks = num_tasks
        self.num_trajectories = each
        self.horizon = horizon
        self.discount = discount
        self.action_scale = action_scale
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

    def over(self, env: TaskEnvs, num_tasks: int, num_trajectories: int | None = None) -> "Sampler":
        """A sampler like this one in another environment."""
        return Sampler(
            env,
            num_tasks=num_tasks,
            horizon=self.horizon,
            discount=self.discount,
            action_scale=self.action_scale,
            num_trajectories=num_trajectories,
        )

    @property
    def _in_parts(self) -> bool:
        return self._at_once != (self.num_tasks, self.num_trajectories)

    def set_tasks(self, tasks: Sequence[Task]) -> None:
        """Give each of the M tasks to its E environments; they hold until set again."""
        if len(tasks) != self.num_tasks:
            raise ValueError(f"need {self.num_tasks} tasks, got {len(tasks)}")
        self.tasks = list(tasks)
        if not self._in_parts:
            repeated = [task for task in tasks for _ in range(self.num_trajectories)]
            self.env.set_attr("task", repeated)

    def drawn(
        self, rng: np.random.Generator, num: int, split: Literal["train", "held_out"]
    ) -> list[Task]:
        """Tasks of one part of the environment's own distribution, which none gets yet."""
        return drawn_tasks(self.env, rng, num, split)

    def draw_tasks(self, rng: np.random.Generator, split: Literal["train", "held_out"]) -> None:
        """Draw M tasks of one part and set them."""
        self.set_tasks(self.drawn(rng, self.num_tasks, split))

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
        part, found = self.over(self.env, num_tasks), []
        part.faults, part._outside = self.faults, self._outside
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

    def _collect(
        self,
        policy: Policy,
        params: Params,
        streams: Streams,
        first_task: int,
        first_trajectory: int,
    ) -> Rollout:
        """One trajectory in every environment, which have tasks and trajectories of these numbers.

        Those before are drawn too, and left out: that is how the numbers come out the same.
        """
        num_tasks, num_envs, horizon = self.num_tasks, self.num_trajectories, self.horizon
        tasks = range(first_task, first_task + num_tasks)
        params = {name: value.detach() for name, value in params.items()}
        device = next(iter(params.values())).device
        num_drawn = first_trajectory + num_envs
        drawn = [
            policy.noise((num_drawn, horizon), streams.numpy("actions", m))[first_trajectory:]
            for m in tasks
        ]
        noise = torch.stack(drawn).permute(2, 0, 1, 3).contiguous().to(device)  # [T, M, E, A]
        seeds = [
            seed
            for m in tasks
            for seed in streams.seeds("environments", num_drawn, m)[first_trajectory:]
        ]
        raw, _ = self.env.reset(seed=list(seeds))
        observed = raw.reshape(self.env.num_envs, -1)
        record = _Record(num_tasks, horizon, num_envs, observed.shape[-1], policy.action_width)
        observed, _ = self._numbers(record, 0, observed, np.zeros(self.env.num_envs))
        with torch.inference_mode():
            for t in range(horizon):
                observations = record.observations[:, t]
                observations[...] = observed.reshape(observations.shape)
                inputs = torch.from_numpy(np.ascontiguousarray(observations)).to(device)
                actions = policy.act(params, inputs, noise[t]).cpu().numpy()
                raw, rewards, terminated, truncated, info = self.env.step(self._to_env(actions))
                observed, rewards = self._numbers(record, t + 1, raw, rewards)
                record.add(t, actions, rewards, self.discount * ~terminated)
                record.end(observed, terminated | truncated, info)
                if not record.alive.any():
                    break
        record.final[record.alive] = observed[record.alive]
        seen = record.observations[:, : t + 1], record.mask[:, : t + 1]
        note_outside(self._outside, self.env, *seen)
        return record.rollout(t + 1).to(device)

    def _numbers(
        self, record: "_Record", step: int, raw: NDArray[Any], rewards: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Observations ``[M·E, D]`` and rewards ``[M·E]``, with 0 for what is no number.

        Where that happens before a trajectory has ended, all of it is left out.
        """
        observed = raw.reshape(self.env.num_envs, -1)
        if all_numbers(observed) and all_numbers(rewards):
            return observed, rewards
        good = are_numbers(observed), are_numbers(rewards)
        for index in np.flatnonzero(record.alive & ~(good[0].all(1) & good[1])):
            place = int(index), step, observed[index], float(rewards[index])
            note(self.faults, described(self.env, *place))
            record.leave_out(index)
        return np.where(good[0], observed, 0.0), np.where(good[1], rewards, 0.0)

    def check(self, rollouts: Sequence[Rollout]) -> None:
        """Raise an :class:`EnvironmentFaultError` if too many of the trajectories were left out."""
        left_out = sum(rollout.num_left_out() for rollout in rollouts)
        total = len(rollouts) * self.num_tasks * self.num_trajectories
        if left_out:
            check_share(left_out, total, self.faults)

    def _to_env(self, actions: NDArray[Any]) -> NDArray[Any]:
        # of a policy that has diverged nothing reaches the environment
        given = actions if all_numbers(actions) else np.where(are_numbers(actions), actions, 0.0)
        mapped = self.to_env(given.reshape(self.env.num_envs, -1))
        return mapped.reshape(self.env.action_space.shape or ())


class _Record:
    """Arrays that a collection fills step by step, ``[M, T, E, ...]``."""

    def __init__(self, num_tasks: int, horizon: int, num_envs: int, d: int, a: int) -> None:
        shape = (num_tasks, horizon, num_envs)
        self.observations = np.empty((*shape, d), np.float32)
        self.actions = np.empty((*shape, a), np.float32)
        self.rewards = np.empty(shape, np.float32)
        self.discounts = np.empty(shape, np.float32)
        self.mask = np.zeros(shape, bool)
        self.final = np.zeros((num_tasks * num_envs, d), np.float32)
        self.alive = np.ones(num_tasks * num_envs, bool)
        self.diverged = np.zeros(num_tasks * num_envs, bool)

    def add(
        self, t: int, actions: NDArray[Any], rewards: NDArray[Any], discounts: NDArray[Any]
    ) -> None:
        """Store step ``t`` of all environments, ``[M·E]`` each."""
        per_task = self.rewards[:, t].shape
        self.actions[:, t] = actions
        self.rewards[:, t] = rewards.reshape(per_task)
        self.discounts[:, t] = discounts.reshape(per_task)
        self.mask[:, t] = self.alive.reshape(per_task)

    def end(self, observed: NDArray[Any], ended: NDArray[np.bool_], info: dict[str, Any]) -> None:
        """Close the trajectories that a step ended, ``[M·E]`` each."""
        ended = self.alive & ended
        if ended.any():
            self.final[ended] = observed[ended]
            self.diverged |= ended & np.asarray(info.get("diverged", False), bool)
            self.alive &= ~ended

    def leave_out(self, index: np.intp) -> None:
        """Close the trajectory of an environment, of which no step counts."""
        num_envs = self.mask.shape[2]
        self.mask[index // num_envs, :, index % num_envs] = False
        self.alive[index] = False

    def rollout(self, length: int) -> Rollout:
        """The first ``length`` steps as tensors; no number is earned where none was acted."""
        self.rewards[~are_numbers(self.actions).all(-1)] = np.nan
        num_tasks, _, num_envs, d = self.observations.shape
        steps = (self.observations, self.actions, self.rewards, self.discounts, self.mask)
        arrays = [array[:, :length] for array in steps]
        arrays.append(self.final.reshape(num_tasks, num_envs, d))
        arrays.append(self.diverged.reshape(num_tasks, num_envs))
        return Rollout(*map(torch.from_numpy, arrays))


def drawn_tasks(
    env: TaskEnvs, rng: np.random.Generator, num: int, split: Literal["train", "held_out"]
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

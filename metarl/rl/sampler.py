"""Collection: all tasks in one environment step and one forward pass, outside autograd.

After a trajectory has ended its rows are masked, whatever the environment's autoreset does with
them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from metarl.core import Streams
from metarl.nn import Policy
from metarl.rl.env_faults import described, note, note_outside
from metarl.rl.outcomes import Outcomes, check_told
from metarl.rl.rollout import Rollout
from metarl.rl.task_envs import TaskEnvs, all_numbers, are_numbers
from metarl.rl.task_sampler import TaskSampler
from metarl.types import Params, Task


class Sampler(TaskSampler[TaskEnvs]):
    """Rolls out task-batched policies in a vector environment on the cores.

    The environments are a gymnasium vector environment with an attribute ``task`` for each
    environment and autoreset other than ``SAME_STEP``, which hides the true last observation. For
    the arguments see :class:`TaskSampler`.
    """

    def _set_tasks(self, tasks: Sequence[Task]) -> None:
        self.env.set_attr("task", [task for task in tasks for _ in range(self.num_trajectories)])

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
        outcomes = Outcomes(self.env.num_envs, self.info_keys)
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
                outcomes.step(info, record.alive)
                record.end(observed, terminated | truncated, info)
                if not record.alive.any():
                    break
        record.final[record.alive] = observed[record.alive]
        seen = record.observations[:, : t + 1], record.mask[:, : t + 1]
        note_outside(self._outside, self.env, *seen)
        if self.info_keys:
            check_told(self.env, outcomes.values, self.info_keys)
        return record.rollout(t + 1, outcomes.values).to(device)

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

    def rollout(self, length: int, outcomes: NDArray[np.float32]) -> Rollout:
        """The first ``length`` steps as tensors; no number is earned where none was acted.

        With what environments told, ``[M·E, ...]``.
        """
        if not all_numbers(self.actions[:, :length]):
            self.rewards[~are_numbers(self.actions).all(-1)] = np.nan
        num_tasks, _, num_envs, d = self.observations.shape
        steps = (self.observations, self.actions, self.rewards, self.discounts, self.mask)
        arrays = [array[:, :length] for array in steps]
        arrays.append(self.final.reshape(num_tasks, num_envs, d))
        arrays.append(self.diverged.reshape(num_tasks, num_envs))
        arrays.append(outcomes.reshape(num_tasks, num_envs, -1))
        return Rollout(*map(torch.from_numpy, arrays))

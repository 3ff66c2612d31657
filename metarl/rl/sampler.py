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
from metarl.rl.rollout import Rollout
from metarl.rl.task_envs import TaskEnvs
from metarl.types import Params, Task


class Sampler:
    """Rolls out task-batched policies in a vector environment whose environments have tasks.

    Args:
        env: a gymnasium vector environment with an attribute ``task`` for each environment and
            autoreset other than ``SAME_STEP``, which hides the true last observation.
        num_tasks: M; must divide the number of environments.
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
    ) -> None:
        if env.num_envs % num_tasks:
            raise ValueError(f"{env.num_envs} environments do not divide into {num_tasks} tasks")
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
        self.num_trajectories = env.num_envs // num_tasks
        self.horizon = horizon
        self.discount = discount
        self.action_scale = action_scale
        self.to_env = action_map(env.single_action_space, action_scale)

    @property
    def observation_size(self) -> int | tuple[int, int, int]:
        """Numbers of an observation; height, width and channels of an image."""
        shape = self.env.single_observation_space.shape or ()
        return (shape[0], shape[1], shape[2]) if len(shape) == 3 else math.prod(shape)

    def over(self, env: TaskEnvs, num_tasks: int) -> "Sampler":
        """A sampler like this one in another environment."""
        return Sampler(
            env,
            num_tasks=num_tasks,
            horizon=self.horizon,
            discount=self.discount,
            action_scale=self.action_scale,
        )

    def set_tasks(self, tasks: Sequence[Task]) -> None:
        """Give each of the M tasks to its E environments; they hold until set again."""
        if len(tasks) != self.num_tasks:
            raise ValueError(f"need {self.num_tasks} tasks, got {len(tasks)}")
        repeated = [task for task in tasks for _ in range(self.num_trajectories)]
        self.env.set_attr("task", repeated)

    def drawn(
        self, rng: np.random.Generator, num: int, split: Literal["train", "held_out"]
    ) -> list[Task]:
        """Tasks of one part of the environment's own distribution, which none gets yet."""
        batch = self.env.get_attr("task_distribution")[0].sample(rng, num, split)
        return [{name: values[i] for name, values in batch.items()} for i in range(num)]

    def draw_tasks(self, rng: np.random.Generator, split: Literal["train", "held_out"]) -> None:
        """Draw M tasks of one part and set them."""
        self.set_tasks(self.drawn(rng, self.num_tasks, split))

    def collect(
        self, policy: Policy, params: Params, streams: Streams, first_task: int = 0
    ) -> Rollout:
        """One trajectory in every environment.

        Actions and environments have their random numbers by task and trajectory: they are the
        same whatever M and E.

        Args:
            policy: maps parameters, observations and noise to actions.
            params: task-batched parameters.
            streams: at the iteration and the inner step.
            first_task: number of the first of the M tasks among those that belong together.
        """
        num_tasks, num_envs, horizon = self.num_tasks, self.num_trajectories, self.horizon
        tasks = range(first_task, first_task + num_tasks)
        params = {name: value.detach() for name, value in params.items()}
        device = next(iter(params.values())).device
        drawn = [policy.noise((num_envs, horizon), streams.numpy("actions", m)) for m in tasks]
        noise = torch.stack(drawn).permute(2, 0, 1, 3).contiguous().to(device)  # [T, M, E, A]
        seeds = [seed for m in tasks for seed in streams.seeds("environments", num_envs, m)]
        raw, _ = self.env.reset(seed=list(seeds))
        raw = raw.reshape(self.env.num_envs, -1)
        record = _Record(num_tasks, horizon, num_envs, raw.shape[-1], policy.action_width)
        final = np.zeros_like(raw, dtype=np.float32)
        alive = np.ones(self.env.num_envs, bool)
        diverged = np.zeros(self.env.num_envs, bool)
        with torch.inference_mode():
            for t in range(horizon):
                observations = record.observations[:, t]
                observations[...] = raw.reshape(observations.shape)
                inputs = torch.from_numpy(np.ascontiguousarray(observations)).to(device)
                actions = policy.act(params, inputs, noise[t]).cpu().numpy()
                raw, rewards, terminated, truncated, info = self.env.step(self._to_env(actions))
                raw = raw.reshape(self.env.num_envs, -1)
                record.add(t, actions, rewards, alive, self.discount * ~terminated)
                ended = alive & (terminated | truncated)
                if ended.any():
                    final[ended] = raw[ended]
                    diverged |= ended & np.asarray(info.get("diverged", False), bool)
                    alive = alive & ~ended
                    if not alive.any():
                        break
        final[alive] = raw[alive]
        return record.rollout(t + 1, final, diverged).to(device)

    def _to_env(self, actions: NDArray[Any]) -> NDArray[Any]:
        mapped = self.to_env(actions.reshape(self.env.num_envs, -1))
        return mapped.reshape(self.env.action_space.shape or ())


class _Record:
    """Arrays that a collection fills step by step, ``[M, T, E, ...]``."""

    def __init__(self, num_tasks: int, horizon: int, num_envs: int, d: int, a: int) -> None:
        shape = (num_tasks, horizon, num_envs)
        self.observations = np.empty((*shape, d), np.float32)
        self.actions = np.empty((*shape, a), np.float32)
        self.rewards = np.empty(shape, np.float32)
        self.discounts = np.empty(shape, np.float32)
        self.mask = np.empty(shape, bool)

    def add(
        self,
        t: int,
        actions: NDArray[Any],
        rewards: NDArray[Any],
        alive: NDArray[np.bool_],
        discounts: NDArray[Any],
    ) -> None:
        """Store step ``t`` of all environments, ``[M·E]`` each."""
        per_task = self.rewards[:, t].shape
        self.actions[:, t] = actions
        self.rewards[:, t] = rewards.reshape(per_task)
        self.discounts[:, t] = discounts.reshape(per_task)
        self.mask[:, t] = alive.reshape(per_task)

    def rollout(
        self, length: int, final_observations: NDArray[Any], diverged: NDArray[np.bool_]
    ) -> Rollout:
        """The first ``length`` steps as tensors, with facts ``[M·E, ...]`` of the trajectories."""
        num_tasks, _, num_envs, d = self.observations.shape
        steps = (self.observations, self.actions, self.rewards, self.discounts, self.mask)
        arrays = [array[:, :length] for array in steps]
        arrays.append(final_observations.reshape(num_tasks, num_envs, d))
        arrays.append(diverged.reshape(num_tasks, num_envs))
        return Rollout(*map(torch.from_numpy, arrays))

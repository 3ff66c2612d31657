"""The learners of ``metarl train NAME --env ID``, for benchmarks of their updates."""

from dataclasses import replace
from typing import Any

import gymnasium as gym
import torch

import metarl_envs  # noqa: F401  # registers the ids
from metarl.nn import GaussianPolicy, policy_network
from metarl.rl import PRESETS, MAMLLearner, Sampler, make_maml


def make_learner(
    name: str,
    env_id: str,
    *,
    num_tasks: int = 20,
    num_trajectories: int = 20,
    action_scale: float = 1.0,
    device: str = "cpu",
    **numbers: Any,
) -> MAMLLearner:
    """The named learner with a policy 64-64 and trajectories of 100 steps.

    Args:
        name: of the learner.
        env_id: of the task family.
        num_tasks: of a meta-batch.
        num_trajectories: of a task.
        action_scale: as of the sampler.
        device: of the policy.
        numbers: of the learner's config.
    """
    env: Any = gym.make_vec(
        env_id,
        num_envs=num_tasks * num_trajectories,
        autoreset_mode=gym.vector.AutoresetMode.DISABLED,
    )
    sampler = Sampler(
        env, num_tasks=num_tasks, horizon=100, discount=0.99, action_scale=action_scale
    )
    action_size = gym.spaces.flatdim(env.single_action_space)
    network = policy_network(
        gym.spaces.flatdim(env.single_observation_space),
        action_size,
        generator=torch.Generator().manual_seed(0),
    )
    policy = GaussianPolicy(network, action_size, min_log_std=-0.5)
    config = replace(PRESETS[name].config, **numbers)
    return make_maml(config, policy.to(device), sampler, seed=0)

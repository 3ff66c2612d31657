"""The small problem of ``tests/rl``, each process with its own part of the tasks."""

from dataclasses import replace
from typing import Any

import gymnasium as gym
import torch

import metarl_envs  # noqa: F401  # registers the ids
from metarl.core.collectives import Part
from metarl.nn import GaussianPolicy, ObservationNormaliser, policy_network
from metarl.rl import PRESETS, MAMLLearner, Sampler, make_maml
from metarl.rl.configs import TrustRegionConfig

NUM_TASKS, NUM_TRAJECTORIES = 5, 3


def make_learner(name: str, *, normalised: bool = False, **numbers: Any) -> MAMLLearner:
    """Of that name, on 5 tasks of 3 trajectories on PointGoal, in however many processes."""
    config = replace(PRESETS[name].config, **numbers)
    if isinstance(config, TrustRegionConfig):  # 10 products of a Fisher matrix of so few steps
        config = replace(config, cg_iterations=3, cg_damping=0.1)  # make 1e-4 of the last bits
    part = Part.own(NUM_TASKS)
    env: Any = gym.make_vec("metarl/PointGoal-v0", num_envs=part.num * NUM_TRAJECTORIES)
    sampler = Sampler(env, num_tasks=part.num, horizon=10, discount=0.99, action_scale=10.0)
    sampler.part = part
    generator = torch.Generator().manual_seed(0)
    network = policy_network(
        2, 2, hidden_sizes=(8,), context_size=config.context_size, generator=generator
    )
    policy = GaussianPolicy(network, 2, context_size=config.context_size)
    policy.normaliser = ObservationNormaliser(2) if normalised else None
    return make_maml(config, policy, sampler, seed=1)

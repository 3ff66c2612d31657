"""Rollouts of random facts, and small learners on PointGoal."""

from dataclasses import replace
from typing import Any

import gymnasium as gym
import torch
from torch import nn

import metarl_envs  # noqa: F401  # registers the ids
from metarl.core import SGD
from metarl.nn import GaussianPolicy, policy_network
from metarl.rl import PRESETS, Experience, MAMLLearner, Rollout, Sampler, make_maml
from metarl.types import StepSize


def pad(value: torch.Tensor, mask: torch.Tensor, filler: float) -> torch.Tensor:
    """``filler`` in the masked steps of ``[M, T, E, ...]``."""
    return torch.where(mask.reshape(*mask.shape, *[1] * (value.ndim - 3)), value, filler)


def make_rollout(lengths: list[list[int]], *, filler: float = 0.0, seed: int = 0) -> Rollout:
    """Random facts: trajectory lengths ``[M][E]``, and what stands in the masked steps."""
    generator = torch.Generator().manual_seed(seed)
    ends = torch.tensor(lengths)
    num_tasks, num_envs = ends.shape
    horizon = int(ends.max())

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    shape = (num_tasks, horizon, num_envs)
    mask = torch.arange(horizon)[:, None] < ends[:, None]
    discounts = torch.full(shape, 0.9, dtype=torch.float64)
    discounts[0, ends[0, 0] - 1, 0] = 0.0  # the very first trajectory terminates
    return Rollout(
        observations=pad(draw(*shape, 2), mask, filler),
        actions=pad(draw(*shape, 3), mask, filler),
        rewards=pad(draw(*shape), mask, filler),
        discounts=pad(discounts, mask, filler),
        mask=mask,
        final_observations=draw(num_tasks, num_envs, 2),
        diverged=torch.zeros(num_tasks, num_envs, dtype=torch.bool),
    )


def step_size(learner: MAMLLearner, step: int) -> StepSize:
    """Of a step of adaptation, counted from 0."""
    rule = learner.rule.at(dict(learner.learned))
    assert isinstance(rule, SGD)
    return rule.step_size(step)


def make_sampler() -> Sampler:
    """3 tasks of 2 trajectories of 10 steps on PointGoal."""
    env: Any = gym.make_vec("metarl/PointGoal-v0", num_envs=6)
    return Sampler(env, num_tasks=3, horizon=10, discount=0.99, action_scale=10.0)


def make_policy(
    seed: int = 0, context_size: int = 0, network: nn.Module | None = None
) -> GaussianPolicy:
    """8 hidden units by default."""
    generator = torch.Generator().manual_seed(seed)
    standard = policy_network(
        2, 2, hidden_sizes=(8,), context_size=context_size, generator=generator
    )
    return GaussianPolicy(network or standard, 2, context_size=context_size)


def make_learner(
    name: str = "maml-trpo", *, seed: int = 0, network: nn.Module | None = None, **numbers: Any
) -> MAMLLearner:
    """The learner of that name with other numbers, on a small problem."""
    config = replace(PRESETS[name].config, **numbers)
    policy = make_policy(seed, config.context_size, network)
    return make_maml(config, policy, make_sampler(), seed=seed)


def in_double(learner: MAMLLearner) -> Experience:
    """An experience of the learner, and all that it meta-learns, in double precision."""
    experience = learner.collect()
    batches = [batch.map(torch.Tensor.double) for batch in experience.batches]
    learner.policy.double()
    for value in learner.learned.values():
        value.data = value.data.double()
    return Experience([], batches, experience.scores.double())

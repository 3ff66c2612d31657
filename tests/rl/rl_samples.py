"""Rollouts of random facts, and small learners on PointGoal."""

from typing import Any

import gymnasium as gym
import torch
from torch import nn

import metarl_envs  # noqa: F401  # registers the ids
from metarl.nn import GaussianPolicy, policy_network
from metarl.rl import (
    MAMLPPO,
    MAMLTRPO,
    MAMLVPG,
    Experience,
    MAMLConfig,
    MAMLTRPOConfig,
    MAMLVPGConfig,
    ProMPConfig,
    Reptile,
    ReptileConfig,
    Rollout,
    Sampler,
)
from metarl.rl.learner import MAMLLearner

CONFIGS: dict[type[MAMLLearner], Any] = {
    MAMLTRPO: MAMLTRPOConfig,
    MAMLVPG: MAMLVPGConfig,
    MAMLPPO: ProMPConfig,
    Reptile: ReptileConfig,
}


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


def make_learner(
    kind: type[MAMLLearner] = MAMLTRPO,
    *,
    seed: int = 0,
    config: type[MAMLConfig] | None = None,
    network: nn.Module | None = None,
    **numbers: Any,
) -> MAMLLearner:
    """3 tasks of 2 trajectories of 10 steps, a policy of 8 hidden units by default."""
    env: Any = gym.make_vec("metarl/PointGoal-v0", num_envs=6)
    sampler = Sampler(env, num_tasks=3, horizon=10, discount=0.99, action_scale=10.0)
    chosen = (config or CONFIGS[kind])(**numbers)
    policy = GaussianPolicy(
        network
        or policy_network(
            2,
            2,
            hidden_sizes=(8,),
            context_size=chosen.context_size,
            generator=torch.Generator().manual_seed(seed),
        ),
        2,
        context_size=chosen.context_size,
    )
    return kind(policy, sampler, chosen, seed=seed)


def in_double(learner: MAMLLearner) -> Experience:
    """An experience of the learner, and all that it meta-learns, in double precision."""
    experience = learner.collect()
    batches = [batch.map(torch.Tensor.double) for batch in experience.batches]
    learner.policy.double()
    for value in learner.adaptation.step_sizes.values():
        value.data = value.data.double()
    return Experience([], batches, experience.scores.double())

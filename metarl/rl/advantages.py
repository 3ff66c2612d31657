"""From facts to what a loss consumes: baseline, GAE and normalisation, each within a task."""

import torch
from torch import Tensor

from metarl.rl.baseline import fit_values
from metarl.rl.returns import discounted_returns, gae, trajectory_ends
from metarl.rl.rollout import AdvantageBatch, Rollout

EPSILON = 1e-8


def advantage_batch(rollout: Rollout, *, gae_lambda: float) -> AdvantageBatch:
    """Advantages of a rollout with the linear baseline fitted on the same rollout.

    The baseline is fitted to the discounted returns up to each trajectory's end. At a time limit
    GAE bootstraps from the true successor with the fitted value, at a termination it does not.

    Args:
        rollout: facts; entries of masked steps change nothing.
        gae_lambda: λ in [0, 1].
    """
    mask = rollout.mask
    rewards = torch.where(mask, rollout.rewards, 0.0)
    discounts = torch.where(mask, rollout.discounts, 0.0)
    ends = trajectory_ends(mask)
    values = fit_values(rollout, discounted_returns(rewards, discounts, ends))
    advantages = gae(
        rewards, values.current, values.following, discounts, ends, gae_lambda=gae_lambda
    )
    weights = mask / mask.sum((1, 2), keepdim=True).clamp(min=1)
    normalised, scale = normalise(advantages, weights)
    keep = mask[..., None]
    return AdvantageBatch(
        observations=torch.where(keep, rollout.observations, 0.0).flatten(1, 2),
        actions=torch.where(keep, rollout.actions, 0.0).flatten(1, 2),
        advantages=normalised.flatten(1),
        weights=weights.flatten(1),
        rewards=reward_signal(rewards, discounts, mask, scale).flatten(1),
        scale=scale.flatten(1),
        num_trajectories=mask.shape[2],
    )


def normalise(advantages: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Zero mean and unit variance within each task, over its real steps; 0 in padding.

    Args:
        advantages: ``[M, T, E]``.
        weights: 1 / number of real steps, 0 for padding, ``[M, T, E]``.

    Returns:
        The normalised advantages ``[M, T, E]``, and what they were divided by, ``[M, 1, 1]``.
    """
    mean = (advantages * weights).sum((1, 2), keepdim=True)
    centred = torch.where(weights > 0, advantages - mean, 0.0)
    variance = (centred.square() * weights).sum((1, 2), keepdim=True)
    scale = variance.sqrt() + EPSILON
    return centred / scale, scale


def reward_signal(rewards: Tensor, discounts: Tensor, mask: Tensor, scale: Tensor) -> Tensor:
    """γ^t (r_t - mean of r_t over the task's trajectories) / scale, ``[M, T, E]``; what DiCE sees.

    The mean at each time is a baseline that no single action moves much; it and the scale make
    step sizes comparable with those of normalised advantages.

    Args:
        rewards: 0 in padding, ``[M, T, E]``.
        discounts: γ, or 0 where the task terminated, ``[M, T, E]``.
        mask: True for real steps.
        scale: ``[M, 1, 1]``.
    """
    mean = rewards.sum(2, keepdim=True) / mask.sum(2, keepdim=True).clamp(min=1)
    since_start = torch.cat([torch.ones_like(discounts[:, :1]), discounts[:, :-1]], 1).cumprod(1)
    return torch.where(mask, since_start * (rewards - mean) / scale, 0.0)

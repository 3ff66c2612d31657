"""From facts to what a loss consumes: baseline, GAE and normalisation, each within a task."""

from collections.abc import Callable

import torch
from torch import Tensor

from metarl.rl.baseline import fit_values
from metarl.rl.returns import discounted_returns, gae, trajectory_ends
from metarl.rl.rollout import AdvantageBatch, Rollout

EPSILON = 1e-8
SCALE_FLOOR = 0.02
"""Least scale of advantages, in units of the task's root mean square reward. What is smaller is the
error of the baseline's fit: without a floor a task that says nothing would make a whole step."""
SAME_REWARDS = 1e-5
"""Rewards that differ less than so between trajectories, in the same unit, say nothing."""


def advantage_batch(
    rollout: Rollout, *, gae_lambda: float, seen: Callable[[Tensor], Tensor] | None = None
) -> AdvantageBatch:
    """Advantages of a rollout with the linear baseline fitted on the same rollout.

    The baseline is fitted to the discounted returns up to each trajectory's end. At a time limit
    GAE bootstraps from the true successor with the fitted value, at a termination it does not.
    Trajectories without a real step are left out.

    Args:
        rollout: facts; entries of masked steps, and successors of terminations, change nothing.
        gae_lambda: λ in [0, 1].
        seen: what the baseline sees of observations, such as a policy's normaliser; themselves by
            default.
    """
    mask = rollout.mask
    rewards = torch.where(mask, rollout.rewards, 0.0)
    discounts = torch.where(mask, rollout.discounts, 0.0)
    ends = trajectory_ends(mask)
    goes_on = (ends & (discounts > 0)).any(1)[..., None]
    rollout = rollout._replace(
        final_observations=torch.where(goes_on, rollout.final_observations, 0.0)
    )
    facts = rollout if seen is None else _as_seen(rollout, seen)
    values = fit_values(facts, discounted_returns(rewards, discounts, ends))
    advantages = gae(
        rewards, values.current, values.following, discounts, ends, gae_lambda=gae_lambda
    )
    weights = mask / mask.sum((1, 2), keepdim=True).clamp(min=1)
    unit = _root_mean(rewards, weights)
    since_start = _since_start(discounts)
    signal = reward_signal(rewards, since_start, mask)
    alone = mask.shape[2] == 1  # then a step has only the trajectory's other steps beside it
    compared = _centred(rewards, weights) if alone else signal
    informative = _root_mean(compared, weights) > SAME_REWARDS * unit
    normalised, scale = normalise(
        torch.where(informative, advantages, 0.0), weights, floor=SCALE_FLOOR * unit
    )
    keep = mask[..., None]
    return AdvantageBatch(
        observations=torch.where(keep, rollout.observations, 0.0).flatten(1, 2),
        actions=torch.where(keep, rollout.actions, 0.0).flatten(1, 2),
        advantages=normalised.flatten(1),
        weights=weights.flatten(1),
        rewards=(signal / scale / _discounted_share(since_start, weights)).flatten(1),
        scale=scale.flatten(1),
        num_trajectories=mask.shape[2],
    )


def _as_seen(rollout: Rollout, seen: Callable[[Tensor], Tensor]) -> Rollout:
    observations, final = seen(rollout.observations), seen(rollout.final_observations)
    return rollout._replace(observations=observations, final_observations=final)


def normalise(advantages: Tensor, weights: Tensor, *, floor: Tensor) -> tuple[Tensor, Tensor]:
    """Zero mean and unit variance within each task, over its real steps; 0 in padding.

    Args:
        advantages: ``[M, T, E]``.
        weights: 1 / number of real steps, 0 for padding, ``[M, T, E]``.
        floor: smaller standard deviations count as this, ``[M, 1, 1]``.

    Returns:
        The normalised advantages ``[M, T, E]``, and what they were divided by, ``[M, 1, 1]``.
    """
    centred = _centred(advantages, weights)
    scale = torch.maximum(_root_mean(centred, weights), floor) + EPSILON
    return centred / scale, scale


def reward_signal(rewards: Tensor, since_start: Tensor, mask: Tensor) -> Tensor:
    """γ^t (r_t - b_t), ``[M, T, E]``, b_t the mean over the task's other trajectories; DiCE's.

    A trajectory that has ended gets rewards of 0, as one of the others too, and b_t goes on being
    subtracted: its last real step takes the sum of that. So b_t depends on the time alone, neither
    on this trajectory nor on whether it lasts, and the signal estimates all derivatives of the
    return without bias. One trajectory alone has no others, and b_t is 0.

    Args:
        rewards: 0 in padding, ``[M, T, E]``.
        since_start: γ^t, ``[M, T, 1]``.
        mask: True for real steps. Trajectories without one are left out.
    """
    others = (mask[:, :1].sum(2, keepdim=True) - 1).clamp(min=1)
    baseline = (rewards.sum(2, keepdim=True) - rewards) / others
    signal = since_start * (rewards - baseline)
    after = torch.where(mask, 0.0, signal).sum(1, keepdim=True)
    return torch.where(mask, signal, 0.0) + trajectory_ends(mask) * after


def _since_start(discounts: Tensor) -> Tensor:
    """γ^t of all T steps, ``[M, T, 1]``; discounts are γ where no trajectory has ended."""
    time = torch.arange(discounts.shape[1], device=discounts.device)[:, None]
    return discounts.amax((1, 2), keepdim=True) ** time


def _discounted_share(since_start: Tensor, weights: Tensor) -> Tensor:
    """Mean γ^t over the real steps, ``[M, 1, 1]``: sums of discounted terms become means by it."""
    return (since_start * weights).sum((1, 2), keepdim=True).clamp(min=EPSILON)


def _centred(values: Tensor, weights: Tensor) -> Tensor:
    """Minus their mean in each task; 0 in padding."""
    mean = (values * weights).sum((1, 2), keepdim=True)
    return torch.where(weights > 0, values - mean, 0.0)


def _root_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Root of the mean square of each task, ``[M, 1, 1]``."""
    return (values.square() * weights).sum((1, 2), keepdim=True).sqrt()

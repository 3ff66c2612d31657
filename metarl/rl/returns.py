"""Returns and advantages along the time axis, from ``discounts`` instead of done flags.

Inputs are ``[M, T, E]``; ``ends`` marks each trajectory's last step, whatever ended it. There the
recursion stops; whether the value beyond it counts is the discount's business: 0 after a
termination, γ at a time limit.
"""

import torch
from torch import Tensor


def trajectory_ends(mask: Tensor) -> Tensor:
    """The last real step of every trajectory, bool, from the mask of real steps ``[M, T, E]``."""
    following = torch.cat([mask[:, 1:], torch.zeros_like(mask[:, :1])], dim=1)
    return mask & ~following


def discounted_returns(rewards: Tensor, discounts: Tensor, ends: Tensor) -> Tensor:
    """G_t = r_t + γ_t G_{t+1}, with nothing after an end  (Sutton & Barto 2018, eq. 3.9).

    Args:
        rewards: ``[M, T, E]``.
        discounts: γ_t, ``[M, T, E]``.
        ends: last steps, bool ``[M, T, E]``.

    >>> r = torch.ones(1, 3, 1)
    >>> ends = torch.tensor([False, False, True]).reshape(1, 3, 1)
    >>> discounted_returns(r, 0.5 * r, ends).flatten()
    tensor([1.7500, 1.5000, 1.0000])
    """
    return _backward_sum(rewards, torch.where(ends, 0.0, discounts))


def gae(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    discounts: Tensor,
    ends: Tensor,
    *,
    gae_lambda: float,
) -> Tensor:
    """A_t = Σ_k (γλ)^k δ_{t+k}, δ_t = r_t + γ_t V(s_{t+1}) - V(s_t)  (Schulman 2016, eq. 16).

    Args:
        rewards: ``[M, T, E]``.
        values: V(s_t), ``[M, T, E]``.
        next_values: V of the true successor of step t, at ends too, ``[M, T, E]``.
        discounts: γ_t, ``[M, T, E]``.
        ends: last steps, bool ``[M, T, E]``.
        gae_lambda: λ in [0, 1].
    """
    errors = rewards + discounts * next_values - values
    return _backward_sum(errors, torch.where(ends, 0.0, gae_lambda * discounts))


def _backward_sum(terms: Tensor, factors: Tensor) -> Tensor:
    """x_t = terms_t + factors_t x_{t+1} along axis 1."""
    if terms.ndim != 3 or factors.shape != terms.shape:
        raise ValueError(f"need [M, T, E] twice, got {tuple(terms.shape)}, {tuple(factors.shape)}")
    result = torch.empty_like(terms)
    running = terms.new_zeros(terms.shape[0], terms.shape[2])
    steps = zip(terms.unbind(1), factors.unbind(1), result.unbind(1), strict=True)
    for term, factor, total in reversed(list(steps)):
        running = torch.addcmul(term, factor, running, out=total)
    return result

"""Linear feature baseline, fitted to each task's own batch (Duan et al. 2016).

Features of step t: the observation clipped to ±10, its square, t/100, (t/100)², (t/100)³ and 1. Of
observations wider than 512, which are images, only the time counts: the regression grows with the
cube of its features. So it does in tasks of fewer than two steps a feature, and under eight steps
the mean alone: a fit with as many features as steps explains every return, the action's part too.
One batched ridge regression fits every task; double precision, because the features are nearly
collinear on short trajectories.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from metarl.rl.rollout import Rollout

RIDGE = 1e-5
WIDEST = 512
CLIP = 10.0
STEPS_A_FEATURE = 2


class Values(NamedTuple):
    """A baseline's predictions for a rollout."""

    current: Tensor
    """V(s_t), ``[M, T, E]``."""
    following: Tensor
    """V of the true successor of each step, ``[M, T, E]``."""


def features(observations: Tensor, times: Tensor) -> Tensor:
    """Features of observations ``[..., D]`` at time steps ``[...]``.

    They are ``[..., 2D + 4]``, or ``[..., 4]`` of images.
    """
    seen = observations if observations.shape[-1] <= WIDEST else observations[..., :0]
    clipped = seen.double().clamp(-CLIP, CLIP)
    t = times.double()[..., None] / 100.0
    return torch.cat([clipped, clipped.square(), t, t**2, t**3, torch.ones_like(t)], dim=-1)


def fit_values(rollout: Rollout, returns: Tensor) -> Values:
    """Regress each task's returns ``[M, T, E]`` on its features, then predict.

    Masked steps take no part in the fit, and their predictions are 0.
    """
    num_tasks, horizon, num_envs, _ = rollout.observations.shape
    mask = rollout.mask
    times = torch.arange(horizon + 1, device=mask.device)
    step_times = times[:horizon, None].expand(num_tasks, horizon, num_envs)
    observations = torch.where(mask[..., None], rollout.observations, 0.0)
    inputs = features(observations, step_times) * mask[..., None]
    x = inputs.flatten(1, 2) * _affordable(mask, inputs.shape[-1])  # [M, B, F]
    y = torch.where(mask, returns, 0.0).double().flatten(1)[..., None]
    penalty = RIDGE * torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    # with the ridge there is a solution: to look for an error would be to wait for the device
    coefficients, _ = torch.linalg.solve_ex(x.mT @ x + penalty, x.mT @ y)  # [M, F, 1]

    current = (x @ coefficients).reshape(mask.shape)
    final_inputs = features(rollout.final_observations, mask.sum(1))  # [M, E, F]
    final = (final_inputs @ coefficients).squeeze(-1)  # [M, E]
    following = torch.cat([current[:, 1:], torch.zeros_like(current[:, :1])], dim=1)
    last = (mask.sum(1, keepdim=True) - 1).clamp(min=0)  # [M, 1, E]
    following = following.scatter(1, last, final[:, None])
    return Values(current.to(returns.dtype), following.to(returns.dtype))


def _affordable(mask: Tensor, num_features: int) -> Tensor:
    """Which features a task's number of steps carries, bool ``[M, 1, F]``."""
    at_once = torch.full((num_features,), num_features, device=mask.device)  # observations,
    at_once[-4:] = 4  # time
    at_once[-1] = 0  # and 1
    least = STEPS_A_FEATURE * at_once
    return mask.sum((1, 2))[:, None, None] >= least

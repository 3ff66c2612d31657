"""Stochastic policies with task-batched parameters, and their action distributions.

A policy maps task-batched parameters and observations ``[M, B, D]`` to a distribution over
actions. Sampling takes its noise as an argument, so a sampler draws a whole rollout's noise at
once from a generator of its own and the policy stays a pure function.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from metarl.nn.mlp import MLP, Activation
from metarl.types import Params

# of the last layer's initial weights: an untrained policy explores around 0 instead of drifting
# off, which is a local optimum of MAML (one inner step then only learns to come back)
OUTPUT_SCALE = 0.01

HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


class Gaussian(NamedTuple):
    """Diagonal Gaussian over actions."""

    mean: Tensor
    """``[..., A]``."""
    log_std: Tensor
    """Log of the standard deviation, broadcastable to ``mean``."""

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log density of ``[..., A]``, **summed** over the action dimensions to ``[...]``."""
        standard = (actions - self.mean) * torch.exp(-self.log_std)
        return (-0.5 * standard.square() - self.log_std - HALF_LOG_TWO_PI).sum(-1)

    def kl_from(self, old: "Gaussian") -> Tensor:
        """KL(old || self), ``[...]``, the direction that TRPO bounds (Schulman et al. 2015)."""
        variance_ratio = torch.exp(2.0 * (old.log_std - self.log_std))
        shift = ((old.mean - self.mean) * torch.exp(-self.log_std)).square()
        log_ratio = self.log_std - old.log_std
        return (log_ratio + 0.5 * (variance_ratio + shift - 1.0)).sum(-1)

    def fisher_product(self, tangent: "Gaussian") -> "Gaussian":
        """Fisher information of (mean, log_std) times a tangent of the same shapes.

        The Hessian of :meth:`kl_from` at ``old = self``: 1/σ² for the mean, 2 for log σ.
        """
        return Gaussian(tangent.mean * torch.exp(-2.0 * self.log_std), 2.0 * tangent.log_std)

    def detach(self) -> "Gaussian":
        """The same numbers outside autograd."""
        return Gaussian(self.mean.detach(), self.log_std.detach())


class GaussianPolicy(nn.Module):
    """MLP mean and a state-independent log standard deviation with a floor.

    Args:
        observation_size: D.
        action_size: A.
        hidden_sizes: widths of the hidden layers.
        activation: ``tanh`` or ``relu``.
        initial_log_std: starting log σ of every action dimension.
        min_log_std: floor of log σ. Below it the parameter has no gradient of its own, so a large
            inner step cannot make the density degenerate.
        generator: source of the initial weights.

    >>> policy = GaussianPolicy(4, 2)
    >>> sorted(dict(policy.named_parameters()))[:2]
    ['log_std', 'mean.layers.0.bias']
    """

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        *,
        hidden_sizes: Sequence[int] = (64, 64),
        activation: Activation = "tanh",
        initial_log_std: float = 0.0,
        min_log_std: float = -6.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if initial_log_std < min_log_std:
            raise ValueError(f"initial_log_std {initial_log_std} is below its floor {min_log_std}")
        sizes = [observation_size, *hidden_sizes, action_size]
        self.mean = MLP(sizes, activation, generator)
        with torch.no_grad():
            dict(self.mean.named_parameters())[f"layers.{len(sizes) - 2}.weight"].mul_(OUTPUT_SCALE)
        self.log_std = nn.Parameter(torch.full((action_size,), float(initial_log_std)))
        self.min_log_std = min_log_std

    def distribution(self, params: Params, observations: Tensor) -> Gaussian:
        """Action distributions of ``[M, B, D]`` observations.

        The mean is ``[M, B, A]`` and the log σ ``[M, 1, A]``.
        """
        prefix = "mean."
        mean_params = {
            name.removeprefix(prefix): value
            for name, value in params.items()
            if name.startswith(prefix)
        }
        mean = self.mean.forward_tasks(mean_params, observations)
        return Gaussian(mean, params["log_std"].clamp(min=self.min_log_std)[:, None, :])

    def noise(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """What :meth:`act` needs for that many actions, ``[*shape, A]``."""
        return torch.randn(
            *shape, self.log_std.shape[0], generator=generator, device=generator.device
        )

    def act(self, params: Params, observations: Tensor, noise: Tensor) -> Tensor:
        """Sampled actions ``[M, B, A]``; zero noise gives the mean action."""
        distribution = self.distribution(params, observations)
        return distribution.mean + torch.exp(distribution.log_std) * noise

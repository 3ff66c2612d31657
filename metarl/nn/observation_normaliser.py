"""Observations divided by running statistics, in front of a policy's network."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

EPSILON, CLIP = 1e-8, 10.0  # of stable-baselines3's VecNormalize


class Moments(NamedTuple):
    """Of observations."""

    num: int
    """How many."""
    mean: Tensor
    """``[D]``."""
    variance: Tensor
    """Uncorrected, ``[D]``."""


class ObservationNormaliser(nn.Module):
    """(o - mean) / √(variance + ε), cut at ±10, by statistics of all that it was shown.

    It is part of the policy: its statistics are in every checkpoint and policy file, and whatever
    runs the policy runs it. They change in :meth:`update` alone. Before that it only cuts.

    Args:
        observation_size: D.

    >>> normaliser = ObservationNormaliser(1)
    >>> normaliser.update(torch.tensor([[1.0], [3.0]]))
    >>> normaliser(torch.tensor([[2.0], [3.0], [100.0]])).ravel().tolist()
    [0.0, 1.0, 10.0]
    """

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, observation_size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(observation_size, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(observation_size, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def forward(self, observations: Tensor) -> Tensor:
        """``[..., D]`` to as many."""
        mean, std = self.mean.to(observations), self.std().to(observations)
        return ((observations - mean) / std).clamp(-CLIP, CLIP)

    def std(self) -> Tensor:
        """What is divided by, ``[D]``."""
        return (self.variance + EPSILON).sqrt()

    @torch.no_grad()
    def update(self, observations: Tensor) -> None:
        """Take observations ``[N, D]`` into the statistics, in place."""
        if len(observations):
            self.merge(self.moments(observations))

    def moments(self, observations: Tensor) -> Moments:
        """Of observations ``[N, D]``."""
        given = observations.to(self.mean.dtype)
        if not len(given):
            return Moments(0, self.mean, self.variance)
        return Moments(len(given), given.mean(0), given.var(0, correction=0))

    @torch.no_grad()
    def merge(self, others: Moments) -> None:
        """Take the moments of further observations into the statistics (Chan et al. 1979)."""
        if not others.num:
            return
        count, total = float(others.num), self.count + others.num
        apart = others.mean.to(self.mean) - self.mean
        squares = self.variance * self.count + others.variance.to(self.mean) * count
        squares += apart.square() * self.count * count / total
        self.mean += apart * count / total
        self.variance.copy_(squares / total)
        self.count.copy_(total)

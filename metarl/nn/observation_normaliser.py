"""Observations divided by running statistics, in front of a policy's network."""

import torch
from torch import Tensor, nn

EPSILON, CLIP = 1e-8, 10.0  # of stable-baselines3's VecNormalize


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
        """Take observations ``[N, D]`` into the statistics (Chan et al. 1979), in place."""
        if not len(observations):
            return
        given = observations.to(self.mean)
        count, total = float(len(given)), self.count + len(given)
        apart = given.mean(0) - self.mean
        squares = self.variance * self.count + given.var(0, correction=0) * count
        squares += apart.square() * self.count * count / total
        self.mean += apart * count / total
        self.variance.copy_(squares / total)
        self.count.copy_(total)

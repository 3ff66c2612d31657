"""Policies of several discrete actions at once: choices (MultiDiscrete) and switches (MultiBinary).

Given the observation the parts are independent, as in stable-baselines3; what has to go together
is one choice of all combinations instead.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from metarl.nn.distributions import IMPOSSIBLE, Bernoulli, MultiCategorical
from metarl.nn.policies import Policy
from metarl.types import Params


class MultiCategoricalPolicy(Policy):
    """Network for the logits of G choices, those of a choice after those of the one before.

    Args:
        network: from observations ``[B, D]``, or ``[B, D + C]``, to logits ``[B, A]``, A the sum of
            ``sizes``; see :class:`~metarl.nn.Policy`.
        sizes: how many each choice is of, G.
        context_size: C, see :class:`~metarl.nn.Policy`.

    >>> from metarl.nn import policy_network
    >>> policy = MultiCategoricalPolicy(policy_network(4, 5), (3, 2))
    >>> params = {name: value[None] for name, value in policy.named_parameters()}
    >>> policy.distribution(params, torch.zeros(1, 7, 4)).logits.shape
    torch.Size([1, 7, 2, 3])
    """

    network_name = "logits"
    logits: nn.Module

    def __init__(self, network: nn.Module, sizes: Sequence[int], *, context_size: int = 0) -> None:
        super().__init__(network, sum(sizes), len(sizes), context_size)
        self.sizes = tuple(sizes)

    def distribution(self, params: Params, observations: Tensor) -> MultiCategorical:
        """Action distributions of ``[M, B, D]`` observations, logits ``[M, B, G, K]``."""
        return MultiCategorical(self._by_choice(self._outputs(params, observations)))

    def noise(self, shape: Sequence[int], rng: np.random.Generator) -> Tensor:
        """Standard Gumbel numbers, ``[*shape, A]``: the highest logit plus noise is a sample."""
        return torch.from_numpy(rng.gumbel(size=(*shape, self.num_outputs)).astype(np.float32))

    def noise_of(self, uniforms: Tensor) -> Tensor:
        """Standard Gumbel numbers, ``[..., A]``."""
        return -torch.log(-torch.log(uniforms))

    def act(self, params: Params, observations: Tensor, noise: Tensor) -> Tensor:
        """Indices of sampled choices as floats ``[M, B, G]``; zero noise gives the likeliest."""
        return self.distribution(params, observations).draw(noise)

    def _by_choice(self, logits: Tensor) -> Tensor:
        """Of the choices side by side ``[..., A]`` as ``[..., G, K]``."""
        widest = max(self.sizes)
        parts = torch.split(logits, list(self.sizes), -1)
        padded = [pad(part, (0, widest - part.shape[-1]), value=IMPOSSIBLE) for part in parts]
        return torch.stack(padded, -2)


class BernoulliPolicy(Policy):
    """Network for the log odds of A switches.

    Args:
        network: from observations ``[B, D]``, or ``[B, D + C]``, to log odds ``[B, A]``; see
            :class:`~metarl.nn.Policy`.
        num_switches: A.
        context_size: C, see :class:`~metarl.nn.Policy`.
    """

    network_name = "logits"
    logits: nn.Module

    def __init__(self, network: nn.Module, num_switches: int, *, context_size: int = 0) -> None:
        super().__init__(network, num_switches, num_switches, context_size)

    def distribution(self, params: Params, observations: Tensor) -> Bernoulli:
        """Action distributions of ``[M, B, D]`` observations, log odds ``[M, B, A]``."""
        return Bernoulli(self._outputs(params, observations))

    def noise(self, shape: Sequence[int], rng: np.random.Generator) -> Tensor:
        """Standard logistic numbers, ``[*shape, A]``: log odds plus noise above 0 are a sample."""
        return torch.from_numpy(rng.logistic(size=(*shape, self.num_outputs)).astype(np.float32))

    def noise_of(self, uniforms: Tensor) -> Tensor:
        """Standard logistic numbers, ``[..., A]``."""
        return torch.logit(uniforms)

    def act(self, params: Params, observations: Tensor, noise: Tensor) -> Tensor:
        """Sampled switches as floats ``[M, B, A]``; zero noise gives the likelier of both."""
        return self.distribution(params, observations).draw(noise)

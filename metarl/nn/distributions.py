"""Action distributions: what a policy says about every observation."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


class ActionDistribution(Protocol):
    """Parameters of the distributions of ``[...]`` actions, as a named tuple of tensors."""

    def __iter__(self) -> Iterator[Tensor]:
        """The tensors."""
        ...

    def draw(self, noise: Tensor) -> Tensor:
        """Actions by that noise ``[..., A]``; zero noise gives the likeliest."""
        ...

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log probability (density) of ``[..., A]`` actions, ``[...]``."""
        ...

    def kl_from(self, old: Any) -> Tensor:
        """KL(old || self), ``[...]``, the direction that TRPO bounds (Schulman et al. 2015)."""
        ...

    def fisher_product(self, tangent: Any, weights: Tensor) -> Any:
        """Weighted Fisher information times a tangent.

        The Hessian of the weighted sum of :meth:`kl_from` at ``old = self``.

        Args:
            tangent: of the shapes of the distribution's tensors.
            weights: of every distribution, ``[...]``.
        """
        ...

    def detach(self) -> Any:
        """The same numbers outside autograd."""
        ...


class Gaussian(NamedTuple):
    """Diagonal Gaussian over actions."""

    mean: Tensor
    """``[M, B, A]``."""
    log_std: Tensor
    """Log of the standard deviation, one for all steps of a task, ``[M, 1, A]``."""

    def draw(self, noise: Tensor) -> Tensor:
        """Actions ``[M, B, A]`` by standard normal noise; the mean if that is 0."""
        return self.mean + torch.exp(self.log_std) * noise

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log density of ``[M, B, A]``, **summed** over the action dimensions to ``[M, B]``."""
        standard = (actions - self.mean) * torch.exp(-self.log_std)
        return (-0.5 * standard.square() - self.log_std - HALF_LOG_TWO_PI).sum(-1)

    def kl_from(self, old: "Gaussian") -> Tensor:
        """KL(old || self), ``[M, B]``."""
        variance_ratio = torch.exp(2.0 * (old.log_std - self.log_std))
        shift = ((old.mean - self.mean) * torch.exp(-self.log_std)).square()
        log_ratio = self.log_std - old.log_std
        return (log_ratio + 0.5 * (variance_ratio + shift - 1.0)).sum(-1)

    def fisher_product(self, tangent: "Gaussian", weights: Tensor) -> "Gaussian":
        """Fisher information is 1/σ² for the mean and 2 for log σ."""
        steps = weights[..., None]
        return Gaussian(
            tangent.mean * torch.exp(-2.0 * self.log_std) * steps,
            2.0 * tangent.log_std * steps.sum(-2, keepdim=True),
        )

    def detach(self) -> "Gaussian":
        """The same numbers outside autograd."""
        return Gaussian(self.mean.detach(), self.log_std.detach())


class Categorical(NamedTuple):
    """One of A actions; as an action tensor its index, ``[M, B, 1]``."""

    logits: Tensor
    """``[M, B, A]``."""

    def draw(self, noise: Tensor) -> Tensor:
        """Indices as floats ``[M, B, 1]`` by standard Gumbel noise; the likeliest if that is 0."""
        return (self.logits + noise).argmax(-1, keepdim=True).to(self.logits.dtype)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log probability of the indices ``[M, B, 1]``, ``[M, B]``."""
        return self.logits.log_softmax(-1).gather(-1, actions.long()).squeeze(-1)

    def kl_from(self, old: "Categorical") -> Tensor:
        """KL(old || self), ``[M, B]``."""
        before, now = old.logits.log_softmax(-1), self.logits.log_softmax(-1)
        return (before.exp() * (before - now)).sum(-1)

    def fisher_product(self, tangent: "Categorical", weights: Tensor) -> "Categorical":
        """Fisher information of the logits is diag(p) - p pᵀ."""
        p = self.logits.softmax(-1)
        centred = tangent.logits - (p * tangent.logits).sum(-1, keepdim=True)
        return Categorical(p * centred * weights[..., None])

    def detach(self) -> "Categorical":
        """The same numbers outside autograd."""
        return Categorical(self.logits.detach())

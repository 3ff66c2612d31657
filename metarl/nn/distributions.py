"""Action distributions: what a policy says about every observation."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
IMPOSSIBLE = -1e9
"""A logit of what is never chosen: exp of it is 0, and unlike infinity it has differences."""


def log_cdf(x: Tensor) -> Tensor:
    """Log Φ(x) of the standard normal distribution, exact far out on both sides.

    So is its gradient, which ``torch.special.log_ndtr`` takes from a difference of numbers of x²:
    in single precision that is off by 3 % at -1,000.

    >>> log_cdf(torch.tensor([-100.0, 0.0]))
    tensor([-5.0055e+03, -6.9315e-01])
    """
    below, above = x.clamp(max=0.0), x.clamp(min=0.0)  # so that no branch that is not taken is NaN
    left = torch.log(0.5 * torch.special.erfcx(-below * math.sqrt(0.5))) - 0.5 * below.square()
    return torch.where(x < 0, left, torch.log1p(-0.5 * torch.erfc(above * math.sqrt(0.5))))


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

    def censored_log_prob(self, actions: Tensor, sides: Tensor) -> Tensor:
        """Log likelihood of actions that were clipped  (Tobin 1958), ``[M, B]``.

        Where one is at a bound all that is known of it is that it was there or beyond, and the mass
        beyond takes the place of the density. Its gradient is the mean of that of
        :meth:`log_prob` over the actions that may have been.

        Args:
            actions: ``[M, B, A]``, those at a bound being the bound.
            sides: 1 at the upper bound, -1 at the lower, 0 between them, ``[M, B, A]``.
        """
        standard = (actions - self.mean) * torch.exp(-self.log_std)
        density = -0.5 * standard.square() - self.log_std - HALF_LOG_TWO_PI
        return torch.where(sides == 0, density, log_cdf(-sides * standard)).sum(-1)

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


class MultiCategorical(NamedTuple):
    """G independent choices, each of at most K; as an action tensor their indices, ``[M, B, G]``.

    KL, log-probability and Fisher information of independent parts are sums over the parts.
    """

    logits: Tensor
    """``[M, B, G, K]``; :data:`IMPOSSIBLE` where a choice is of fewer than K."""

    def draw(self, noise: Tensor) -> Tensor:
        """Indices as floats ``[M, B, G]`` by Gumbel noise; the likeliest if that is 0.

        The noise is that of the choices side by side, without the impossible.
        """
        places = self.logits > IMPOSSIBLE
        shifts = torch.zeros_like(self.logits).masked_scatter(places, noise.to(self.logits))
        return (self.logits + shifts).argmax(-1).to(self.logits.dtype)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log probability of the indices ``[M, B, G]``, ``[M, B]``."""
        chosen = self.logits.log_softmax(-1).gather(-1, actions.long()[..., None])
        return chosen.squeeze(-1).sum(-1)

    def kl_from(self, old: "MultiCategorical") -> Tensor:
        """KL(old || self), ``[M, B]``."""
        return Categorical(self.logits).kl_from(Categorical(old.logits)).sum(-1)

    def fisher_product(self, tangent: "MultiCategorical", weights: Tensor) -> "MultiCategorical":
        """That of each choice: diag(p) - p pᵀ."""
        each = Categorical(self.logits), Categorical(tangent.logits)
        return MultiCategorical(each[0].fisher_product(each[1], weights[..., None]).logits)

    def detach(self) -> "MultiCategorical":
        """The same numbers outside autograd."""
        return MultiCategorical(self.logits.detach())


class Bernoulli(NamedTuple):
    """A independent switches; as an action tensor 0 or 1 each, ``[M, B, A]``."""

    logits: Tensor
    """Log odds of 1, ``[M, B, A]``."""

    def draw(self, noise: Tensor) -> Tensor:
        """Switches as floats by standard logistic noise; the likelier of both if that is 0."""
        return (self.logits + noise > 0).to(self.logits.dtype)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log probability of the switches ``[M, B, A]``, ``[M, B]``."""
        return logsigmoid(torch.where(actions > 0, self.logits, -self.logits)).sum(-1)

    def kl_from(self, old: "Bernoulli") -> Tensor:
        """KL(old || self), ``[M, B]``."""
        p = old.logits.sigmoid()
        on = p * (logsigmoid(old.logits) - logsigmoid(self.logits))
        off = (1.0 - p) * (logsigmoid(-old.logits) - logsigmoid(-self.logits))
        return (on + off).sum(-1)

    def fisher_product(self, tangent: "Bernoulli", weights: Tensor) -> "Bernoulli":
        """Fisher information of the log odds is p (1 - p)."""
        p = self.logits.sigmoid()
        return Bernoulli(p * (1.0 - p) * tangent.logits * weights[..., None])

    def detach(self) -> "Bernoulli":
        """The same numbers outside autograd."""
        return Bernoulli(self.logits.detach())

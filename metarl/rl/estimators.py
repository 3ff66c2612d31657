"""Inner objectives, by how they estimate the second derivative of the expected return.

All take log π(a_t|s_t) of the steps, a signal and weights, each ``[M, T, E]``, and give losses
``[M]``. At the parameters that sampled the steps their values differ and their first gradient is
the policy gradient, the same one where the signals agree (:func:`dice` differs by its discounting).
What the meta-gradient sees is their second gradient:

=============== ==================================== ========================================
estimator       second gradient (per step)           as an estimate of the return's Hessian
=============== ==================================== ========================================
first-order     none                                 0
log-likelihood  A ∇²log π                            biased: drops the sampling term
lvc             A (∇²log π + ∇log π ∇log πᵀ)         biased: drops what joins different steps
dice            of the probability of the past       unbiased, most variance
loaded-dice     the same with advantages             unbiased, less variance than dice
=============== ==================================== ========================================

Two objectives are called MAML. Where the inner gradient is the expected one (MAML as its theory has
it), ``dice`` and ``loaded-dice`` are unbiased. Where the adaptation to the sampled trajectories is
part of what is trained (E-MAML), the step is a plain function of them, whose derivative
``log-likelihood`` has exactly, and :func:`sampling_credit` adds the rest: that sum is unbiased.
``tests/rl/test_estimators.py`` shows all of this on enumerated MDPs, and measures each bias, on
trajectories of two steps and on those of up to three that actions can end. That of first-order is
20 and 8 % of the gradient's length for MAML, 25 and 26 % for E-MAML with the credit.

Unbiased are these sums with exact signals. What the learners give them
(:func:`metarl.rl.advantages.advantage_batch`) is divided by numbers of the same trajectories, their
steps and the scale of their advantages: the direction is that of the expected sum only as
trajectories become many. ``dice`` then follows the discounted return, whose baseline is of other
trajectories. The advantages of the others come from a baseline that is fitted to the same
trajectories, and are those of the return where λ and γ are 1; with γ below 1 they are not
discounted from the start on, as is usual, and with λ below 1 they lean on the baseline.
"""

from typing import Literal, Protocol

import torch
from torch import Tensor

Estimator = Literal["first-order", "log-likelihood", "lvc", "dice", "loaded-dice"]


class InnerLoss(Protocol):
    """Log-probabilities, signal and weights ``[M, T, E]`` to losses ``[M]``.

    ``sampled`` are log-probabilities of the policy that drew the actions, ``[M, T, E]``, where that
    is another: its steps, or trajectories up to them, then count by their probability ratios.
    """

    def __call__(
        self, log_probs: Tensor, signal: Tensor, weights: Tensor, sampled: Tensor | None = None, /
    ) -> Tensor:
        """``[M]``."""


def magic_box(x: Tensor, sampled: Tensor | None = None) -> Tensor:
    """exp(x - ⊥(x)): 1, with the derivatives of a probability  (Foerster et al. 2018, section 4).

    With the logarithm of another probability it is the ratio to that.

    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> magic_box(x).item(), torch.autograd.grad(magic_box(x), x)[0].item()
    (1.0, 1.0)
    """
    return torch.exp(x - (x.detach() if sampled is None else sampled))


def log_likelihood(
    log_probs: Tensor, advantages: Tensor, weights: Tensor, sampled: Tensor | None = None
) -> Tensor:
    """-E[Σ_t A_t log π(a_t|s_t)]  (Williams 1992; the loss of most public MAML code).

    Its second gradient drops Σ_t A_t ∇log π_t ∇log π_tᵀ and all terms between different steps: the
    change of the sampling distribution is not seen (Rothfuss et al. 2019, section 4). On the
    enumerated MDPs the meta-gradient of MAML is off by 48 and 36 % of its length, more than that of
    first order; that of E-MAML is exact with :func:`sampling_credit`, off by 43 and 27 % without.

    Args:
        log_probs: of the actions taken, ``[M, T, E]``.
        advantages: Â_t, ``[M, T, E]``.
        weights: of the steps, 0 for padding, ``[M, T, E]``.
        sampled: as of :class:`InnerLoss`.
    """
    if sampled is not None:
        weights = weights * torch.exp(log_probs.detach() - sampled)
    return -(log_probs * advantages * weights).sum((1, 2))


def lvc(
    log_probs: Tensor, advantages: Tensor, weights: Tensor, sampled: Tensor | None = None
) -> Tensor:
    """-E[Σ_t A_t π_t / ⊥(π_t)]: low-variance curvature  (Rothfuss et al. 2019, section 5).

    Its second gradient drops the terms between an action and earlier ones of its trajectory; their
    expectation falls to 0 towards a local optimum. Less variance than :func:`dice`. On the
    enumerated MDPs the meta-gradient of MAML is off by 3 and 10 % of its length, that of E-MAML
    with :func:`sampling_credit` by 35 and 28 %.

    Args:
        log_probs: of the actions taken, ``[M, T, E]``.
        advantages: Â_t, ``[M, T, E]``.
        weights: of the steps, 0 for padding, ``[M, T, E]``.
        sampled: as of :class:`InnerLoss`.
    """
    return -(magic_box(log_probs, sampled) * advantages * weights).sum((1, 2))


def dice(
    log_probs: Tensor, rewards: Tensor, weights: Tensor, sampled: Tensor | None = None
) -> Tensor:
    """-E[Σ_t □(Σ_{k≤t} log π_k) r_t]: all derivatives unbiased  (Foerster et al. 2018, section 4).

    So of MAML. That of E-MAML with :func:`sampling_credit`, which adapts to the sampled
    trajectories themselves, is off by 25 and 15 % on the enumerated MDPs.

    Args:
        log_probs: of the actions taken, ``[M, T, E]``, steps in their order.
        rewards: γ^t r_t, or with what depends on the time alone subtracted, in all T steps: what
            comes after an end counts at the last real step. ``[M, T, E]``.
        weights: of the steps, 0 for padding, ``[M, T, E]``.
        sampled: as of :class:`InnerLoss`.
    """
    past_sampled = None if sampled is None else sampled.cumsum(1)
    return -(magic_box(log_probs.cumsum(1), past_sampled) * rewards * weights).sum((1, 2))


def loaded_dice(
    log_probs: Tensor, advantages: Tensor, weights: Tensor, sampled: Tensor | None = None
) -> Tensor:
    """-E[Σ_t (□(w_t) - □(w_{t-1})) A_t], w_t = Σ_{k≤t} log π_k  (Farquhar et al. 2019, section 4).

    The paper's λ is 1 here: 0 would be :func:`lvc`. All derivatives are unbiased if A_t is an
    unbiased advantage of any baseline that depends on the state only. For E-MAML as :func:`dice`.

    Args:
        log_probs: of the actions taken, ``[M, T, E]``, steps in their order.
        advantages: Â_t, ``[M, T, E]``.
        weights: of the steps, 0 for padding, ``[M, T, E]``.
        sampled: as of :class:`InnerLoss`.
    """
    past_and_now = log_probs.cumsum(1)
    sampled = log_probs.detach() if sampled is None else sampled
    both = sampled.cumsum(1)
    change = magic_box(past_and_now, both) - magic_box(past_and_now - log_probs, both - sampled)
    return -(change * advantages * weights).sum((1, 2))


INNER_LOSSES: dict[Estimator, InnerLoss] = {
    "first-order": log_likelihood,  # differentiated once
    "log-likelihood": log_likelihood,
    "lvc": lvc,
    "dice": dice,
    "loaded-dice": loaded_dice,
}


TRAJECTORY_WISE: tuple[Estimator, ...] = ("dice", "loaded-dice")
"""Those that need the steps of a trajectory in their order."""


def sampling_credit(log_probs: Tensor, scores: Tensor, mask: Tensor) -> Tensor:
    """-Σ_{t,e} log π(a_t|s_t) R': credit of the trajectories before adaptation, ``[M]``.

    The term that E-MAML adds to the outer loss (Stadie et al. 2018; Al-Shedivat et al. 2018): the
    pre-adaptation policy also answers for which trajectories it adapts to. All trajectories of a
    task share the outcome, so their log-probabilities add up.

    Args:
        log_probs: of the actions taken before adaptation, ``[M, T, E]``.
        scores: outcome after adaptation, minus anything that these trajectories do not decide,
            ``[M]``; constants.
        mask: 1 for real steps, 0 for padding, ``[M, T, E]``.
    """
    return -(log_probs * mask).sum((1, 2)) * scores

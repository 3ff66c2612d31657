"""What the adapted policies are judged by: a surrogate return, PPO's clipped one, or Reptile's way.

E-MAML's credit can be added to the first two.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from metarl.configs import STRICT, NonNegative, Positive
from metarl.core import (
    SGD,
    GradientRule,
    InnerRule,
    parameters_of,
    reptile_loss,
    second_derivatives,
)
from metarl.nn import ActionDistribution, Policy
from metarl.rl.estimators import Estimator, sampling_credit
from metarl.rl.experience import Experience
from metarl.rl.losses import clipped_loss, mean_kl, surrogate_loss
from metarl.rl.meta_problem import Acting, MetaGradient, MetaProblem, Objective, OuterStep, at_least
from metarl.rl.rollout import AdvantageBatch
from metarl.types import Params


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LossObjective(Objective, ABC):
    """Objectives that are losses of the adapted policies, differentiated through adaptation."""

    credit_weight: NonNegative = 0.0
    """Of E-MAML's credit of the pre-adaptation trajectories for the outcome; 0 leaves it out."""

    @abstractmethod
    def query_losses(
        self, new: ActionDistribution, old: ActionDistribution, query: AdvantageBatch
    ) -> Tensor:
        """Of every task, ``[M]``; ``old`` is a constant, the adapted policy that acted."""

    @property
    def needs_supports(self) -> bool:
        """Whether it looks at the policies before adaptation."""
        return self.credit_weight > 0 or self.inner_importance_weights

    def check_batch(self, num_tasks: int, num_trajectories: int, horizon: int) -> None:
        """As of every objective; the credit needs tasks to compare, too."""
        super().check_batch(num_tasks, num_trajectories, horizon)
        if self.credit_weight > 0:
            at_least(2, num_tasks, "meta_batch_size", "E-MAML's credit compares tasks")

    def losses(
        self, new: list[ActionDistribution], old: list[ActionDistribution], experience: Experience
    ) -> Tensor:
        """Of every task, ``[M]``; ``old`` is what ``new`` was at first."""
        losses = self.query_losses(new[-1], old[-1], experience.query)
        if self.credit_weight > 0:
            losses = losses + self.credit_weight * _credit(new, experience)
        return losses

    def gradient(self, problem: MetaProblem, old: Acting | None = None) -> MetaGradient:
        """Through adaptation, one chunk after another."""
        tensors = problem.theta.tensors()
        total = torch.zeros_like(parameters_to_vector(tensors)).detach()
        losses, acting = [], []
        for i, chunk in enumerate(problem.chunks):
            before = None if old is None else old[i]
            new = problem.distributions(
                problem.theta, chunk, supports=self.needs_supports, old=before
            )
            acting.append([one.detach() for one in new])
            before = before or acting[-1]
            chunk_loss = self.losses(new, before, chunk).sum() / problem.num_tasks
            with second_derivatives():
                total += parameters_to_vector(torch.autograd.grad(chunk_loss, tensors))
            losses.append(chunk_loss.detach())
        loss, total = problem.total(torch.stack(losses), total)
        return MetaGradient(loss, total, acting, {})


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Surrogate(LossObjective):
    """The return of the adapted policies, by importance weights.

    At the parameters that collected the data, its gradient is the policy gradient.
    """

    def query_losses(
        self, new: ActionDistribution, old: ActionDistribution, query: AdvantageBatch
    ) -> Tensor:
        """-E[r A]."""
        return surrogate_loss(new, old, query)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ClippedSurrogate(LossObjective):
    """The same with clipped weights (PPO), and a penalty on the policies before adaptation (ProMP).

    At the old parameters the ratios are 1 and the KL is flat: its gradient is that of
    :class:`Surrogate`.
    """

    clip: Positive = 0.3
    """ε, how far the probability ratio of the adapted policies counts."""
    inner_kl: NonNegative = 0.0
    """η, weight of the mean KL between old and new policies before adaptation (ProMP)."""

    @property
    def needs_supports(self) -> bool:
        """Whether it looks at the policies before adaptation."""
        return self.inner_kl > 0 or super().needs_supports

    def query_losses(
        self, new: ActionDistribution, old: ActionDistribution, query: AdvantageBatch
    ) -> Tensor:
        """-E[min(r A, clip(r) A)]."""
        return clipped_loss(new, old, query, self.clip)

    def losses(
        self, new: list[ActionDistribution], old: list[ActionDistribution], experience: Experience
    ) -> Tensor:
        """With the penalty."""
        losses = super().losses(new, old, experience)
        if self.inner_kl > 0:
            losses = losses + self.inner_kl * mean_inner_kl(new, old, experience)
        return losses


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ReptileDirection(Objective):
    """Σ_k g_k, what the steps of adaptation descended (Nichol et al. 2018, section 2).

    That is (θ - θ'_m) / α, averaged over the tasks; no second derivatives. The trajectories of the
    adapted policy make one more step, so that all that is collected counts. The few-shot learner
    goes the same way θ - θ'_m, but undivided, by plain descent, and its steps take mini-batches of
    support and query, where these take fresh trajectories.
    """

    estimator: Estimator = "first-order"
    """There are no second derivatives."""
    lr: NonNegative = 0.1
    """α of the last step, and what the way is divided by. At 0 a last step of 1 gives it."""

    def gradient(self, problem: MetaProblem, old: Acting | None = None) -> MetaGradient:
        """The mean direction; the loss is the surrogate's."""
        tensors, size = problem.theta.tensors(), self.lr or 1.0
        total = torch.zeros_like(parameters_to_vector(tensors)).detach()
        losses: list[Tensor] = []
        acting: Acting = []
        for chunk in problem.chunks:
            start = problem.start(problem.theta, chunk)
            with torch.no_grad():
                adapted = self.adapt(problem.policy, problem.rule, start, chunk.supports)
                query = problem.policy.distribution(adapted, chunk.query.observations)
                last = self.adapt(problem.policy, SGD(size), adapted, [chunk.query])
            acting.append([query])
            losses.append(surrogate_loss(query, query, chunk.query).sum())
            ways = torch.autograd.grad(reptile_loss(start, last).sum(), tensors)
            total += parameters_to_vector(ways) / (problem.num_tasks * size)
        loss, total = problem.total(torch.stack(losses), total)
        distance = float(total.norm()) * self.lr
        return MetaGradient(loss / problem.num_tasks, total, acting, {"meta/distance": distance})


def mean_inner_kl(
    new: list[ActionDistribution], old: list[ActionDistribution], experience: Experience
) -> Tensor:
    """Mean KL between old and new policies before adaptation, over the inner steps; ``[M]``."""
    steps = list(zip(new[:-1], old[:-1], experience.supports[: len(new) - 1], strict=True))
    if not steps:
        return torch.zeros_like(experience.scores)
    return torch.stack([mean_kl(*step) for step in steps]).mean(0)


def _credit(new: list[ActionDistribution], experience: Experience) -> Tensor:
    """E-MAML's term, divided by the steps of a trajectory as the surrogate is; ``[M]``."""
    query = experience.query
    total = torch.zeros_like(experience.scores)
    for distribution, batch in zip(new[:-1], experience.supports, strict=True):
        log_probs = batch.by_time(distribution.log_prob(batch.actions))
        mask = batch.by_time(batch.weights > 0)
        total = total + sampling_credit(log_probs, experience.scores, mask)
    real = query.by_time(query.weights > 0)
    return total * real.any(1).sum(1) / real.sum((1, 2)).clamp(min=1)


def checked_parts(
    policy: Policy, rule: InnerRule[Any], objective: Objective, outer_step: OuterStep, steps: int
) -> tuple[InnerRule[Any], Params]:
    """The rule for the policy and what it wants meta-learned.

    Raises:
        ValueError: unless the parts go together.
    """
    mask = rule.mask if isinstance(rule, GradientRule) else None
    context_alone = mask is not None and set(mask) == {"context"}
    if isinstance(rule, GradientRule) and context_alone != (policy.context_size > 0):
        wanted = "above 0 where the context alone adapts, and 0 elsewhere"
        raise ValueError(f"context_size must be {wanted}, got {policy.context_size}")
    own = parameters_of(policy)
    rule = rule.leaving_frozen({name: own[name] for name in own if name != "context"})
    learned = rule.meta_parameters(own)
    least = 1 if learned else 0
    if steps < least:
        raise ValueError(f"num_inner_steps must be at least {least} for this rule, got {steps}")
    if rule.first_order != (objective.estimator == "first-order"):
        both = f"{objective.estimator} and a rule whose first_order is {rule.first_order}"
        raise ValueError(f"first-order rules go with the estimator first-order alone, got {both}")
    if not isinstance(objective, outer_step.judged_by):
        wanted, given = outer_step.judged_by.__name__, type(objective).__name__
        raise ValueError(f"{type(outer_step).__name__} needs a {wanted}, got {given}")
    plain = mask is None and not learned and rule.first_order
    if isinstance(objective, ReptileDirection) and not plain:
        raise ValueError("Reptile needs a first-order inner rule that moves all and learns nothing")
    return rule, learned

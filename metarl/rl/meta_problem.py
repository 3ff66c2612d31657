"""A meta-batch as a function of the meta-parameters, and the two parts that work on it.

An :class:`Objective` says what the adapted policies are judged by, and gives its gradient. An
:class:`OuterStep` moves the meta-parameters by it. Both see a :class:`MetaProblem`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from pydantic.dataclasses import dataclass as checked
from torch import Tensor

from metarl.configs import STRICT, UnitInterval
from metarl.core import (
    InnerRule,
    MetaParameters,
    adapt,
    adaptation_path,
    expand,
    inner_step,
    parameters_of,
)
from metarl.core.collectives import Part, summed
from metarl.nn import ActionDistribution, Policy
from metarl.rl.estimators import Estimator
from metarl.rl.experience import Experience
from metarl.rl.losses import inner_loss
from metarl.rl.rollout import AdvantageBatch
from metarl.types import Metrics, Params

Acting = list[list[ActionDistribution]]
"""Of every chunk, what :meth:`MetaProblem.distributions` gave."""
Support = AdvantageBatch | Callable[[Params], AdvantageBatch]
"""What a step of adaptation takes, or what makes it from the parameters so far."""
State = dict[str, Any]
"""What an outer step remembers: tensors and plain data, as a checkpoint keeps them."""


class MetaGradient(NamedTuple):
    """An outer objective and its gradient at the current meta-parameters."""

    loss: float
    """Mean loss of the adapted policies."""
    gradient: Tensor
    """``[P]``, in the order of :meth:`metarl.core.MetaParameters.tensors`."""
    acting: Acting
    """The policies that it was taken at, outside autograd."""
    metrics: Metrics
    """What the objective reports besides."""

    def is_finite(self) -> bool:
        """Whether an update may use it."""
        return bool(np.isfinite(self.loss) and torch.isfinite(self.gradient).all())


@checked(frozen=True, kw_only=True, config=STRICT)
class Objective(ABC):
    """What adaptation descends, and what the adapted policies are judged by."""

    estimator: Estimator = "lvc"
    """How the inner objective estimates second derivatives; see :mod:`metarl.rl.estimators`."""
    gae_lambda: UnitInterval = 0.95
    """λ of the advantages."""
    inner_importance_weights: bool = False
    """Where the parameters have moved since the supports were sampled, weigh these by probability
    ratios to the policies that sampled them, as ProMP does (Rothfuss et al. 2019, section 6);
    without, adaptation takes them for its own."""

    def inner_loss(self, policy: Policy, params: Params, batch: AdvantageBatch) -> Tensor:
        """What adaptation descends, ``[M]``."""
        return inner_loss(policy.distribution(params, batch.observations), batch, self.estimator)

    def adapt(
        self, policy: Policy, rule: InnerRule[Any], start: Params, supports: Sequence[Support]
    ) -> Params:
        """Task-batched parameters of a policy after a step on each support.

        Args:
            policy: which keeps its parameters within bounds.
            rule: how it adapts, with its learned values.
            start: parameters ``[M, *shape]``.
            supports: batches, or functions that make them, as in :func:`metarl.core.adapt`.
        """
        return adapt(rule, partial(self.inner_loss, policy), start, supports, policy.within_bounds)

    def adapt_further(
        self,
        policy: Policy,
        rule: InnerRule[Any],
        params: Params,
        support: AdvantageBatch,
        state: Any,
    ) -> tuple[Params, Any]:
        """One step of :meth:`adapt` from parameters and state of the rule, and both after it."""
        loss = partial(self.inner_loss, policy)
        return inner_step(rule, loss, params, support, state, policy.within_bounds)

    @abstractmethod
    def gradient(self, problem: "MetaProblem", old: Acting | None = None) -> MetaGradient:
        """Outer loss and gradient at the current meta-parameters.

        Args:
            problem: the meta-batch.
            old: the policies that acted, where the parameters have moved since.
        """

    def check_batch(self, num_tasks: int, num_trajectories: int, horizon: int) -> None:
        """:class:`ValueError` where training would learn nothing from such a meta-batch."""
        self.check_trajectories(num_trajectories, horizon)

    def check_trajectories(self, num_trajectories: int, horizon: int) -> None:
        """:class:`ValueError` where all advantages would be 0 for want of others."""
        if self.estimator == "dice":
            reason = "dice compares a task's trajectories at each time (lvc and loaded-dice need 1)"
            at_least(2, num_trajectories, "num_trajectories", reason)
        if horizon == 1:
            reason = "advantages compare a task's steps, and the horizon is 1"
            at_least(2, num_trajectories, "num_trajectories", reason)


@dataclass(frozen=True)
class MetaProblem:
    """What objectives and outer steps see."""

    policy: Policy
    """The network that adapts."""
    rule: InnerRule[Any]
    """How it adapts; takes ``theta.rule``."""
    objective: Objective
    """What is minimised."""
    theta: MetaParameters
    """The meta-parameters themselves: whoever writes into them moves the learner."""
    chunks: list[Experience]
    """The meta-batch, in parts that are differentiated at once."""
    part: Part | None = None
    """Which of the tasks of all processes these are; by default there are no others."""

    @property
    def num_tasks(self) -> int:
        """M of all chunks, of all processes."""
        if self.part is not None:
            return self.part.total
        return sum(len(chunk.query.weights) for chunk in self.chunks)

    def summed(self, *tensors: Tensor) -> list[Tensor]:
        """Sums over processes of what are sums over their tasks."""
        return list(tensors) if self._is_all else summed(*tensors)

    def total(self, losses: Tensor, gradient: Tensor) -> tuple[float, Tensor]:
        """The sum of the losses of chunks, and of gradients, over all processes."""
        if self._is_all:
            total: float = sum(losses.tolist())  # read once, after all is on its way
            return total, gradient
        gradient, loss = summed(gradient, losses.sum())
        return float(loss), gradient

    def rows(self, *values: Tensor) -> list[Tensor]:
        """Of the tasks of all processes ``[M]``, from those of its own."""
        return list(values) if self.part is None else self.part.rows(*values)

    @property
    def _is_all(self) -> bool:
        return self.part is None or self.part.is_all

    def start(self, theta: MetaParameters, experience: Experience) -> Params:
        """Task-batched parameters before adaptation, ``[M, *shape]``."""
        return expand(parameters_of(self.policy) | theta.network, len(experience.query.weights))

    def distributions(
        self,
        theta: MetaParameters,
        experience: Experience,
        *,
        supports: bool = False,
        old: Sequence[ActionDistribution] | None = None,
    ) -> list[ActionDistribution]:
        """Actions of the adapted policies on the query.

        With ``supports`` those on each support come before it, by the policies that adapt to it.
        ``old`` are all of these at the parameters that sampled, where ``theta`` are others.
        """
        if old is not None and self.objective.inner_importance_weights:
            experience = experience.sampled_by(old)
        acting: list[ActionDistribution] = []

        def loss(params: Params, batch: AdvantageBatch) -> Tensor:
            acting.append(self.policy.distribution(params, batch.observations))
            return inner_loss(acting[-1], batch, self.objective.estimator)

        start, rule = self.start(theta, experience), self.rule.at(theta.rule)
        path = adaptation_path(rule, loss, start, experience.supports, self.policy.within_bounds)
        adapted = self.policy.distribution(path[-1], experience.query.observations)
        if not supports:
            return [adapted]
        # first-order gradients have used up the graphs, and a rule may look at a loss twice
        if rule.first_order or len(acting) != len(experience.supports):
            before = zip(path[:-1], experience.supports, strict=True)
            acting = [self.policy.distribution(theta, b.observations) for theta, b in before]
        return [*acting, adapted]

    def gradient(self, old: Acting | None = None) -> MetaGradient:
        """Of the objective; see :meth:`Objective.gradient`."""
        return self.objective.gradient(self, old)


class OuterStep(ABC):
    """How one meta-batch moves the meta-parameters.

    One of your own subclasses this; ``step`` is enough.
    """

    judged_by: ClassVar[type] = Objective
    """What it works with."""
    step_metrics: ClassVar[tuple[str, ...]] = ()
    """Keys that :meth:`step` reports."""

    def init(self, theta: MetaParameters) -> State:
        """The state before the first step; nothing here."""
        return {}

    @abstractmethod
    def step(self, problem: MetaProblem, meta: MetaGradient, state: State) -> tuple[Metrics, State]:
        """Move ``problem.theta`` in place.

        Args:
            problem: the meta-batch.
            meta: loss and gradient at the current meta-parameters; finite.
            state: of the step before.

        Returns:
            What to report under :attr:`step_metrics`, and the state after the step.
        """


def at_least(least: int, given: int, name: str, reason: str) -> None:
    """:class:`ValueError` that names what there are too few of, and why."""
    if given < least:
        raise ValueError(f"{name} must be at least {least}, got {given}: {reason}")

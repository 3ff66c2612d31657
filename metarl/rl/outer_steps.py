"""Outer steps by Adam, and none; :mod:`metarl.rl.trust_region` has another."""

from typing import ClassVar

import torch
from pydantic import InstanceOf
from pydantic.dataclasses import dataclass

from metarl.configs import STRICT, Count, Positive
from metarl.core import MetaParameters
from metarl.rl.losses import mean_kl, ratio
from metarl.rl.meta_problem import Acting, MetaGradient, MetaProblem, OuterStep, State
from metarl.rl.objectives import ClippedSurrogate, mean_inner_kl
from metarl.types import Metrics


@dataclass(frozen=True, config=STRICT)
class NoStep(OuterStep):
    """Leaves the meta-parameters as they are; a control."""

    def step(self, problem: MetaProblem, meta: MetaGradient, state: State) -> tuple[Metrics, State]:
        """Nothing."""
        return {}, state


@dataclass(frozen=True, config=STRICT)
class Adam(OuterStep):
    """One step of Adam on the meta-gradient (Kingma and Ba 2015)."""

    lr: Positive = 1e-3
    """Step size β."""

    def init(self, theta: MetaParameters) -> State:
        """No moments yet."""
        state: State = torch.optim.Adam(theta.tensors(), lr=self.lr).state_dict()
        return state

    def step(self, problem: MetaProblem, meta: MetaGradient, state: State) -> tuple[Metrics, State]:
        """Along the gradient."""
        parameters = problem.theta.tensors()
        optimiser = torch.optim.Adam(parameters, lr=self.lr)
        optimiser.load_state_dict(state)
        gradients = problem.theta.proposed(meta.gradient).tensors()
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return {}, optimiser.state_dict()


@dataclass(frozen=True, config=STRICT)
class ClippedEpochs(OuterStep):
    """Several steps on the clipped objective of one meta-batch.

    The first needs no further pass: its gradient is the one that is given.
    """

    around: InstanceOf[OuterStep]
    """What a step is."""
    num_epochs: Count = 5
    """How many on one meta-batch."""
    kl_stop: Positive | None = None
    """Mean KL from the policies that acted to the adapted ones beyond which no epoch follows."""

    judged_by: ClassVar[type] = ClippedSurrogate
    step_metrics: ClassVar[tuple[str, ...]] = ("meta/kl", "meta/inner_kl", "meta/clipped")

    def init(self, theta: MetaParameters) -> State:
        """That of a step."""
        return self.around.init(theta)

    def step(self, problem: MetaProblem, meta: MetaGradient, state: State) -> tuple[Metrics, State]:
        """All epochs; a gradient that is not finite ends them."""
        last = meta
        _, state = self.around.step(problem, meta, state)
        for _ in range(self.num_epochs - 1):
            later = problem.gradient(meta.acting)
            if not later.is_finite():
                break
            last = later
            if self.kl_stop is not None and _query_kl(problem, last, meta) > self.kl_stop:
                break
            _, state = self.around.step(problem, later, state)
        return self._change(problem, last.acting, meta.acting), state

    def _change(self, problem: MetaProblem, acting: Acting, acted: Acting) -> Metrics:
        """How far the policies had moved when the last gradient was taken."""
        assert isinstance(problem.objective, ClippedSurrogate)
        kl, inner, clipped = [], [], []
        for chunk, new, old in zip(problem.chunks, acting, acted, strict=True):
            query = chunk.query
            outside = (ratio(new[-1], old[-1], query) - 1).abs() > problem.objective.clip
            kl.append(mean_kl(new[-1], old[-1], query))
            inner.append(mean_inner_kl(new, old, chunk))
            clipped.append((outside * query.weights).sum(1))
        columns = problem.rows(*(torch.cat(column) for column in (kl, inner, clipped)))
        return dict(zip(self.step_metrics, (float(c.mean()) for c in columns), strict=True))


def _query_kl(problem: MetaProblem, new: MetaGradient, old: MetaGradient) -> float:
    """Mean KL between the adapted policies of two gradients."""
    pairs = zip(problem.chunks, new.acting, old.acting, strict=True)
    own = torch.cat([mean_kl(a[-1], b[-1], chunk.query) for chunk, a, b in pairs])
    return float(problem.rows(own)[0].mean())

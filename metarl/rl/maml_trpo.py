"""``maml-trpo``: MAML with a trust-region outer step (Finn et al. 2017, section 5.3)."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from metarl.core import parameters_of
from metarl.nn.policies import GaussianPolicy
from metarl.rl.estimators import TRAJECTORY_WISE, Estimator
from metarl.rl.experience import Experience
from metarl.rl.learner import MAMLConfig, MAMLLearner, MetaGradient
from metarl.rl.losses import mean_kl
from metarl.rl.sampler import Sampler
from metarl.rl.trust_region import (
    Candidate,
    Product,
    TrustRegion,
    fisher_product,
    trust_region_step,
)
from metarl.types import Metrics


@dataclass(frozen=True, kw_only=True)
class MAMLTRPOConfig(MAMLConfig):
    """MAML with a trust-region outer step (Finn et al. 2017)."""

    max_kl: float = 0.01
    """Trust region δ: largest mean KL between old and new adapted policies, in nats."""
    cg_iterations: int = 10
    """Conjugate-gradient iterations for the direction."""
    cg_damping: float = 1e-5
    """Added to the diagonal of the Fisher matrix."""
    fisher_stride: int = 9
    """The Fisher matrix is estimated on every n-th step; the line search uses all of them.
    Raised to the next number coprime to the trajectories a task, so that all of them count."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.max_kl > 0:
            raise ValueError(f"max_kl must be above 0, got {self.max_kl}")
        if self.cg_iterations < 1:
            raise ValueError(f"cg_iterations must be at least 1, got {self.cg_iterations}")
        if not self.cg_damping >= 0:
            raise ValueError(f"cg_damping must be at least 0, got {self.cg_damping}")
        if self.fisher_stride < 1:
            raise ValueError(f"fisher_stride must be at least 1, got {self.fisher_stride}")


@dataclass(frozen=True, kw_only=True)
class FOMAMLConfig(MAMLTRPOConfig):
    """First-order MAML: inner gradients are treated as constants (Finn et al. 2017)."""

    estimator: Estimator = "first-order"
    """How the inner objective estimates second derivatives."""


@dataclass(frozen=True, kw_only=True)
class EMAMLConfig(MAMLTRPOConfig):
    """E-MAML: what is sampled before adaptation answers for the outcome (Stadie et al. 2018)."""

    estimator: Estimator = "log-likelihood"
    """How the inner objective estimates second derivatives; this one is exact with the credit."""
    sampling_credit: bool = True
    """Add the credit of the pre-adaptation trajectories."""


class MAMLTRPO(MAMLLearner):
    """Meta-learner whose outer step stays in a trust region of the adapted policies.

    Args:
        policy: the policy whose parameters are meta-learned.
        sampler: rolls out the meta-batch.
        config: numbers of the algorithm.
        seed: of everything random in it.
    """

    step_metrics: ClassVar[tuple[str, ...]] = (
        "meta/kl",
        "meta/improvement",
        "meta/backtracks",
        "meta/accepted",
    )

    def __init__(
        self, policy: GaussianPolicy, sampler: Sampler, config: MAMLTRPOConfig, *, seed: int
    ) -> None:
        super().__init__(policy, sampler, config, seed=seed)
        self.trpo = config

    def _outer_step(self, chunks: list[Experience], meta: MetaGradient) -> Metrics:
        parameters = list(self.policy.parameters())
        start = Candidate(meta.loss, 0.0)
        step = trust_region_step(
            parameters_to_vector(parameters).detach(),
            start,
            meta.gradient,
            self._fisher(chunks),
            lambda vector: self._candidate(vector, chunks, meta),
            TrustRegion(max_kl=self.trpo.max_kl, cg_iterations=self.trpo.cg_iterations),
        )
        vector_to_parameters(step.parameters, parameters)
        return {
            "meta/kl": step.candidate.kl,
            "meta/improvement": start.loss - step.candidate.loss,
            "meta/backtracks": float(step.backtracks),
            "meta/accepted": float(step.accepted),
        }

    def _fisher(self, chunks: list[Experience]) -> Product:
        """Fisher matrix of the adapted policies, on a part of the steps of all tasks at once."""
        stride = self.trpo.fisher_stride
        while math.gcd(stride, self.sampler.num_trajectories) > 1:
            stride += 1
        stepwise = self.config.estimator not in TRAJECTORY_WISE
        parts = [chunk.thin(stride, supports=stepwise) for chunk in chunks]
        thinned = Experience.concatenate(parts)
        theta = parameters_of(self.policy)
        weights = thinned.query.weights / self._num_tasks(chunks)
        return fisher_product(
            self._adapted(theta, thinned),
            weights,
            list(theta.values()),
            damping=self.trpo.cg_damping,
        )

    def _candidate(self, vector: Tensor, chunks: list[Experience], meta: MetaGradient) -> Candidate:
        """True surrogate and KL of candidate parameters, on all steps."""
        theta = parameters_of(self.policy)
        sizes = [value.numel() for value in theta.values()]
        pieces = zip(theta.items(), torch.split(vector, sizes), strict=True)
        proposal = {name: piece.view_as(value) for (name, value), piece in pieces}
        losses, divergences = [], []
        with torch.no_grad():
            for chunk, old in zip(chunks, meta.old, strict=True):
                new = self._distributions(proposal, chunk, supports=self._needs_supports)
                losses.append(self._outer_losses(new, old, chunk))
                divergences.append(mean_kl(new[-1], old[-1], chunk.query))
        return Candidate(torch.cat(losses).mean().item(), torch.cat(divergences).mean().item())

    def _optimiser_state(self) -> dict[str, Any]:
        return {}

    def _load_optimiser_state(self, state: dict[str, Any]) -> None:
        if state:
            raise ValueError("a trust-region learner has no optimiser state, but some was given")

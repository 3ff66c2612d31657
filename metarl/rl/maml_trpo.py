"""``maml-trpo``: MAML with a trust-region outer step (Finn et al. 2017, section 5.3)."""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from metarl.nn import Policy
from metarl.rl.configs import TrustRegionConfig
from metarl.rl.estimators import TRAJECTORY_WISE
from metarl.rl.experience import Experience
from metarl.rl.learner import MAMLLearner, MetaGradient
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
        self, policy: Policy, sampler: Sampler, config: TrustRegionConfig, *, seed: int
    ) -> None:
        super().__init__(policy, sampler, config, seed=seed)
        self.trpo = config

    def _outer_step(self, chunks: list[Experience], meta: MetaGradient) -> Metrics:
        parameters = list(self.adaptation.meta_parameters().values())
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
        theta = self._theta()
        weights = thinned.query.weights / self._num_tasks(chunks)
        return fisher_product(
            self._adapted(theta, thinned),
            weights,
            list(theta.values()),
            damping=self.trpo.cg_damping,
        )

    def _candidate(self, vector: Tensor, chunks: list[Experience], meta: MetaGradient) -> Candidate:
        """True surrogate and KL of candidate parameters, on all steps."""
        theta = self._theta()
        sizes = [value.numel() for value in theta.values()]
        pieces = zip(theta.items(), torch.split(vector, sizes), strict=True)
        proposal = {name: piece.view_as(value) for (name, value), piece in pieces}
        losses, divergences = [], []
        with torch.no_grad():
            for chunk, old in zip(chunks, meta.acting, strict=True):
                new = self._distributions(proposal, chunk, supports=self._needs_supports)
                losses.append(self._outer_losses(new, old, chunk))
                divergences.append(mean_kl(new[-1], old[-1], chunk.query))
        return Candidate(torch.cat(losses).mean().item(), torch.cat(divergences).mean().item())

    def _optimiser_state(self) -> dict[str, Any]:
        return {}

    def _load_optimiser_state(self, state: dict[str, Any]) -> None:
        if state:
            raise ValueError("a trust-region learner has no optimiser state, but some was given")

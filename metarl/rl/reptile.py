"""``reptile``: move towards where plain policy gradient on each task leads (Nichol et al. 2018)."""

from typing import ClassVar

import torch
from torch.nn.utils import parameters_to_vector

from metarl.core import adaptation_path
from metarl.nn import ActionDistribution
from metarl.rl.experience import Experience
from metarl.rl.learner import MetaGradient
from metarl.rl.losses import surrogate_loss
from metarl.rl.maml_vpg import MAMLVPG
from metarl.types import Metrics


class Reptile(MAMLVPG):
    """Meta-learner whose gradient is Σ_k g_k, what the steps of adaptation descended.

    That is (θ - θ'_m) / α, averaged over the tasks, and goes into Adam (section 2 of the paper).
    The trajectories of the adapted policy make one more step, so that all that is collected counts.

    Args:
        policy: the policy whose parameters are meta-learned.
        sampler: rolls out the meta-batch.
        config: numbers of the algorithm.
        seed: of everything random in it.
    """

    step_metrics: ClassVar[tuple[str, ...]] = ("meta/distance",)

    def _meta_gradient(
        self, chunks: list[Experience], old: list[list[ActionDistribution]] | None = None
    ) -> MetaGradient:
        num_tasks, step_size = self._num_tasks(chunks), self.config.inner_lr
        total = torch.zeros_like(parameters_to_vector(self._theta().values())).detach()
        loss = 0.0
        acting: list[list[ActionDistribution]] = []
        with torch.no_grad():
            for chunk in chunks:
                path = adaptation_path(
                    self.inner_loss,
                    self.adaptation.start(len(chunk.query.weights)),
                    chunk.batches,
                    # at a step size of 0, a last one of 1 gives the direction
                    lr=[*self.adaptation.lr(len(chunk.supports)), step_size or 1.0],
                )
                query = self.policy.distribution(path[-2], chunk.query.observations)
                acting.append([query])
                loss += surrogate_loss(query, query, chunk.query).sum().item()
                ways = [(path[0][name] - path[-1][name]).sum(0) for name in self._theta()]
                total += parameters_to_vector(ways) / (num_tasks * (step_size or 1.0))
        return MetaGradient(loss / num_tasks, total, acting)

    def _outer_step(self, chunks: list[Experience], meta: MetaGradient) -> Metrics:
        super()._outer_step(chunks, meta)
        return {"meta/distance": float(meta.gradient.norm()) * self.config.inner_lr}

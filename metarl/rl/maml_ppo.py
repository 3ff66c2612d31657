"""``maml-ppo`` and ``promp``: several Adam steps on the clipped objective of one meta-batch."""

from typing import ClassVar

import torch
from torch import Tensor

from metarl.nn import ActionDistribution, Policy
from metarl.rl.configs import MAMLPPOConfig
from metarl.rl.experience import Experience
from metarl.rl.learner import MetaGradient
from metarl.rl.losses import clipped_loss, mean_kl, ratio
from metarl.rl.maml_vpg import MAMLVPG
from metarl.rl.rollout import AdvantageBatch
from metarl.rl.sampler import Sampler
from metarl.types import Metrics


class MAMLPPO(MAMLVPG):
    """Meta-learner that takes several steps on a clipped objective.

    The first step needs no further pass: at the old parameters the ratios are 1 and the KL is flat,
    so its gradient is the meta-gradient.

    Args:
        policy: the policy whose parameters are meta-learned.
        sampler: rolls out the meta-batch.
        config: numbers of the algorithm.
        seed: of everything random in it.
    """

    step_metrics: ClassVar[tuple[str, ...]] = ("meta/kl", "meta/inner_kl", "meta/clipped")

    def __init__(
        self, policy: Policy, sampler: Sampler, config: MAMLPPOConfig, *, seed: int
    ) -> None:
        super().__init__(policy, sampler, config, seed=seed)
        self.ppo = config

    @property
    def _needs_supports(self) -> bool:
        return self.ppo.inner_kl > 0 or super()._needs_supports

    def _outer_losses(
        self, new: list[ActionDistribution], old: list[ActionDistribution], experience: Experience
    ) -> Tensor:
        losses = super()._outer_losses(new, old, experience)
        if self.ppo.inner_kl > 0:
            losses = losses + self.ppo.inner_kl * _inner_kl(new, old, experience)
        return losses

    def _query_losses(
        self, new: ActionDistribution, old: ActionDistribution, query: AdvantageBatch
    ) -> Tensor:
        return clipped_loss(new, old, query, self.ppo.clip)

    def _outer_step(self, chunks: list[Experience], meta: MetaGradient) -> Metrics:
        last = meta
        self._step_along(meta.gradient)
        for _ in range(self.ppo.epochs - 1):
            later = self._meta_gradient(chunks, meta.acting)
            if not later.is_finite():
                break
            last = later
            self._step_along(later.gradient)
        return self._change(chunks, last.acting, meta.acting)

    def _change(
        self,
        chunks: list[Experience],
        acting: list[list[ActionDistribution]],
        acted: list[list[ActionDistribution]],
    ) -> Metrics:
        """How far the policies had moved when the last epoch began."""
        kl, inner, clipped = [], [], []
        for chunk, new, old in zip(chunks, acting, acted, strict=True):
            query = chunk.query
            outside = (ratio(new[-1], old[-1], query) - 1).abs() > self.ppo.clip
            kl.append(mean_kl(new[-1], old[-1], query))
            inner.append(_inner_kl(new, old, chunk))
            clipped.append((outside * query.weights).sum(1))
        values = (float(torch.cat(column).mean()) for column in (kl, inner, clipped))
        return dict(zip(self.step_metrics, values, strict=True))


def _inner_kl(
    new: list[ActionDistribution], old: list[ActionDistribution], experience: Experience
) -> Tensor:
    """Mean KL between old and new policies before adaptation, over the inner steps; ``[M]``."""
    steps = list(zip(new[:-1], old[:-1], experience.supports[: len(new) - 1], strict=True))
    if not steps:
        return torch.zeros_like(experience.scores)
    return torch.stack([mean_kl(*step) for step in steps]).mean(0)

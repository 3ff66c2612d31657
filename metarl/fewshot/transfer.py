"""Transfer learners: features of pre-training stay as they are, and a simple rule uses them.

:class:`BaselineClassifier` fits a new head to the support set's features, linear or cosine;
:class:`KNNClassifier` looks up nearest neighbours among them, or among the raw inputs.
"""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from metarl.core import SGD, adapt, prototypes, squared_distances
from metarl.fewshot.configs import BaselinePlusPlusConfig, FittedHeadConfig, KNNConfig
from metarl.fewshot.episodes import Episodes
from metarl.fewshot.episodic_learner import Fitted
from metarl.fewshot.losses import task_losses
from metarl.fewshot.pretraining import PretrainedLearner
from metarl.files import check_finite
from metarl.nn import Backbone, RawInputs
from metarl.types import Metrics, Params


class FittedHeadLearner(PretrainedLearner):
    """Fits a head of its own to the features of every support set."""

    config: FittedHeadConfig

    @abstractmethod
    def first_head(self, features: Tensor, labels: Tensor, num_ways: int) -> Params:
        """Every task's head before the first step, of support features ``[M, S, D]``."""

    @abstractmethod
    def curvature(self, features: Tensor) -> Tensor:
        """L of every task, ``[M]``."""

    def summarise(self, embeddings: Tensor, labels: Tensor, num_ways: int) -> Fitted:
        """The fitted head."""
        head = self.first_head(embeddings, labels, num_ways)
        sizes = self.config.inner_lr / self.curvature(embeddings)
        rule = SGD({name: sizes.view(-1, *[1] * (head[name].ndim - 1)) for name in head})
        supports = [(embeddings, labels)] * self.config.num_test_steps
        with torch.no_grad():
            return adapt(rule, self._support_losses, head, supports)

    def compare(self, fitted: Fitted, embeddings: Tensor) -> Tensor:
        """Class scores by the fitted head."""
        return self.logits(fitted, embeddings)

    def _support_losses(self, head: Params, support: tuple[Tensor, Tensor]) -> Tensor:
        return task_losses(self.logits(head, support[0]), support[1])


class BaselineClassifier(FittedHeadLearner):
    """Linear heads, W f + b."""

    def first_head(self, features: Tensor, labels: Tensor, num_ways: int) -> Params:
        """Zeros."""
        shape = len(features), num_ways, features.shape[-1]
        return {"weight": features.new_zeros(shape), "bias": features.new_zeros(shape[:2])}

    def curvature(self, features: Tensor) -> Tensor:
        """½ mean ‖(f, 1)‖²: the Hessian is mean of (diag(p) - p pᵀ) ⊗ f fᵀ, the former below ½."""
        return (1 + features.square().sum(-1).mean(1)) / 2


class BaselinePlusPlusClassifier(FittedHeadLearner):
    """Cosine heads, s cos(w_c, f)."""

    config: BaselinePlusPlusConfig

    def initial_head(
        self, network: Backbone, num_classes: int, generator: torch.Generator
    ) -> Params:
        """Weight only."""
        return {"weight": super().initial_head(network, num_classes, generator)["weight"]}

    def logits(self, head: Params, features: Tensor) -> Tensor:
        """Of every class c: s cos(w_c, f)."""
        rows = functional.normalize(head["weight"], dim=-1)
        return self.config.scale * functional.normalize(features, dim=-1) @ rows.mT

    def first_head(self, features: Tensor, labels: Tensor, num_ways: int) -> Params:
        """Class means of unit-length features; at zero a cosine has no gradient."""
        return {"weight": prototypes(functional.normalize(features, dim=-1), labels, num_ways)}

    def curvature(self, features: Tensor) -> Tensor:
        """½ s²: that of a linear head on features of length s."""
        return features.new_full((len(features),), self.config.scale**2 / 2)


class KNNClassifier(PretrainedLearner):
    """Lets the k nearest support examples vote; for pixels its network is :class:`RawInputs`."""

    config: KNNConfig

    def initial_head(
        self, network: Backbone, num_classes: int, generator: torch.Generator
    ) -> Params:
        """Weight and bias; for pixels nothing."""
        if isinstance(network, RawInputs):
            return {}
        return super().initial_head(network, num_classes, generator)

    def collect(self) -> list[Episodes]:
        """Draw mini-batches; for pixels none."""
        return [] if self.config.features == "pixels" else super().collect()

    def update(self, batches: Sequence[Episodes]) -> Metrics:
        """One step of pre-training; for pixels nothing changes, and there is nothing to report."""
        if self.config.features == "trained":
            return super().update(batches)
        self.iteration += 1
        return {"meta/skipped": 0.0}

    def summarise(self, embeddings: Tensor, labels: Tensor, num_ways: int) -> Fitted:
        """The support embeddings ``[M, S, D]`` and one-hot labels ``[M, S, N]``."""
        onehot = functional.one_hot(labels, num_ways).to(embeddings.dtype)
        return {"embeddings": embeddings, "onehot": onehot}

    def compare(self, fitted: Fitted, embeddings: Tensor) -> Tensor:
        """Log shares of the votes of the k nearest."""
        distances = squared_distances(embeddings, fitted["embeddings"])
        check_finite(distances, "a distance")  # the votes would not show it
        num_voters = min(self.config.num_neighbours, distances.shape[-1])
        nearest = distances.topk(num_voters, largest=False).indices  # [M, Q, k]
        # 1 + 1/2, 1 + 1/4, ...: together less than one vote more, and ties go to the nearest
        weights = (1 + 0.5 ** torch.arange(1, num_voters + 1)).to(distances)
        voters = torch.zeros_like(distances).scatter_(-1, nearest, weights.expand(nearest.shape))
        votes = voters @ fitted["onehot"]
        return (votes / weights.sum()).clamp_min(1e-12).log()

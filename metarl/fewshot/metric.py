"""Metric learners: an encoder that is not adapted, and a rule that compares embeddings.

ProtoNet compares with class means, Matching Networks with every support example.
"""

from abc import abstractmethod

import torch
from torch import Tensor
from torch.nn import functional

from metarl.core import expand, lift, parameters_of, prototype_logits, prototypes
from metarl.fewshot.configs import MatchingConfig
from metarl.fewshot.episodes import Episodes
from metarl.fewshot.episodic_learner import FewShotLearner, Fitted
from metarl.fewshot.losses import task_losses, widened
from metarl.nn.norm import batches_over_ranks


class MetricLearner(FewShotLearner):
    """What ProtoNet and Matching Networks share: one encoder for all tasks, called once."""

    pools = True

    def losses(self, episodes: Episodes) -> tuple[Tensor, Tensor]:
        """Query loss of every episode; support and query are normalised together."""
        both = torch.cat([episodes.support_x, episodes.query_x], 1)
        with batches_over_ranks(episodes.shared):
            embeddings = self._embed_by_mode(both)
        count = episodes.support_x.shape[1]
        support, query = embeddings[:, :count], embeddings[:, count:]
        with self.full_precision():
            fitted = self.summarise(support, episodes.support_y, episodes.num_ways)
            outputs = self.compare(fitted, query)
        return task_losses(outputs, episodes.query_y), outputs

    @property
    def repeats(self) -> bool:
        """Yes: the same launches whatever the episodes."""
        return True

    @abstractmethod
    def summarise(self, embeddings: Tensor, labels: Tensor, num_ways: int) -> Fitted:
        """Support embeddings ``[M, S, D]`` and labels to what queries are compared with."""

    @abstractmethod
    def compare(self, fitted: Fitted, embeddings: Tensor) -> Tensor:
        """Class scores ``[M, Q, N]`` of query embeddings ``[M, Q, D]``."""

    def fit(
        self, support_x: Tensor, support_y: Tensor, num_ways: int, num_steps: int
    ) -> list[Fitted]:
        """The support set, of which transductive mode makes a summary with each query set.

        In inductive mode with the summary by running statistics, too.
        """
        ways = torch.full((len(support_x),), num_ways, device=support_x.device)
        support = {"support_x": support_x, "support_y": support_y, "num_ways": ways}
        if self.config.norm == "transductive":
            return [support]
        embeddings = self._embed_by_mode(support_x)
        with self.full_precision():
            return [support | self.summarise(embeddings, support_y, num_ways)]

    def scores(self, fitted: Fitted, x: Tensor) -> Tensor:
        """Class scores of queries."""
        if self.config.norm == "inductive":
            embeddings = self._embed_by_mode(x)
            with self.full_precision():
                return self.compare(fitted, embeddings)
        support, query = self.features(fitted["support_x"], x)
        num_ways = int(fitted["num_ways"][0])
        with self.full_precision():
            return self.compare(self.summarise(support, fitted["support_y"], num_ways), query)

    def features(self, support_x: Tensor, query_x: Tensor) -> tuple[Tensor, Tensor]:
        """Those of an evaluation, ``[M, S, D]`` and ``[M, Q, D]``, normalised as its norm says."""
        count = support_x.shape[1]
        both = torch.cat([support_x, query_x], 1)
        if self.config.norm == "inductive":
            embeddings = self._embed_by_mode(both)
        else:
            shared = expand(parameters_of(self.network), len(both))
            embeddings = widened(lift(self.network)(shared, both))
        return embeddings[:, :count], embeddings[:, count:]

    def _embed_by_mode(self, x: Tensor) -> Tensor:
        """``[M, B, *shape]`` to embeddings ``[M, B, D]``, normalised by the module's mode."""
        embeddings = widened(self.network(x.flatten(0, 1)))
        return embeddings.reshape(*x.shape[:2], -1)


class ProtoNetClassifier(MetricLearner):
    """Classifies by the nearest class mean of the support embeddings."""

    def summarise(self, embeddings: Tensor, labels: Tensor, num_ways: int) -> Fitted:
        """Class means, ``[M, N, D]``."""
        return {"prototypes": prototypes(embeddings, labels, num_ways)}

    def compare(self, fitted: Fitted, embeddings: Tensor) -> Tensor:
        """Negative squared distances."""
        return prototype_logits(embeddings, fitted["prototypes"])


class MatchingClassifier(MetricLearner):
    """Classifies by attention over the support set: P(c | x) = Σ_i a(x, x_i) [y_i = c].

    a is the softmax of scaled cosine similarities  (Vinyals et al. 2016, equations 1 and 2).
    """

    config: MatchingConfig

    def summarise(self, embeddings: Tensor, labels: Tensor, num_ways: int) -> Fitted:
        """Unit-length support embeddings ``[M, S, D]`` and one-hot labels ``[M, S, N]``."""
        onehot = functional.one_hot(labels, num_ways).to(embeddings.dtype)
        return {"embeddings": functional.normalize(embeddings, dim=-1), "onehot": onehot}

    def compare(self, fitted: Fitted, embeddings: Tensor) -> Tensor:
        """Log probabilities of the classes."""
        cosine = functional.normalize(embeddings, dim=-1) @ fitted["embeddings"].mT
        attention = torch.softmax(self.config.scale * cosine, -1)
        return (attention @ fitted["onehot"]).clamp_min(1e-12).log()

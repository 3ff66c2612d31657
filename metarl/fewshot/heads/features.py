"""What heads work on, and what they do to features first."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from metarl.fewshot.losses import widened
from metarl.fewshot.maml_classifier import MAMLClassifier
from metarl.fewshot.metric import MetricLearner
from metarl.fewshot.pretraining import located
from metarl.fewshot.sources import Source

Featured = MetricLearner | MAMLClassifier
"""Learners that give features: all of ours."""
NUM_BASE = 10_000
"""Train examples at most of which the mean feature is taken: it is then off by 1 % of σ."""
AT_ONCE = 100


class FeatureEpisodes(NamedTuple):
    """Features of a batch of M episodes."""

    support: Tensor
    """``[M, S, D]``."""
    labels: Tensor
    """Classes in ``[0, N)``, ``[M, S]`` int64; every class has an example."""
    queries: Tensor
    """``[M, Q, D]``."""
    num_ways: int
    """N."""
    centre: Tensor | None = None
    """Mean feature of the train classes ``[M, 1, D]``, for heads that want it."""

    @property
    def onehot(self) -> Tensor:
        """Labels as ``[M, S, N]`` of the features' type."""
        return functional.one_hot(self.labels, self.num_ways).to(self.support)

    def unit(self) -> "FeatureEpisodes":
        """Features less the centre, if there is one, at unit length."""
        shift = 0 if self.centre is None else self.centre
        return self._replace(
            support=functional.normalize(self.support - shift, dim=-1),
            queries=functional.normalize(self.queries - shift, dim=-1),
        )


def in_parts(
    learner: Featured, support_x: Tensor, query_x: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    """Features of prepared episodes as the learner gives them, ``size`` at once; 0 for all."""
    size = size or len(support_x)
    parts = [
        learner.features(*part)
        for part in zip(torch.split(support_x, size), torch.split(query_x, size), strict=True)
    ]
    support, queries = (torch.cat(each) for each in zip(*parts, strict=True))
    return widened(support), widened(queries)


@torch.no_grad()
def base_mean(learner: Featured, sources: Sequence[Source], generator: torch.Generator) -> Tensor:
    """Mean feature of the train classes ``[D]``, what SimpleShot subtracts.

    Args:
        learner: its norm says how examples are normalised: 100 of any classes are an episode, half
            of them its support set.
        sources: the train splits.
        generator: draws 10,000 of the examples in all, where there are more.
    """
    learner.network.eval()
    total, num = torch.zeros(()), 0
    for source in sources:
        places = torch.randperm(int(source.counts.sum()), generator=generator)
        places = places[: max(NUM_BASE // len(sources), 2)]
        for part in places.tensor_split(-(-len(places) // AT_ONCE)):
            x = learner.inputs(source.take(*located(source.counts, part)))[None]
            with learner.autocast():
                halves = learner.features(*x.tensor_split(2, 1))
            total = total + torch.cat(halves, 1)[0].double().sum(0)
            num += len(part)
    return (total / num).float()

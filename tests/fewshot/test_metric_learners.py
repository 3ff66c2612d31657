"""Metric learners against their papers' formulas, written out example by example."""

import math

import pytest
import torch
from small_learners import CONV4, MLP, WAYS, draw, make_small
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy

from metarl.fewshot import Episodes
from metarl.fewshot.configs import BackboneConfig
from metarl.fewshot.episodic_learner import FewShotLearner

DOUBLE = torch.float64


def make_double(
    name: str, backbone: BackboneConfig = CONV4, **settings: float | str
) -> FewShotLearner:
    learner = make_small(name, backbone, **settings)
    learner.network.double().eval()
    return learner


def scores_of(learner: FewShotLearner, episodes: Episodes) -> Tensor:
    with torch.no_grad():
        (fitted,) = learner.fit(episodes.support_x, episodes.support_y, WAYS, 0)
        return learner.scores(fitted, episodes.query_x)


def embedded(learner: FewShotLearner, x: Tensor) -> Tensor:
    """Embeddings of one task after another by the network as a plain module."""
    with torch.no_grad():
        return torch.stack([learner.network(examples) for examples in x])


@pytest.mark.parametrize("backbone", [CONV4, MLP], ids=["conv4", "mlp"])
def test_protonet_is_a_linear_classifier(backbone: BackboneConfig) -> None:
    """-||f(x) - c||² = 2 c·f(x) - ||c||² - ||f(x)||², of which the last is the query's alone.

    Snell et al. 2017, section 2.4.
    """
    learner, episodes = make_double("protonet", backbone), draw(dtype=DOUBLE)
    scores = scores_of(learner, episodes)
    support = embedded(learner, episodes.support_x)
    query = embedded(learner, episodes.query_x)
    for task, labels in enumerate(episodes.support_y):
        centres = torch.stack([support[task, labels == way].mean(0) for way in range(WAYS)])
        linear = query[task] @ (2 * centres).T - centres.square().sum(1)
        constants = scores[task] - linear
        torch.testing.assert_close(constants, -query[task].square().sum(1)[:, None].expand(-1, 3))
        assert linear.std(1).min() > 1e-6


def test_matching_scores_are_logarithms_of_attended_votes() -> None:
    """P(c | x) = Σ_i a(x, x_i) [y_i = c], a the softmax of cosines times the scale."""
    learner, episodes = make_double("matching", scale=7.0), draw(dtype=DOUBLE)
    scores = scores_of(learner, episodes)
    torch.testing.assert_close(scores.exp().sum(-1), torch.ones(scores.shape[:2], dtype=DOUBLE))
    support = embedded(learner, episodes.support_x)
    query = embedded(learner, episodes.query_x)
    for task, labels in enumerate(episodes.support_y):
        for index, f in enumerate(query[task]):
            weights = [math.exp(7 * cosine_similarity(f, g, dim=0)) for g in support[task]]
            votes = [0.0] * WAYS
            for weight, label in zip(weights, labels.tolist(), strict=True):
                votes[label] += weight / sum(weights)
            expected = [math.log(vote) for vote in votes]
            torch.testing.assert_close(scores[task, index].tolist(), expected)


@pytest.mark.parametrize("name", ["protonet", "matching"])
def test_neither_the_order_of_the_support_nor_of_the_classes_matters(name: str) -> None:
    learner, episodes = make_double(name), draw(dtype=DOUBLE)
    scores = scores_of(learner, episodes)
    places = torch.randperm(episodes.support_y.shape[1], generator=torch.Generator().manual_seed(0))
    shuffled = episodes._replace(
        support_x=episodes.support_x[:, places], support_y=episodes.support_y[:, places]
    )
    torch.testing.assert_close(scores_of(learner, shuffled), scores)
    order = torch.tensor([2, 0, 1])
    renamed = episodes._replace(support_y=order[episodes.support_y])
    torch.testing.assert_close(scores_of(learner, renamed)[..., order], scores)


@pytest.mark.parametrize("name", ["protonet", "matching"])
def test_training_normalises_support_and_query_together(name: str) -> None:
    """The training loss is that of a transductive evaluation, one episode after another."""
    learner = make_double(name, norm="transductive", task_chunk=1, lr=0.0)
    episodes = draw(dtype=DOUBLE)
    scores = scores_of(learner, episodes)
    metrics = learner.update([episodes])
    expected = cross_entropy(scores.mT, episodes.query_y).item()
    assert metrics["meta/loss"] == pytest.approx(expected, rel=1e-6)

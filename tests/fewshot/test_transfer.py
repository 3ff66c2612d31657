"""Pre-training, fitted heads and nearest neighbours against plain torch, example by example."""

import math

import pytest
import torch
from pydantic import ValidationError
from small_learners import CONV4, MLP, WAYS, draw, make_small, make_source
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy, linear, one_hot

from metarl.configs import complaint
from metarl.fewshot import Episodes
from metarl.fewshot.configs import (
    BackboneConfig,
    BaselineConfig,
    BaselinePlusPlusConfig,
    KNNConfig,
)
from metarl.fewshot.episodic_learner import FewShotLearner
from metarl.fewshot.pretraining import PretrainedLearner, draw_examples
from metarl.fewshot.transfer import FittedHeadLearner, KNNClassifier

DOUBLE = torch.float64
baselines = pytest.mark.parametrize("name", ["baseline", "baseline++"])


def make(name: str, backbone: BackboneConfig = MLP, **settings: float | str) -> PretrainedLearner:
    learner = make_small(name, backbone, **settings)
    assert isinstance(learner, PretrainedLearner)
    return learner


def make_double(
    name: str, backbone: BackboneConfig = MLP, **settings: float | str
) -> PretrainedLearner:
    learner = make(name, backbone, **settings)
    learner.network.double()
    for value in learner.head.values():
        value.data = value.data.double()
    return learner


def plain_logits(name: str, head: dict[str, Tensor], features: Tensor) -> Tensor:
    """Of one task: ``[B, D]`` to ``[B, N]``; the scale is the default."""
    if name != "baseline++":
        return linear(features, head["weight"], head["bias"])
    return 10 * cosine_similarity(features[:, None], head["weight"], dim=-1)


def test_examples_are_equally_likely() -> None:
    """Classes of 1, 3 and 6: a tenth of 20,000 draws for every example, within 5 deviations."""
    counts = torch.tensor([1, 3, 6])
    generator = torch.Generator().manual_seed(0)
    classes, examples = draw_examples(counts, (200, 100), "examples", generator)
    drawn = torch.zeros(3, 6).index_put_((classes, examples), torch.ones(()), accumulate=True)
    assert torch.equal(drawn > 0, torch.arange(6) < counts[:, None])
    assert (drawn[drawn > 0] - 2000).abs().max() < 5 * math.sqrt(20000 * 0.1 * 0.9)


def test_classes_are_equally_likely_and_so_are_their_examples() -> None:
    counts = torch.tensor([1, 3, 6])
    generator = torch.Generator().manual_seed(0)
    classes, examples = draw_examples(counts, (200, 100), "classes", generator)
    drawn = torch.zeros(3, 6).index_put_((classes, examples), torch.ones(()), accumulate=True)
    expected = torch.where(torch.arange(6) < counts[:, None], 20000 / 3 / counts[:, None], 0.0)
    assert ((drawn - expected).abs() <= 5 * expected.sqrt()).all()


def test_mini_batches_are_of_all_train_classes() -> None:
    learner = make("baseline", meta_batch_size=2, batch_size=50)
    (batch,) = learner.collect()
    assert batch.query_x.shape == (2, 50, 1, 16, 16)
    assert (batch.num_ways, batch.support_x.shape[1]) == (6, 0)
    assert batch.query_y.unique().tolist() == list(range(6))
    source = make_source()
    for image, label in zip(batch.query_x.flatten(0, 1), batch.query_y.flatten(), strict=True):
        of_class = source.take(label.expand(8), torch.arange(8))
        assert (of_class == image).flatten(1).all(1).any()


@pytest.mark.parametrize("name", ["baseline", "baseline++", "knn"])
@pytest.mark.parametrize("backbone", [MLP, CONV4])
def test_pre_training_descends_the_loss_of_a_plain_classifier(
    name: str, backbone: BackboneConfig
) -> None:
    """Two mini-batches an update: the mean of their gradients, each with its own statistics."""
    learner = make_double(name, backbone, meta_batch_size=2, batch_size=10, task_chunk=1)
    (batch,) = learner.collect()
    images = batch.query_x.to(DOUBLE) / 255
    learner.network.train()
    losses = torch.stack(
        [
            cross_entropy(plain_logits(name, dict(learner.head), learner.network(x)), y)
            for x, y in zip(images, batch.query_y, strict=True)
        ]
    )
    expected = torch.autograd.grad(losses.mean(), list(learner.parameters()))
    metrics = learner.update([batch._replace(query_x=images)])
    assert metrics["meta/loss"] == pytest.approx(losses.mean().item())
    for parameter, gradient in zip(learner.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    assert len(expected) == len(list(learner.network.parameters())) + len(learner.head)


@baselines
def test_pre_training_learns(name: str) -> None:
    backbone = BackboneConfig(backbone="conv4", filters=16)
    learner = make(name, backbone, lr=0.01, lr_decay="none")
    metrics = [learner.update(learner.collect()) for _ in range(30)]
    assert metrics[-1]["meta/loss"] < 0.7 * metrics[0]["meta/loss"]
    assert metrics[-1]["train/score"] > 0.8 > 0.5 > metrics[0]["train/score"]


def plain_fit(name: str, features: Tensor, labels: Tensor, num_steps: int) -> dict[str, Tensor]:
    """One task's head by gradient descent, with 1.5 / L and L as the configs say."""
    if name == "baseline":
        head = {"weight": torch.zeros(WAYS, features.shape[1]), "bias": torch.zeros(WAYS)}
        curvature = sum(1 + f.square().sum() for f in features) / len(features) / 2
    else:
        unit = features / features.norm(dim=1, keepdim=True)
        head = {"weight": torch.stack([unit[labels == c].mean(0) for c in range(WAYS)])}
        curvature = torch.tensor(10.0**2 / 2)
    head = {key: value.to(DOUBLE).requires_grad_() for key, value in head.items()}
    optimiser = torch.optim.SGD(head.values(), lr=1.5 / curvature.item())
    for _ in range(num_steps):
        optimiser.zero_grad()
        cross_entropy(plain_logits(name, head, features), labels).backward()
        optimiser.step()
    return {key: value.detach() for key, value in head.items()}


@baselines
@pytest.mark.parametrize("num_steps", [1, 7])
def test_heads_are_fitted_by_gradient_descent(name: str, num_steps: int) -> None:
    learner = make_double(name, inner_lr=1.5, num_test_steps=num_steps)
    learner.network.eval()
    episodes = draw(dtype=DOUBLE)
    (fitted,) = learner.fit(episodes.support_x, episodes.support_y, WAYS, 0)
    scores = learner.scores(fitted, episodes.query_x)
    for m in range(episodes.num_episodes):
        features = learner.network(episodes.support_x[m]).detach()
        head = plain_fit(name, features, episodes.support_y[m], num_steps)
        for key, value in head.items():
            torch.testing.assert_close(fitted[key][m], value)
        expected = plain_logits(name, head, learner.network(episodes.query_x[m]))
        torch.testing.assert_close(scores[m], expected)
    assert fitted.keys() == {*head, "support_x", "support_y", "num_ways"}
    assert not any(value.requires_grad for value in fitted.values())


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("inner_lr", [1.0, 1.99])
def test_a_linear_head_converges_at_every_scale_of_features(scale: float, inner_lr: float) -> None:
    features = scale * torch.rand(4, 6, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(3).repeat_interleave(2).expand(4, 6)
    losses = [torch.full((4,), math.log(3))]
    for num_steps in (1, 2, 3, 30, 300):
        learner = make("baseline", inner_lr=inner_lr, num_test_steps=num_steps)
        assert isinstance(learner, FittedHeadLearner)
        outputs = learner.compare(learner.summarise(features, labels, 3), features)
        losses.append(cross_entropy(outputs.mT, labels, reduction="none").mean(1))
    assert (torch.stack(losses).diff(dim=0) < 1e-6).all()


def test_a_cosine_head_ignores_the_length_of_features() -> None:
    learner, episodes = make_double("baseline++"), draw(dtype=DOUBLE)
    support, query = episodes.support_x.flatten(2), episodes.query_x.flatten(2)
    (one, other) = (learner.summarise(k * support, episodes.support_y, WAYS) for k in (1, 9))
    torch.testing.assert_close(one, other)
    torch.testing.assert_close(learner.compare(one, query), learner.compare(one, 9 * query))


@baselines
def test_fitting_leaves_network_and_head_alone(name: str) -> None:
    learner, episodes = make(name), draw()
    before = [value.clone() for value in (*learner.parameters(), *learner.network.buffers())]
    learner.network.eval()
    learner.fit(episodes.support_x, episodes.support_y, WAYS, 0)
    after = [*learner.parameters(), *learner.network.buffers()]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
    assert all(value.grad is None for value in learner.parameters())


def plain_votes(support: Tensor, labels: Tensor, query: Tensor, k: int) -> list[int]:
    """Classes by vote, one query after another; ties go to the class that comes first."""
    chosen = []
    for one in query:
        order = sorted(range(len(support)), key=lambda i: float((support[i] - one).norm()))
        votes = [int(labels[i]) for i in order[:k]]
        chosen.append(max(votes, key=votes.count))  # the first of the largest: the nearest
    return chosen


def fitted_scores(learner: FewShotLearner, episodes: Episodes) -> Tensor:
    learner.network.eval()
    (fitted,) = learner.fit(episodes.support_x, episodes.support_y, episodes.num_ways, 0)
    return learner.scores(fitted, episodes.query_x).detach()


@pytest.mark.parametrize("k", [1, 2, 3, 6, 50])
@pytest.mark.parametrize("features", ["pixels", "trained"])
def test_the_nearest_neighbours_vote(k: int, features: str) -> None:
    """Noise, so that the votes differ; 50 are more than the 6 there are."""
    learner = make_double("knn", features=features, num_neighbours=k)
    generator = torch.Generator().manual_seed(k)
    episodes = draw(4, dtype=DOUBLE)._replace(
        support_x=torch.rand(4, 6, 1, 16, 16, generator=generator, dtype=DOUBLE),
        query_x=torch.rand(4, 12, 1, 16, 16, generator=generator, dtype=DOUBLE),
    )
    scores = fitted_scores(learner, episodes)
    for m in range(4):
        support, query = (
            learner.network(x[m]).detach() for x in (episodes.support_x, episodes.query_x)
        )
        expected = plain_votes(support, episodes.support_y[m], query, k)
        assert scores[m].argmax(-1).tolist() == expected
    torch.testing.assert_close(scores.exp().sum(-1), torch.ones(4, 12, dtype=DOUBLE))


def vote(distances: list[float], labels: list[int], k: int) -> list[float]:
    """Shares of the votes for a query at 0."""
    learner = make("knn", features="pixels", num_neighbours=k)
    onehot = one_hot(torch.tensor([labels]), 3).float()
    fitted = {"embeddings": torch.tensor(distances)[None, :, None], "onehot": onehot}
    shares: list[float] = learner.compare(fitted, torch.zeros(1, 1, 1)).exp()[0, 0].tolist()
    return shares


def test_two_votes_beat_the_nearest_one() -> None:
    """Weights 1 + 1/2, 1 + 1/4 and 1 + 1/8, of 3 + 7/8."""
    shares = vote([1.0, 2.0, 3.0], [2, 1, 1], 3)
    assert shares == pytest.approx([0, 19 / 31, 12 / 31], abs=1e-6)
    assert vote([1.0, 2.0, 3.0], [2, 1, 1], 1) == pytest.approx([0, 0, 1], abs=1e-6)


def test_ties_go_to_the_nearest() -> None:
    for order in ([0, 1, 1, 0], [1, 0, 0, 1], [2, 1, 1, 2]):
        shares = vote([1.0, 2.0, 3.0, 4.0], order, 4)
        assert shares.index(max(shares)) == order[0]


def test_pixels_have_nothing_to_train() -> None:
    learner = make("knn", CONV4, features="pixels")
    assert learner.collect() == []
    metrics = learner.update([])
    assert metrics == {"meta/skipped": 0.0}
    assert sum(value.numel() for value in learner.parameters()) == 0
    assert "network" in learner.state_dict()


@pytest.mark.parametrize("backbone", [CONV4, MLP])
def test_pixels_are_the_same_whatever_network_and_norm(backbone: BackboneConfig) -> None:
    episodes = draw()
    expected = fitted_scores(make("knn", features="pixels"), episodes)
    learner = make("knn", backbone, features="pixels", norm="transductive")
    assert isinstance(learner, KNNClassifier)
    torch.testing.assert_close(fitted_scores(learner, episodes), expected)


@pytest.mark.parametrize(
    ("config", "settings", "message"),
    [
        (BaselineConfig, {"batch_size": 0}, "batch_size must be at least 1, got 0"),
        (BaselineConfig, {"num_test_steps": 0}, "num_test_steps must be at least 1, got 0"),
        (BaselineConfig, {"inner_lr": 0.0}, "inner_lr must be above 0.0, got 0.0"),
        (BaselineConfig, {"inner_lr": math.nan}, "inner_lr must be finite, got nan"),
        (BaselinePlusPlusConfig, {"scale": math.inf}, "scale must be finite, got inf"),
        (KNNConfig, {"num_neighbours": 0}, "num_neighbours must be at least 1, got 0"),
    ],
)
def test_numbers_that_make_no_sense(
    config: type[BaselineConfig | KNNConfig], settings: dict[str, float], message: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        config(**settings)  # type: ignore[arg-type]  # on purpose
    assert complaint(caught.value) == message

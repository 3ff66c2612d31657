"""R2-D2: its rule by hand, its meta-gradient by another solver, what it learns beside features."""

from pathlib import Path

import pytest
import torch
from small_learners import MLP, draw, make_small, predicted
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

import metarl
from metarl.fewshot import Episodes
from metarl.fewshot.headed_network import RidgeNetwork
from metarl.fewshot.r2d2 import R2D2Classifier

DOUBLE = torch.float64


def make(**settings: float) -> R2D2Classifier:
    learner = make_small("r2d2", MLP, **settings)
    assert isinstance(learner, R2D2Classifier)
    learner.network.to(DOUBLE)
    return learner


def test_class_scores_by_hand() -> None:
    """Features 1 and -1, λ = 2: W = [[1, -1], [1, 1]] / 4 (see the head's test), times 10.

    A query at 3 has 10 (3 + 1) / 4 and 10 (-3 + 1) / 4.
    """
    learner = make(regularisation=2.0, scale=10.0)
    support = torch.tensor([[[1.0], [-1.0]]], dtype=DOUBLE)
    fitted = learner.summarise(support, torch.tensor([[0, 1]]), 2)
    scores = learner.compare(fitted, torch.tensor([[[3.0]]], dtype=DOUBLE))
    assert_close(scores, torch.tensor([[[10.0, -5.0]]], dtype=DOUBLE), rtol=1e-6, atol=0)


def losses_by_least_squares(network: RidgeNetwork, episodes: Episodes) -> Tensor:
    """Task by task; the regression solved by QR with rows √λ I below those of the support set."""
    losses = []
    root = torch.exp(network.log_regularisation / 2)
    for task in range(episodes.num_episodes):
        support, query = (network(x[task]) for x in (episodes.support_x, episodes.query_x))
        rows, asked = (functional.pad(x, (0, 1), value=1.0) for x in (support, query))
        width = rows.shape[1]
        stacked = torch.cat([rows, root * torch.eye(width, dtype=DOUBLE)])
        onehot = functional.one_hot(episodes.support_y[task], episodes.num_ways).to(DOUBLE)
        targets = torch.cat([onehot, torch.zeros(width, onehot.shape[1], dtype=DOUBLE)])
        weights = torch.linalg.lstsq(stacked, targets).solution
        scores = torch.exp(network.log_scale) * asked @ weights
        losses.append(functional.cross_entropy(scores, episodes.query_y[task]))
    return torch.stack(losses)


@pytest.mark.parametrize("regularisation", [0.1, 50.0])
def test_meta_gradient_is_that_of_another_solver(regularisation: float) -> None:
    learner, episodes = make(regularisation=regularisation), draw(dtype=DOUBLE)
    learner.network.train()
    losses, _ = learner.losses(episodes)
    expected = losses_by_least_squares(learner.network, episodes)
    assert_close(losses, expected)
    parameters = dict(learner.network.named_parameters())
    ours, theirs = (
        torch.autograd.grad(each.sum(), list(parameters.values())) for each in (losses, expected)
    )
    for name, one, other in zip(parameters, ours, theirs, strict=True):
        assert one.abs().max() > 0, name
        assert_close(one, other, msg=name)


def test_it_learns_regularisation_and_scale() -> None:
    learner = make_small("r2d2", regularisation=3.0, scale=5.0)
    numbers = learner.network.log_regularisation, learner.network.log_scale
    assert [value.exp().item() for value in numbers] == pytest.approx([3.0, 5.0])
    before = [value.item() for value in numbers]
    learner.update(learner.collect())
    assert all(value.item() != old for value, old in zip(numbers, before, strict=True))


def test_any_number_of_ways() -> None:
    learner = make_small("r2d2")
    for ways in (2, 5):
        assert predicted(learner, draw(ways=ways)).shape[-1] == ways


def test_a_saved_classifier_keeps_what_was_learned(tmp_path: Path) -> None:
    """In transductive mode it fits anew, by the regularisation that the file has."""
    small = {"filters": 4, "num_ways": 3, "num_validation": 2, "eval_tasks": 0}
    run = metarl.train_fewshot("r2d2", iterations=1, output=tmp_path, regularisation=0.5, **small)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (6, 1, 28, 28), generator=generator, dtype=torch.uint8)
    adapted = run.adapt(support=(images, ["a", "b"] * 3), norm="transductive")
    adapted.save(tmp_path / "classifier.pt")
    kept = metarl.load_classifier(tmp_path / "classifier.pt")
    expected = adapted.classifier.probabilities(images)
    assert torch.equal(kept.probabilities(images), expected)
    with torch.no_grad():
        kept.learner.network.log_regularisation += 1
    assert not torch.allclose(kept.probabilities(images), expected)

"""Prototypes, distances, logits and the equal linear head."""

import math

import pytest
import torch
from torch import Tensor

from metarl.core import (
    proto_maml_head,
    prototype_logits,
    prototype_loss,
    prototypes,
    squared_distances,
)


def draw(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_prototypes_of_four_points() -> None:
    """Golden: class 0 is (0, 0) and (2, 4), mean (1, 2); class 1 is (1, 1) and (5, -3), (3, -1)."""
    points = torch.tensor([[[0.0, 0.0], [1.0, 1.0], [2.0, 4.0], [5.0, -3.0]]])
    labels = torch.tensor([[0, 1, 0, 1]])
    torch.testing.assert_close(
        prototypes(points, labels, 2), torch.tensor([[[1.0, 2.0], [3.0, -1.0]]])
    )


def test_logits_are_negative_squared_distances() -> None:
    """Golden: from (1, 1) to (1, 3) and (4, 5) the squared distances are 4 and 9 + 16 = 25."""
    centres = torch.tensor([[[1.0, 3.0], [4.0, 5.0]]])
    logits = prototype_logits(torch.tensor([[[1.0, 1.0]]]), centres)
    torch.testing.assert_close(logits, torch.tensor([[[-4.0, -25.0]]]))


def test_squared_distances_of_every_pair() -> None:
    x, y = draw(3, 5, 4), draw(3, 2, 4)
    expected = [
        [[sum((a - b) ** 2 for a, b in zip(q, p, strict=True)) for p in ys] for q in xs]
        for xs, ys in zip(x.tolist(), y.tolist(), strict=True)
    ]
    torch.testing.assert_close(squared_distances(x, y), torch.tensor(expected).double())


def test_permuting_the_shots_changes_nothing() -> None:
    points, labels = draw(2, 12, 3), torch.arange(12).remainder(4).expand(2, 12)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    assert order.tolist() != list(range(12))
    torch.testing.assert_close(
        prototypes(points[:, order], labels[:, order], 4), prototypes(points, labels, 4)
    )


def test_the_classifier_is_linear() -> None:
    """Snell et al. 2017, section 2.4: -||f - c||² = 2 c·f - ||c||² - ||f||², the last constant."""
    queries, centres = draw(3, 6, 4), draw(3, 5, 4)
    linear = 2.0 * queries @ centres.mT - centres.square().sum(-1)[:, None]
    logits = prototype_logits(queries, centres)
    torch.testing.assert_close(logits.softmax(-1), linear.softmax(-1))
    torch.testing.assert_close(linear - logits, queries.square().sum(-1)[..., None].expand(3, 6, 5))

    weight, bias = proto_maml_head(centres)
    torch.testing.assert_close(torch.baddbmm(bias[:, None], queries, weight.mT), linear)


def test_loss_is_the_mean_over_queries() -> None:
    """Golden: logits (0, log 3) have probabilities (1/4, 3/4); labels 0 and 1 give the mean of
    log 4 and log 4/3.
    """
    logits = torch.tensor([[[0.0, math.log(3.0)]] * 2], dtype=torch.float64)
    loss = prototype_loss(logits, torch.tensor([[0, 1]]))
    assert loss.tolist() == pytest.approx([(math.log(4.0) + math.log(4.0 / 3.0)) / 2.0])


def test_prototypes_name_a_wrong_shape() -> None:
    with pytest.raises(ValueError, match=r"got \(2, 3, 4\) and \(2, 4\)"):
        prototypes(draw(2, 3, 4), torch.zeros(2, 4), 2)


@pytest.mark.parametrize("shape", [(2, 3), (1, 5, 4), (2, 5, 3)])
def test_distances_name_a_wrong_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"need x \[M, Q, D\] and y \[M, N, D\]"):
        squared_distances(draw(2, 3, 4), draw(*shape))


def test_the_loss_names_a_wrong_shape() -> None:
    with pytest.raises(ValueError, match=r"got \(2, 3, 4\) and \(2, 4\)"):
        prototype_loss(draw(2, 3, 4), torch.zeros(2, 4))

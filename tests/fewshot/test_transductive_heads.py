"""BD-CSPN, LaplacianShot, TIM and PT-MAP, by hand and by references with loops."""

import math
from dataclasses import replace

import torch
from test_inductive_heads import random_episodes, scores_of
from torch import Tensor
from torch.testing import assert_close

from metarl.core import prototypes
from metarl.fewshot.heads.configs import (
    BDCSPNConfig,
    LaplacianShotConfig,
    PTMAPConfig,
    RidgeConfig,
    SimpleShotConfig,
    TIMConfig,
)
from metarl.fewshot.heads.features import FeatureEpisodes
from metarl.fewshot.heads.rules import class_scores, tim_losses
from metarl.fewshot.heads.transport import balanced_assignments, power_transformed

AXES = torch.eye(2, dtype=torch.float64)[None]
"""A support example of either class."""


def on_axes(*queries: tuple[float, float]) -> FeatureEpisodes:
    labels = torch.tensor([[0, 1]])
    return FeatureEpisodes(AXES, labels, torch.tensor([queries], dtype=torch.float64), 2)


def cosine(x: tuple[float, float], y: tuple[float, float]) -> float:
    return (x[0] * y[0] + x[1] * y[1]) / math.hypot(*x) / math.hypot(*y)


def test_bd_cspn_by_hand() -> None:
    """Support mean (0.5, 0.5), query mean (0.7, 0.7): queries move by (-0.2, -0.2).

    Then each is of the class that it is nearer to, with cosine 0.6 / √0.52 = c, and with ε = 1 the
    first prototype is (e (1, 0) + e^c (0.6, 0.4)) / (e + e^c).
    """
    scores = class_scores(BDCSPNConfig(scale=1.0), on_axes((0.6, 0.8), (0.8, 0.6)))
    near, far = math.e, math.exp(0.6 / math.sqrt(0.52))
    along, across = (near + far * 0.6) / (near + far), far * 0.4 / (near + far)
    right = cosine((0.6, 0.4), (along, across))
    wrong = cosine((0.4, 0.6), (along, across))
    assert_close(scores, torch.tensor([[[wrong, right], [right, wrong]]], dtype=torch.float64))


def test_only_so_many_queries_join_the_support_set() -> None:
    """Of two queries of class 0 the more certain; a mean shift of zero by two mirrored ones."""
    queries = (1.0, 0.0), (0.8, 0.6), (0.0, 1.0), (0.6, 0.8)
    head = BDCSPNConfig(scale=2.0, num_confident=1)
    scores = class_scores(head, on_axes(*queries))
    shift = 0.5 - 2.4 / 4
    moved = (1 + shift, shift)
    weights = math.exp(2), math.exp(2 * cosine(moved, (1, 0)))
    along, across = (
        (weights[0] * own + weights[1] * query) / sum(weights)
        for own, query in zip((1, 0), moved, strict=True)
    )
    for query, score in zip(queries, scores[0], strict=True):
        expected = 2 * cosine((query[0] + shift, query[1] + shift), (along, across))
        assert math.isclose(score[0], expected, rel_tol=1e-9)


def test_without_a_laplacian_it_is_simpleshot() -> None:
    episodes = random_episodes()
    expected = class_scores(SimpleShotConfig(), episodes)
    assert torch.equal(class_scores(LaplacianShotConfig(weight=0.0), episodes), expected)
    assert torch.equal(class_scores(LaplacianShotConfig(num_steps=0), episodes), expected)


def laplacian_by_loops(head: LaplacianShotConfig, episodes: FeatureEpisodes) -> Tensor:
    """Ziko et al. 2020, algorithm 1, query by query."""
    near = class_scores(SimpleShotConfig(), episodes)
    queries = episodes.unit().queries
    assignments = torch.softmax(near, -1)
    for _ in range(head.num_steps):
        updated = assignments.clone()
        for task, points in enumerate(queries):
            for own, point in enumerate(points):
                others = sorted(
                    (float((point - other).norm()), index)
                    for index, other in enumerate(points)
                    if index != own
                )
                pull = sum(assignments[task, i] for _, i in others[: head.num_neighbours])
                updated[task, own] = torch.softmax(near[task, own] + head.weight * pull, -1)
        assignments = updated
    return assignments


def test_laplacianshot_is_its_algorithm() -> None:
    head, episodes = LaplacianShotConfig(weight=1.2, num_steps=3), random_episodes(2)
    assert_close(scores_of(head, episodes), laplacian_by_loops(head, episodes))
    many = replace(head, num_neighbours=99)  # then all others
    assert_close(scores_of(many, episodes), laplacian_by_loops(many, episodes))


def test_tim_without_steps_is_nearest_prototype() -> None:
    episodes = random_episodes()._replace(centre=None)
    unit = episodes.unit()
    means = prototypes(unit.support, unit.labels, unit.num_ways)
    distances = torch.cdist(unit.queries, means).square()
    expected = torch.softmax(-15 / 2 * distances, -1)
    assert_close(scores_of(TIMConfig(num_steps=0), episodes), expected)


def test_tim_losses_by_hand() -> None:
    """τ = 1. A support example is at 0 and √2 from the class vectors: CE = log(1 + 1 / e).

    Queries halfway: every entropy is log 2.
    """
    half = math.sqrt(0.5)
    episodes = on_axes((half, half), (half, half))
    loss = tim_losses(AXES, episodes, TIMConfig(temperature=1.0))
    expected = 0.1 * math.log(1 + 1 / math.e) - math.log(2) + 0.1 * math.log(2)
    assert math.isclose(loss.item(), expected, rel_tol=1e-9)


def test_tim_steps_are_those_of_adam() -> None:
    """The first by the step size in every number, against the gradient."""
    episodes = random_episodes(4)._replace(centre=None)
    head = TIMConfig(num_steps=1, lr=0.01)
    unit = episodes.unit()
    start = prototypes(unit.support, unit.labels, unit.num_ways).requires_grad_()
    (gradient,) = torch.autograd.grad(tim_losses(start, unit, head).sum(), [start])
    moved = start.detach() - 0.01 * gradient / (gradient.abs() + 1e-8)
    expected = torch.softmax(-15 / 2 * torch.cdist(unit.queries, moved).square(), -1)
    assert_close(scores_of(head, episodes), expected)
    assert not torch.is_grad_enabled() or not class_scores(head, episodes).requires_grad


def test_assignments_are_balanced() -> None:
    costs = 10 * torch.rand(2, 6, 3, generator=torch.Generator().manual_seed(0))
    plan = balanced_assignments(costs)
    assert_close(plan.sum(1), torch.full((2, 3), 2.0), rtol=0, atol=1e-2)
    assert_close(plan.sum(2), torch.ones(2, 6))


def test_assignments_by_hand() -> None:
    """P_11 P_22 / (P_12 P_21) stays exp(log 4): with rows and columns of 1, p² / (1 - p)² = 4."""
    costs = torch.tensor([[[0.0, math.log(4)], [0.0, 0.0]]])
    expected = torch.tensor([[[2 / 3, 1 / 3], [1 / 3, 2 / 3]]])
    assert_close(balanced_assignments(costs), expected, rtol=0, atol=1e-4)


def test_power_transform_by_hand() -> None:
    """Roots (2, 1) and (1, 2) at unit length differ by (1, -1) / √5, which unit length makes ±1."""
    support = torch.tensor([[[4.0, 1.0], [1.0, 4.0]]])
    signed = torch.tensor([[[-4.0, 1.0], [1.0, 4.0]]])
    episodes = power_transformed(FeatureEpisodes(support, torch.tensor([[0, 1]]), signed, 2), 0.5)
    half = math.sqrt(0.5)
    assert_close(episodes.support, torch.tensor([[[half, -half], [-half, half]]]))
    along, across = -3 / math.sqrt(10), -1 / math.sqrt(10)  # (-2, 1) less (1, 2)
    expected = torch.tensor([[[along, across], [-along, -across]]])
    assert_close(episodes.queries, expected, rtol=0, atol=1e-5)


def test_pt_map_moves_means_to_what_is_assigned() -> None:
    """One whole step: means of the support example and of the shares of the queries."""
    episodes = random_episodes(5)._replace(centre=None)
    head = PTMAPConfig(step_size=1.0, num_steps=1)
    seen = power_transformed(episodes, 0.5)
    means = prototypes(seen.support, seen.labels, seen.num_ways)
    shares = balanced_assignments(10 * torch.cdist(seen.queries, means).square())
    total = episodes.onehot.sum(1) + shares.sum(1)
    sums = episodes.onehot.mT @ seen.support + shares.mT @ seen.queries
    moved = sums / total[..., None]
    expected = balanced_assignments(10 * torch.cdist(seen.queries, moved).square())
    assert_close(class_scores(head, episodes).exp(), expected)


def test_transduction_helps_where_queries_form_clusters() -> None:
    """Queries lie apart by class, and the support example of a class is an odd one of it."""
    generator = torch.Generator().manual_seed(0)
    places = torch.rand(10, 5, 20, generator=generator)
    labels = torch.arange(5).repeat(10, 1)
    support = places + 1.5 * torch.rand(10, 5, 20, generator=generator)
    queries = places.repeat(1, 15, 1) + 0.5 * torch.rand(10, 75, 20, generator=generator)
    episodes = FeatureEpisodes(support, labels, queries, 5)

    def accuracy(head: RidgeConfig | BDCSPNConfig | TIMConfig | PTMAPConfig) -> float:
        found = class_scores(head, episodes).argmax(-1)
        return float((found == labels.repeat(1, 15)).float().mean())

    inductive = accuracy(RidgeConfig())
    for head in (BDCSPNConfig(), TIMConfig(num_steps=50, lr=2e-3), PTMAPConfig()):
        assert accuracy(head) > inductive + 0.02

"""Ridge regression and SimpleShot by hand, and what holds of every head."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from metarl.core import prototype_logits, prototypes
from metarl.fewshot.heads.configs import HEADS, HeadConfig, SimpleShotConfig, head_of
from metarl.fewshot.heads.features import FeatureEpisodes
from metarl.fewshot.heads.ridge import ridge_weights, with_ones
from metarl.fewshot.heads.rules import class_scores

WAYS, SHOTS, QUERIES, TASKS = 3, 2, 4, 3
QUICK = {
    "tim": {"num_steps": 5, "lr": 0.01},
    "bd-cspn": {"num_confident": 3},
    "pt-map": {"num_steps": 2},
}


def random_episodes(seed: int = 0, width: int = 5) -> FeatureEpisodes:
    """Features above 0, as a ReLU leaves them, near a place of their class; float64."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(num: int) -> Tensor:
        return torch.rand(TASKS, num, width, generator=generator, dtype=torch.float64)

    places = uniform(WAYS)
    labels = torch.arange(WAYS).repeat(SHOTS).repeat(TASKS, 1)
    support = places.repeat(1, SHOTS, 1) + 0.5 * uniform(WAYS * SHOTS)
    queries = places.repeat(1, QUERIES, 1) + 0.5 * uniform(WAYS * QUERIES)
    centre = torch.full((TASKS, 1, width), 0.7, dtype=torch.float64)
    return FeatureEpisodes(support, labels, queries, WAYS, centre)


def every_head() -> list[HeadConfig]:
    return [head_of(name, QUICK.get(name, {})) for name in HEADS]


each_head = pytest.mark.parametrize("head", every_head(), ids=lambda head: head.head)


def without_centre(episodes: FeatureEpisodes, head: HeadConfig) -> FeatureEpisodes:
    """As learners give them."""
    return episodes if head.centred else episodes._replace(centre=None)


def scores_of(head: HeadConfig, episodes: FeatureEpisodes) -> Tensor:
    """Class probabilities, which leave out what all classes have in common."""
    return torch.softmax(class_scores(head, without_centre(episodes, head)), -1)


@each_head
def test_a_batch_of_tasks_is_its_tasks_one_by_one(head: HeadConfig) -> None:
    episodes = random_episodes()
    tensors = episodes.support, episodes.labels, episodes.queries, episodes.centre
    for task in (2, 0):
        support, labels, queries, centre = (each[task : task + 1] for each in tensors)  # type: ignore[index]
        alone = scores_of(head, FeatureEpisodes(support, labels, queries, WAYS, centre))
        assert_close(alone[0], scores_of(head, episodes)[task], rtol=0, atol=1e-4)


@each_head
def test_the_order_of_classes_queries_and_examples_is_nothing(head: HeadConfig) -> None:
    episodes = random_episodes(1)
    expected = scores_of(head, episodes)
    classes = torch.tensor([2, 0, 1])  # the new name of each
    renamed = scores_of(head, episodes._replace(labels=classes[episodes.labels]))
    assert_close(renamed[..., classes], expected, rtol=0, atol=1e-6)
    order = torch.randperm(WAYS * QUERIES, generator=torch.Generator().manual_seed(2))
    shuffled = scores_of(head, episodes._replace(queries=episodes.queries[:, order]))
    assert_close(shuffled, expected[:, order], rtol=0, atol=1e-6)
    back = episodes._replace(support=episodes.support.flip(1), labels=episodes.labels.flip(1))
    assert_close(scores_of(head, back), expected, rtol=0, atol=1e-6)


@each_head
def test_queries_are_classified(head: HeadConfig) -> None:
    right = scores_of(head, random_episodes(3, width=30)).argmax(-1)
    assert (right == torch.arange(WAYS).repeat(QUERIES)).float().mean() > 0.9


@each_head
def test_only_transductive_heads_look_at_the_other_queries(head: HeadConfig) -> None:
    episodes = random_episodes()
    moved = episodes.queries.clone()
    moved[:, -1] = moved[:, -1].flip(-1) * 2
    change = scores_of(head, episodes._replace(queries=moved)) - scores_of(head, episodes)
    depends = bool(change[:, :-1].abs().max() > 1e-9)
    assert depends is head.transductive is ("transductive" in head.title)
    one = episodes._replace(queries=episodes.queries[:, :1])
    if head.transductive:
        with pytest.raises(ValueError, match="jointly, at least 2 of them, got 1"):
            scores_of(head, one)
    else:
        assert_close(scores_of(head, one), scores_of(head, episodes)[:, :1])


def test_simpleshot_by_hand() -> None:
    """Less (1, 1), unit length: (1, 0), (0, 1) and (0.6, 0.8), at 0.8 and 0.4 from them."""
    episodes = FeatureEpisodes(
        torch.tensor([[[2.0, 1.0], [1.0, 3.0]]]),
        torch.tensor([[0, 1]]),
        torch.tensor([[[4.0, 5.0]]]),
        2,
        torch.tensor([[[1.0, 1.0]]]),
    )
    assert_close(class_scores(SimpleShotConfig(), episodes), torch.tensor([[[-0.8, -0.4]]]))


def test_prototypes_are_those_of_protonet() -> None:
    support, labels, queries, ways, _ = random_episodes()
    expected = prototype_logits(queries, prototypes(support, labels, ways))
    episodes = FeatureEpisodes(support, labels, queries, ways)
    assert torch.equal(class_scores(head_of("prototypes", {}), episodes), expected)


def test_ridge_by_hand() -> None:
    """X = [[1, 1], [-1, 1]] with the ones, XᵀX = 2 I, λ = 2, Y = I: W = Xᵀ / 4.

    With (1, 0) once more the normal equations: XᵀX = [[3, 1], [1, 3]] + 1 I, of determinant 15,
    XᵀY = [[2, -1], [2, 1]], so W = [[4, -1], [-1, 4]] XᵀY / 15 = [[6, -5], [6, 5]] / 15.
    """
    x, y = torch.tensor([[[1.0], [-1.0]]]), torch.eye(2)[None]
    assert_close(ridge_weights(x, y, 2.0), torch.tensor([[[0.25, -0.25], [0.25, 0.25]]]))
    weights = ridge_weights(torch.cat([x[:, :1], x], 1), torch.cat([y[:, :1], y], 1), 1.0)
    assert_close(weights, torch.tensor([[[0.4, -1 / 3], [0.4, 1 / 3]]]))


@pytest.mark.parametrize("width", [2, 9])
def test_ridge_and_its_gradients_are_those_of_least_squares(width: int) -> None:
    """‖X W - Y‖² + λ‖W‖² is ‖[X; √λ I] W - [Y; 0]‖²; more examples than features, and fewer."""
    generator = torch.Generator().manual_seed(width)
    x, y = (
        torch.rand(2, 6, size, generator=generator, dtype=torch.float64).requires_grad_()
        for size in (width, WAYS)
    )
    log_lambda = torch.tensor(-0.7, dtype=torch.float64, requires_grad=True)
    root = torch.exp(log_lambda / 2) * torch.eye(width + 1, dtype=torch.float64).expand(2, -1, -1)
    rows = torch.cat([with_ones(x), root], 1)
    targets = torch.cat([y, torch.zeros(2, width + 1, WAYS, dtype=torch.float64)], 1)
    expected = torch.linalg.lstsq(rows, targets).solution
    ours = ridge_weights(x, y, torch.exp(log_lambda))
    assert_close(ours, expected)
    gradients = (
        torch.autograd.grad(weights.sin().sum(), [x, y, log_lambda]) for weights in (ours, expected)
    )
    for one, other in zip(*gradients, strict=True):
        assert_close(one, other)


def test_ridge_of_what_is_not_finite_is_not_either() -> None:
    """So that the check of scores finds it, as everywhere else."""
    weights = ridge_weights(torch.full((1, 2, 1), torch.nan), torch.eye(2)[None], 1.0)
    assert weights.isnan().all()
    with pytest.raises(ValueError, match=r"need.*features \[M, S, D\].*got \(2, 1\)"):
        ridge_weights(torch.ones(2, 1), torch.eye(2)[None], 1.0)


def test_options_of_heads_are_checked() -> None:
    head = head_of("ridge", {"regularisation": 3, "scale": 2.0})
    assert head.options == {"regularisation": 3.0, "scale": 2.0}
    with pytest.raises(ValueError, match="tim: num_steps must be at least 0, got -1"):
        head_of("tim", {"num_steps": -1})
    with pytest.raises(ValueError, match=r"simpleshot: .*scale is no option here"):
        head_of("simpleshot", {"scale": 2.0})

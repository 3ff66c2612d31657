"""Reptile's outer step against plain SGD on every task, one after another."""

import copy
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from small_learners import CONV4, MLP, SHOTS, WAYS, draw, make_small
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, mse_loss

from metarl.configs import complaint
from metarl.fewshot import Episodes
from metarl.fewshot.configs import BackboneConfig, ReptileConfig
from metarl.fewshot.episodes import EpisodeSamplers
from metarl.fewshot.from_config import Problem, make_backbone, make_learner
from metarl.fewshot.headed_network import HeadedNetwork
from metarl.fewshot.reptile_classifier import ReptileClassifier
from metarl.fewshot.samplers import SinusoidSampler

DOUBLE = torch.float64


def make(backbone: BackboneConfig = MLP, **settings: Any) -> ReptileClassifier:
    settings = {"num_inner_steps": 3, "inner_batch_size": 4, "inner_lr": 0.3} | settings
    learner = make_small("reptile", backbone, **settings)
    assert isinstance(learner, ReptileClassifier)
    learner.network.double()
    return learner


def values(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def with_rows(network: HeadedNetwork, num_ways: int) -> HeadedNetwork:
    """A copy whose head has a row for every class."""
    rows = copy.deepcopy(network)
    if len(rows.head_weight) != num_ways:
        rows.head_weight = nn.Parameter(rows.head_weight.detach().repeat(num_ways, 1))
        rows.head_bias = nn.Parameter(rows.head_bias.detach().repeat(num_ways))
    return rows


def trained(network: HeadedNetwork, batches: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Parameters after plain SGD on a task's mini-batches."""
    model = with_rows(network, WAYS).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.3)
    for x, y in batches:
        optimiser.zero_grad()
        outputs = linear(model.backbone(x), model.head_weight, model.head_bias)
        cross_entropy(outputs, y).backward()
        optimiser.step()
    return values(model)


def mini_batches(learner: ReptileClassifier, episodes: Episodes) -> list[tuple[Tensor, Tensor]]:
    """Those that its next update will draw, ``[M, B, ...]`` for every step."""
    return list(learner._mini_batches(episodes))


@pytest.mark.parametrize("backbone", [MLP, CONV4])
@pytest.mark.parametrize("head", ["free", "shared"])
@pytest.mark.parametrize("task_chunk", [0, 1, 2])
def test_parameters_move_towards_those_of_plain_training(
    backbone: BackboneConfig, head: str, task_chunk: int
) -> None:
    """θ + ε mean_m (θ'_m - θ) with ε = 0.7, for three tasks."""
    learner = make(backbone, head=head, lr=0.7, task_chunk=task_chunk)
    episodes = draw(3, dtype=DOUBLE)
    batches = mini_batches(learner, episodes)
    theta = values(learner.network)
    adapted = [trained(learner.network, [(x[m], y[m]) for x, y in batches]) for m in range(3)]
    learner.update([episodes])
    for name, value in learner.network.named_parameters():
        if head == "shared" and name.startswith("head"):
            continue
        mean = torch.stack([one[name] for one in adapted]).mean(0)
        assert not torch.allclose(mean, theta[name])
        torch.testing.assert_close(value.detach(), theta[name] + 0.7 * (mean - theta[name]))


def test_a_shared_row_stays() -> None:
    """The rows of a softmax move apart, and their mean does not move."""
    learner = make(head="shared")
    before = values(learner.network)
    learner.update([draw(3, dtype=DOUBLE)])
    after = values(learner.network)
    torch.testing.assert_close(after["head_weight"], before["head_weight"])
    torch.testing.assert_close(after["head_bias"], before["head_bias"])


def test_the_loss_is_that_of_the_queries_after_adaptation() -> None:
    learner, episodes = make(head="free"), draw(2, dtype=DOUBLE)
    batches = mini_batches(learner, episodes)
    expected = []
    for m in range(2):
        adapted = trained(learner.network, [(x[m], y[m]) for x, y in batches])
        model = copy.deepcopy(learner.network)
        model.load_state_dict(adapted)
        outputs = linear(model.backbone(episodes.query_x[m]), model.head_weight, model.head_bias)
        expected.append(cross_entropy(outputs, episodes.query_y[m]))
    losses, outputs = learner.losses(episodes)
    torch.testing.assert_close(losses.detach(), torch.stack(expected).detach())
    assert outputs.shape == (2, 12, WAYS)


def test_mini_batches_are_of_support_and_query_without_repetition() -> None:
    learner, episodes = make(inner_batch_size=7, num_inner_steps=40), draw(3)
    x = torch.cat([episodes.support_x, episodes.query_x], 1).flatten(2)
    y = torch.cat([episodes.support_y, episodes.query_y], 1)
    counts = torch.zeros(3, x.shape[1])
    for batch_x, batch_y in learner._mini_batches(episodes):
        assert batch_x.shape == (3, 7, 1, 16, 16)
        same = (batch_x.flatten(2)[:, :, None] == x[:, None]).all(-1)  # [M, B, S + Q]
        chosen = same.float().argmax(-1)
        assert all(len(set(row)) == 7 for row in chosen.tolist())
        assert torch.equal(batch_y, y.gather(1, chosen))
        counts += same.sum(1)
    assert (counts.sum(1) == 7 * 40).all()
    # 280 draws of 18: each 15.6 times, and not from a part of them only
    assert (counts > 4).all()
    assert len({tuple(row) for row in counts.tolist()}) == 3


def test_mini_batches_are_at_most_the_episode() -> None:
    ((x, y),) = make(inner_batch_size=100, num_inner_steps=1)._mini_batches(draw(2))
    assert x.shape[:2] == y.shape == (2, WAYS * (SHOTS + 4))


def test_mini_batches_are_the_same_in_chunks_of_any_size() -> None:
    whole, chunked = make(), make()
    episodes = draw(3)
    expected = torch.stack([y for _, y in whole._mini_batches(episodes)])
    parts = [
        torch.stack([y for _, y in chunked._mini_batches(chunk)]) for chunk in episodes.chunks(2)
    ]
    assert torch.equal(torch.cat(parts, 1), expected)


def test_adaptation_at_test_is_that_of_maml() -> None:
    """From the same start, steps on the whole support set."""
    episodes = draw(2)
    reptile, maml = (make_small(name, inner_lr=0.3) for name in ("reptile", "maml"))
    maml.network.load_state_dict(reptile.network.state_dict())
    paths = [
        learner.fit(episodes.support_x, episodes.support_y, WAYS, 2) for learner in (reptile, maml)
    ]
    assert len(paths[0]) == 3
    for ours, theirs in zip(*paths, strict=True):
        for name, value in ours.items():
            torch.testing.assert_close(value, theirs[name])


def test_regression() -> None:
    """One task and ε = 1: the parameters are those of the task."""
    sampler = SinusoidSampler(10, 5)
    learner = make_learner(
        ReptileConfig(meta_batch_size=1, inner_lr=0.01, num_inner_steps=2),
        make_backbone(MLP, (1,), torch.Generator().manual_seed(2)),
        Problem((1,), 1, regression=True, train_source=None),
        EpisodeSamplers(sampler, sampler, 2),
        iterations=10,
        seed=0,
        device=torch.device("cpu"),
    )
    assert isinstance(learner, ReptileClassifier)
    (episodes,) = learner.collect()
    model = copy.deepcopy(learner.network)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    for x, y in mini_batches(learner, episodes):
        optimiser.zero_grad()
        mse_loss(linear(model.backbone(x[0]), model.head_weight, model.head_bias), y[0]).backward()
        optimiser.step()
    learner.update([episodes])
    for name, value in learner.network.named_parameters():
        torch.testing.assert_close(value, model.get_parameter(name))


def test_reptile_learns_to_adapt() -> None:
    """On patterns that it trains on, so that a few updates are enough."""
    learner = make_small("reptile", CONV4, inner_lr=0.5, lr_decay="none", seed=1)
    before = learner.evaluate()
    for _ in range(30):
        learner.update(learner.collect())
    after = learner.evaluate()
    assert after["eval/score"] > before["eval/score"] + 0.05


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"first_order": False}, "first_order must be True, got False"),
        ({"adapted": "head"}, "adapted must be 'all', got 'head'"),
        ({"learned_lr": "step"}, "learned_lr must be 'none', got 'step'"),
        ({"multi_step_iterations": 5}, "multi_step_iterations must be 0, got 5"),
        ({"compile": True}, "compile must be False, got True"),
        ({"head": "prototypes"}, "head must be one of 'shared' or 'free', got 'prototypes'"),
        ({"inner_batch_size": 0}, "inner_batch_size must be at least 1, got 0"),
    ],
)
def test_settings_that_mean_nothing(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ReptileConfig(**settings)
    assert complaint(caught.value) == message

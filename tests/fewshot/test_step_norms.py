"""Scale and shift of batch normalisation for every step (MAML++): a loop over tasks, identities."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from small_learners import CONV4, MLP, WAYS, draw, make_small
from test_maml_classifier import PlainConv4, make_double
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from metarl.fewshot import Episodes
from metarl.fewshot.headed_network import affine_norms, backbone_state
from metarl.fewshot.maml_classifier import MAMLClassifier

DOUBLE = torch.float64
NORMS = [f"backbone.blocks.{k}.norm.{part}" for k in range(4) for part in ("weight", "bias")]


def rows_of(learner: MAMLClassifier) -> dict[str, nn.Parameter]:
    """What is added in each step, by the names of the scales and shifts."""
    own: Any = learner.network.step_norms
    return {f"backbone.{key.replace('/', '.')}": value for key, value in own.items()}


def make(**settings: Any) -> MAMLClassifier:
    """MAML++ in float64 with rows that are not 0, one loss, two steps."""
    options = {"head": "free", "lr": 0.0, "multi_step_iterations": 0, "num_inner_steps": 2}
    return make_double("maml++", **options | settings)


def loop(
    learner: MAMLClassifier, episodes: Episodes, rows: dict[str, Tensor], num_steps: int
) -> Tensor:
    """Mean query loss, one task after the other; rows ``[K, C]`` are what norms have in all."""
    model = PlainConv4(learner)
    values = {name: p.detach().requires_grad_() for name, p in model.named_parameters()}
    ours = dict(zip(values, model.names(), strict=True))
    losses = []
    for task in range(episodes.num_episodes):
        fast = {n: v for n, v in values.items() if ours[n] not in rows}
        for step in range(num_steps):
            norms = {n: rows[name][step] for n, name in ours.items() if name in rows}
            logits = torch.func.functional_call(model, fast | norms, (episodes.support_x[task],))
            loss = cross_entropy(logits, episodes.support_y[task])
            gradients = torch.autograd.grad(loss, list(fast.values()), create_graph=True)
            fast = {
                n: v - learner.step_sizes[ours[n]][step].item() * g
                for (n, v), g in zip(fast.items(), gradients, strict=True)
            }
        logits = torch.func.functional_call(model, fast | norms, (episodes.query_x[task],))
        losses.append(cross_entropy(logits, episodes.query_y[task]))
    return torch.stack(losses).mean()


def test_every_step_normalises_by_its_own_and_learns_it() -> None:
    """The loss and the gradient of every row, against a loop; the last step's serve the query."""
    learner, episodes = make(), draw(dtype=DOUBLE)
    base = dict(learner.network.named_parameters())
    rows = {n: (base[n] + v).detach().requires_grad_() for n, v in rows_of(learner).items()}
    loss = loop(learner, episodes, rows, 2)
    metrics = learner.update([episodes])
    torch.testing.assert_close(metrics["meta/loss"], loss.item(), rtol=1e-10, atol=0)
    for name, gradient in zip(rows, torch.autograd.grad(loss, rows.values()), strict=True):
        assert (gradient.abs().amax(1) > 1e-7).all(), f"the test says nothing about {name}"
        ours = rows_of(learner)[name].grad
        torch.testing.assert_close(ours, gradient, rtol=1e-8, atol=1e-10, msg=name)


def test_scales_and_shifts_do_not_adapt_and_the_first_ones_stay() -> None:
    learner, episodes = make(lr=0.1), draw(dtype=DOUBLE)
    before = {name: value.clone() for name, value in learner.network.named_parameters()}
    assert not set(NORMS) & set(learner.step_sizes)
    path = learner.fit(episodes.support_x, episodes.support_y, WAYS, 3)
    for name in NORMS:
        rows = [before[name] + rows_of(learner)[name][k] for k in (0, 0, 1, 1)]  # the last serves
        for params, expected in zip(path, rows, strict=True):
            torch.testing.assert_close(params[name], expected.expand_as(params[name]))
    learner.update([episodes])
    for name, value in learner.network.named_parameters():
        moved = not torch.equal(value, before[name])
        assert moved == (name not in NORMS), name


def test_rows_of_zeros_are_norms_that_do_not_adapt() -> None:
    """As with a step size of 0 for scales and shifts."""
    own, plain = make(), make(step_norms=False)
    for value in rows_of(own).values():
        value.data.zero_()
    for name in NORMS:
        plain.step_sizes[name].data.zero_()
    episodes = draw(dtype=DOUBLE)
    paths = [each.fit(episodes.support_x, episodes.support_y, WAYS, 2) for each in (own, plain)]
    for ours, theirs in zip(*paths, strict=True):
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, msg=name)


def test_the_state_has_them() -> None:
    learner, other = make(lr=0.1), make(lr=0.1)
    learner.update([draw(dtype=DOUBLE)])
    other.load_state_dict(learner.state_dict())
    for name, value in rows_of(learner).items():
        assert torch.equal(rows_of(other)[name], value)


def test_a_backbone_that_is_taken_over_normalises_as_in_the_first_step() -> None:
    learner = make()
    state, rows = backbone_state(learner.network), rows_of(learner)
    base = dict(learner.network.named_parameters())
    for name in NORMS:
        expected = base[name] + rows[name][0]
        torch.testing.assert_close(state[name.removeprefix("backbone.")], expected.detach())
    untouched = "blocks.0.weight"
    assert torch.equal(state[untouched], base[f"backbone.{untouched}"])


def test_a_network_without_batch_norm_has_none() -> None:
    learner = make_small("maml++", MLP)
    assert isinstance(learner, MAMLClassifier)
    assert not rows_of(learner)
    learner.update([draw()])


def test_norms_of_torch_are_found_and_others_not() -> None:
    module = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.BatchNorm1d(2, affine=False), nn.GroupNorm(1, 2)
    )
    assert affine_norms(module) == ["1.weight", "1.bias"]


@pytest.mark.parametrize("name", ["maml", "anil", "proto-maml", "meta-sgd"])
def test_others_have_none_unless_told(name: str) -> None:
    learner = make_small(name)
    assert isinstance(learner, MAMLClassifier)
    assert not rows_of(learner)
    told = make_small(name, CONV4, step_norms=True)
    assert isinstance(told, MAMLClassifier)
    assert set(rows_of(told)) == set(NORMS)
    metrics = told.update([draw()])
    assert metrics["meta/skipped"] == 0
    assert replace(told.config, step_norms=False) == learner.config

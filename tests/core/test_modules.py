"""``MAML``, ``AdaptedModel`` and ``ProtoNet`` as a plain PyTorch user holds them."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from metarl.core import (
    MAML,
    SGD,
    LearnedStepSizes,
    Momentum,
    ProtoNet,
    expand,
    lift,
    meta_loss,
    parameters_of,
    prototypes,
)
from metarl.types import Params

Examples = tuple[Tensor, Tensor]


@pytest.fixture
def model() -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    for value in net.parameters():
        nn.init.normal_(value, std=0.5, generator=generator)
    return net


@pytest.fixture
def lines() -> Examples:
    """Four linear regression tasks of ten points."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(4, 10, 2, generator=generator, dtype=torch.float64)
    slopes = torch.randn(4, 2, 1, generator=generator, dtype=torch.float64)
    return x, x @ slopes


def regression(params: Params, batch: Examples, model: nn.Module) -> Tensor:
    return (lift(model)(params, batch[0]) - batch[1]).square().mean((1, 2))


def test_meta_loss_is_the_core_s(model: nn.Module, lines: Examples) -> None:
    losses = MAML(model, 0.1, 2, loss=mse_loss).meta_loss(*lines, *lines)
    losses.mean().backward()  # type: ignore[no-untyped-call]  # torch gives it no types

    def loss(params: Params, batch: Examples) -> Tensor:
        return regression(params, batch, model)

    theta = parameters_of(model)
    expected = meta_loss(SGD(0.1), loss, loss, expand(theta, 4), [lines] * 2, lines)
    gradients = torch.autograd.grad(expected.mean(), list(theta.values()))
    torch.testing.assert_close(losses, expected)
    for value, gradient in zip(model.parameters(), gradients, strict=True):
        assert gradient.abs().max() > 1e-3
        torch.testing.assert_close(value.grad, gradient)


def test_options_reach_the_core(model: nn.Module, lines: Examples) -> None:
    full = MAML(model, 0.1, loss=mse_loss)
    first_order = MAML(model, 0.1, loss=mse_loss, first_order=True)
    frozen = MAML(model, 0.1, loss=mse_loss, mask=["2.bias"])
    second, first = (
        torch.autograd.grad(maml.meta_loss(*lines, *lines).mean(), next(model.parameters()))[0]
        for maml in (full, first_order)
    )
    assert not torch.allclose(second, first)
    adapted, own = frozen.adapt(*lines).params, parameters_of(model)
    changed = [name for name in own if not torch.equal(adapted[name], expand(own, 4)[name])]
    assert changed == ["2.bias"]


def test_adaptation_lowers_the_loss_of_every_task(model: nn.Module, lines: Examples) -> None:
    maml = MAML(model, 0.1, loss=mse_loss)
    x, y = lines
    before = (maml(x) - y).square().mean((1, 2))
    after = (maml.adapt(x, y, num_inner_steps=20)(x) - y).square().mean((1, 2))
    assert (after < 0.5 * before).all()


def test_adaptation_leaves_the_model_and_keeps_no_graph(model: nn.Module, lines: Examples) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    outputs = MAML(model, 0.1, loss=mse_loss).adapt(*lines)(lines[0])
    assert not outputs.requires_grad
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_learned_step_sizes_get_gradients(model: nn.Module, lines: Examples) -> None:
    maml = MAML(model, nn.Parameter(torch.tensor(0.1)), loss=mse_loss)
    rates = {name: torch.full_like(p, 0.1).requires_grad_() for name, p in model.named_parameters()}
    meta_sgd = MAML(model, rates, loss=mse_loss)
    for learner in (maml, meta_sgd):
        learner.meta_loss(*lines, *lines).mean().backward()  # type: ignore[no-untyped-call]  # torch gives it no types
    rate = dict(maml.named_parameters())["inner_lr"]  # an optimiser over the module learns it
    assert rate.grad is not None
    total = sum(value.grad.sum().item() for value in rates.values() if value.grad is not None)
    assert rate.grad.item() != 0.0
    torch.testing.assert_close(rate.grad.item(), total, rtol=1e-6, atol=0)


def test_a_rule_is_taken_as_it_is(model: nn.Module, lines: Examples) -> None:
    """SGD's is that of the shorthand; another adapts in another way."""
    short = MAML(model, 0.1, 3, first_order=True, mask=["2.bias"], loss=mse_loss)
    sgd = MAML(model, num_inner_steps=3, rule=SGD(0.1, ["2.bias"], True), loss=mse_loss)
    momentum = MAML(model, num_inner_steps=3, rule=Momentum(0.1), loss=mse_loss)
    x, y = lines
    assert torch.equal(sgd.meta_loss(x, y, x, y), short.meta_loss(x, y, x, y))
    assert torch.equal(sgd.adapt(x, y)(x), short.adapt(x, y)(x))
    assert not torch.allclose(momentum.adapt(x, y)(x), MAML(model, 0.1, 3).adapt(x, y)(x))


@pytest.mark.parametrize("beside", [{"inner_lr": 0.1}, {"first_order": True}, {"mask": []}])
def test_a_rule_and_what_it_replaces_are_not_given_together(
    model: nn.Module, beside: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="inner_lr, first_order and mask are in the rule"):
        MAML(model, rule=SGD(0.1), **beside)


def test_a_rule_has_to_fit_the_model(model: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"unknown parameters \['head'\]"):
        MAML(model, mask=["head"])


@pytest.mark.parametrize("num_steps", [None, 2])
def test_step_sizes_that_a_rule_learns_are_parameters(
    model: nn.Module, lines: Examples, num_steps: int | None
) -> None:
    maml = MAML(model, num_inner_steps=2, rule=SGD(LearnedStepSizes(0.1, num_steps)), loss=mse_loss)
    losses = maml.meta_loss(*lines, *lines)
    torch.testing.assert_close(losses, MAML(model, 0.1, 2, loss=mse_loss).meta_loss(*lines, *lines))
    losses.mean().backward()  # type: ignore[no-untyped-call]  # torch gives it no types
    learned = [p for name, p in maml.named_parameters() if name.startswith("learned")]
    assert len(learned) == len(list(model.parameters()))
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in learned)


def test_adapted_model_round_trip(model: nn.Module, lines: Examples) -> None:
    x, y = lines
    maml = MAML(model, 0.1, loss=mse_loss)
    tuned, other = maml.adapt(x, y), maml.adapt(x, -y)
    assert not torch.equal(other(x), tuned(x))
    other.load_state_dict(tuned.state_dict())
    assert torch.equal(other(x), tuned(x))


@pytest.mark.parametrize("shape", [(3, 10, 2), (4,)])
def test_adapted_model_names_a_wrong_shape(
    model: nn.Module, lines: Examples, shape: tuple[int, ...]
) -> None:
    tuned = MAML(model, 0.1, loss=mse_loss).adapt(*lines)
    with pytest.raises(ValueError, match=r"need inputs \[M=4, B, ...\], got"):
        tuned(torch.zeros(shape, dtype=torch.float64))


def test_support_and_query_must_match_their_targets(model: nn.Module, lines: Examples) -> None:
    x, y = lines
    maml = MAML(model, loss=mse_loss)
    with pytest.raises(ValueError, match="support needs inputs"):
        maml.meta_loss(x, y[:, 1:], x, y)
    with pytest.raises(ValueError, match="query needs inputs"):
        maml.meta_loss(x, y, x[1:], y)


def test_inner_steps_cannot_be_negative(model: nn.Module) -> None:
    with pytest.raises(ValueError, match="num_inner_steps must be at least 0, got -1"):
        MAML(model, num_inner_steps=-1)


def episode() -> tuple[Tensor, Tensor, Tensor]:
    """Two tasks, three classes of four shots, five queries."""
    generator = torch.Generator().manual_seed(2)
    labels = torch.arange(12).remainder(3).expand(2, 12)
    draw = torch.randn(2, 17, 6, generator=generator, dtype=torch.float64)
    return draw[:, :12], labels, draw[:, 12:]


def test_protonet_is_a_linear_classifier_on_its_embeddings() -> None:
    """Softmax of the logits = softmax of 2 c·f - ||c||² (Snell et al. 2017, section 2.4)."""
    support, labels, queries = episode()
    encoder = nn.Linear(6, 4).double()
    centres = prototypes(encoder(support), labels, 3)
    linear = 2.0 * encoder(queries) @ centres.mT - centres.square().sum(-1)[:, None]
    logits = ProtoNet(encoder)(support, labels, queries)
    torch.testing.assert_close(logits.softmax(-1), linear.softmax(-1))


def test_protonet_does_not_mind_the_order_of_shots() -> None:
    support, labels, queries = episode()
    proto, order = ProtoNet(nn.Identity()), torch.arange(11, -1, -1)
    permuted = proto(support[:, order], labels[:, order], queries)
    torch.testing.assert_close(permuted, proto(support, labels, queries))


def test_protonet_flattens_embeddings() -> None:
    support, labels, queries = episode()
    images = nn.Unflatten(-1, (2, 3))
    folded = ProtoNet(nn.Identity())(images(support), labels, images(queries))
    torch.testing.assert_close(folded, ProtoNet(nn.Identity())(support, labels, queries))


def test_protonet_names_a_missing_class() -> None:
    support, labels, queries = episode()
    labels = labels.clone()
    labels[1, labels[1] == 1] = 2
    with pytest.raises(ValueError, match="class 1 has no support example in task 1"):
        ProtoNet(nn.Identity())(support, labels, queries)

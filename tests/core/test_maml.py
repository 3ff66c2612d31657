"""The meta-gradient: golden numbers, an independent loop, identities; Reptile's loss."""

from typing import Any

import pytest
import torch
from inner_problems import Examples, curved, curved_task, quadratic, scalar, task_pair
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from metarl.core import (
    SGD,
    GradientRule,
    Momentum,
    adapt,
    expand,
    lift,
    meta_loss,
    parameters_of,
    reptile_loss,
)
from metarl.nn import MLP
from metarl.types import Params


@pytest.mark.parametrize(("first_order", "expected"), [(False, 3.09), (True, 3.90)])
def test_meta_gradient_of_two_quadratics(first_order: bool, expected: float) -> None:
    """Golden: L_m(w) = a_m (w - c_m)² / 2 inside and outside, w = 2, α = 0.1, summed over tasks.

    ∇L_m(w) = a_m (w - c_m) = (2, 3), so w' = 2 - 0.1 (2, 3) = (1.8, 1.7) and
    ∇L_m(w') = (1 · 1.8, 3 · 0.7) = (1.8, 2.1). The first-order meta-gradient is their sum, 3.9.
    The second order has the factor dw'/dw = 1 - α a_m = (0.9, 0.7): 1.62 + 1.47 = 3.09.
    """
    w = scalar(2.0)
    losses = meta_loss(
        SGD(0.1, first_order=first_order),
        quadratic,
        quadratic,
        expand({"w": w}, 2),
        [task_pair()],
        task_pair(),
    )
    torch.testing.assert_close(losses.detach().tolist(), [0.5 * 1.8**2, 1.5 * 0.7**2])
    (gradient,) = torch.autograd.grad(losses.sum(), w)
    torch.testing.assert_close(gradient.item(), expected)


@pytest.mark.parametrize("first_order", [False, True])
def test_gradient_of_a_learned_step_size(first_order: bool) -> None:
    """Golden: dL_m(w')/dα = -∇L_m(w') ∇L_m(w) = -(1.8 · 2 + 2.1 · 3) = -9.9 in either order."""
    params, lr = expand({"w": scalar(2.0)}, 2), scalar(0.1)
    losses = meta_loss(
        SGD(lr, first_order=first_order), quadratic, quadratic, params, [task_pair()], task_pair()
    )
    (gradient,) = torch.autograd.grad(losses.sum(), lr)
    torch.testing.assert_close(gradient.item(), -9.9)


def loop_meta_loss(
    model: nn.Module, support: Examples, query: Examples, num_steps: int, first_order: bool
) -> tuple[list[Tensor], Params]:
    """Losses and summed meta-gradient of one task after another, as in the paper's algorithm."""
    theta: Params = dict(model.named_parameters())
    losses = []
    for task in range(len(support[0])):
        fast = dict(theta)
        for _ in range(num_steps):
            outputs = torch.func.functional_call(model, fast, (support[0][task],))
            gradients = torch.autograd.grad(
                mse_loss(outputs, support[1][task]),
                list(fast.values()),
                create_graph=not first_order,
            )
            fast = {
                name: value - 0.1 * gradient
                for (name, value), gradient in zip(fast.items(), gradients, strict=True)
            }
        outputs = torch.func.functional_call(model, fast, (query[0][task],))
        losses.append(mse_loss(outputs, query[1][task]))
    gradients = torch.autograd.grad(torch.stack(losses).sum(), list(theta.values()))
    return losses, dict(zip(theta, gradients, strict=True))


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("num_steps", [1, 3])
@pytest.mark.parametrize("native", [True, False])
def test_meta_gradient_equals_a_loop_over_tasks(
    native: bool, num_steps: int, first_order: bool
) -> None:
    generator = torch.Generator().manual_seed(1)
    model: nn.Module = MLP([3, 6, 5, 2], "tanh", generator)
    if not native:
        model = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2))
        for value in model.parameters():
            nn.init.normal_(value, generator=generator)
    model.double()

    def draw(size: int, width: int) -> Tensor:
        return torch.randn(4, size, width, generator=generator, dtype=torch.float64)

    support, query = (draw(7, 3), draw(7, 2)), (draw(8, 3), draw(8, 2))
    forward = lift(model)

    def loss(params: Params, batch: Examples) -> Tensor:
        return (forward(params, batch[0]) - batch[1]).square().mean((1, 2))

    theta = parameters_of(model)
    losses = meta_loss(
        SGD(0.1, first_order=first_order),
        loss,
        loss,
        expand(theta, 4),
        [support] * num_steps,
        query,
    )
    gradients = torch.autograd.grad(losses.sum(), list(theta.values()))

    expected_losses, expected = loop_meta_loss(model, support, query, num_steps, first_order)
    torch.testing.assert_close(losses, torch.stack(expected_losses), rtol=0, atol=1e-10)
    for name, gradient in zip(theta, gradients, strict=True):
        torch.testing.assert_close(gradient, expected[name], rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", [SGD, Momentum])
def test_gradcheck_of_meta_loss(kind: type[GradientRule[Any]]) -> None:
    """Three steps, so that velocities matter to velocities."""
    params, support, query = curved_task()
    rates = {"w": torch.full((2,), 0.3), "b": torch.tensor(0.2)}
    inputs = [value.double().requires_grad_() for value in (*params.values(), *rates.values())]

    def loss(w: Tensor, b: Tensor, lr_w: Tensor, lr_b: Tensor) -> Tensor:
        rule = kind({"w": lr_w, "b": lr_b})
        return meta_loss(rule, curved, curved, {"w": w, "b": b}, [support] * 3, query)

    assert torch.autograd.gradcheck(loss, inputs)


@pytest.mark.parametrize("rule", [SGD(0.3), SGD(0.3, ["b"]), Momentum(0.3)], ids=str)
def test_compiled_meta_gradients_are_the_same(rule: GradientRule[Any]) -> None:
    """Compiled code takes another way to the inner gradients."""
    params, support, query = curved_task()

    def total(params: Params) -> Tensor:
        return meta_loss(rule, curved, curved, params, [support] * 2, query).sum()

    def gradient(params: Params) -> Params:
        return torch.func.grad(total)(params)

    leaves = {name: value.requires_grad_() for name, value in params.items()}
    expected = torch.autograd.grad(total(leaves), list(leaves.values()))
    compiled = torch.compile(gradient, backend="eager", fullgraph=True)(
        {name: value.detach() for name, value in params.items()}
    )
    for ours, theirs in zip(compiled.values(), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_no_supports_give_the_plain_loss() -> None:
    params, _, query = curved_task()
    losses = meta_loss(SGD(0.5), curved, curved, params, [], query)
    torch.testing.assert_close(losses, curved(params, query), rtol=0, atol=0)


def test_orders_agree_where_the_inner_loss_is_linear() -> None:
    gradients: list[Tensor] = []
    for first_order in (False, True):
        w = scalar(2.0)
        losses = meta_loss(
            SGD(0.1, first_order=first_order),
            lambda params, batch: batch[0] * params["w"],
            quadratic,
            expand({"w": w}, 2),
            [task_pair()] * 2,
            task_pair(),
        )
        gradients += torch.autograd.grad(losses.sum(), w)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=1e-14)


def test_the_gradient_of_reptiles_loss_is_the_way_to_the_adapted_parameters() -> None:
    """Σ_m (θ - θ'_m) in what the tasks share, by any number of axes; the loss itself is 0."""
    params, support, _ = curved_task()
    theta = {name: value[0].clone().requires_grad_() for name, value in params.items()}
    start = expand(theta, 3)
    with torch.no_grad():
        adapted = adapt(SGD(0.5), curved, start, [support] * 2)
    losses = reptile_loss(start, adapted)
    assert losses.tolist() == [0.0] * 3
    for name, gradient in zip(
        theta, torch.autograd.grad(losses.sum(), theta.values()), strict=True
    ):
        torch.testing.assert_close(gradient, (start[name] - adapted[name]).detach().sum(0))
        assert gradient.abs().max() > 1e-3

"""The inner loop and the meta-gradient: golden numbers, an independent loop, identities, errors."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from metarl.core import adapt, expand, inner_step, lift, meta_loss, parameters_of
from metarl.nn import MLP
from metarl.types import Params, StepSize

Examples = tuple[Tensor, Tensor]


def quadratic(params: Params, batch: Examples) -> Tensor:
    curvature, centre = batch
    return 0.5 * curvature * (params["w"] - centre) ** 2


def curved(params: Params, batch: Examples) -> Tensor:
    """A regression loss with derivatives of every order in both parameters."""
    x, y = batch
    outputs = torch.tanh((x * params["w"][:, None]).sum(-1)) * params["b"][:, None]
    return (outputs - y).square().mean(1)


@pytest.fixture
def task_pair() -> Examples:
    """Curvatures a = (1, 3) and centres c = (0, 1)."""
    return (
        torch.tensor([1.0, 3.0], dtype=torch.float64),
        torch.tensor([0.0, 1.0], dtype=torch.float64),
    )


@pytest.fixture
def curved_task() -> tuple[Params, Examples, Examples]:
    """Three tasks with two features: parameters, a support batch and a query batch."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    params = {"w": draw(3, 2), "b": draw(3)}
    return params, (draw(3, 4, 2), draw(3, 4)), (draw(3, 5, 2), draw(3, 5))


def scalar(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(("first_order", "expected"), [(False, 3.09), (True, 3.90)])
def test_meta_gradient_of_two_quadratics(
    task_pair: Examples, first_order: bool, expected: float
) -> None:
    """Golden: L_m(w) = a_m (w - c_m)² / 2 inside and outside, w = 2, α = 0.1, summed over tasks.

    ∇L_m(w) = a_m (w - c_m) = (2, 3), so w' = 2 - 0.1 (2, 3) = (1.8, 1.7) and
    ∇L_m(w') = (1 · 1.8, 3 · 0.7) = (1.8, 2.1). The first-order meta-gradient is their sum, 3.9.
    The second order has the factor dw'/dw = 1 - α a_m = (0.9, 0.7): 1.62 + 1.47 = 3.09.
    """
    w = scalar(2.0)
    losses = meta_loss(
        quadratic,
        quadratic,
        expand({"w": w}, 2),
        [task_pair],
        task_pair,
        lr=0.1,
        first_order=first_order,
    )
    torch.testing.assert_close(losses.detach().tolist(), [0.5 * 1.8**2, 1.5 * 0.7**2])
    (gradient,) = torch.autograd.grad(losses.sum(), w)
    torch.testing.assert_close(gradient.item(), expected)


@pytest.mark.parametrize("first_order", [False, True])
def test_gradient_of_a_learned_step_size(task_pair: Examples, first_order: bool) -> None:
    """Golden: dL_m(w')/dα = -∇L_m(w') ∇L_m(w) = -(1.8 · 2 + 2.1 · 3) = -9.9 in either order."""
    params, lr = expand({"w": scalar(2.0)}, 2), scalar(0.1)
    losses = meta_loss(
        quadratic, quadratic, params, [task_pair], task_pair, lr=lr, first_order=first_order
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
        loss,
        loss,
        expand(theta, 4),
        [support] * num_steps,
        query,
        lr=0.1,
        first_order=first_order,
    )
    gradients = torch.autograd.grad(losses.sum(), list(theta.values()))

    expected_losses, expected = loop_meta_loss(model, support, query, num_steps, first_order)
    torch.testing.assert_close(losses, torch.stack(expected_losses), rtol=0, atol=1e-10)
    for name, gradient in zip(theta, gradients, strict=True):
        torch.testing.assert_close(gradient, expected[name], rtol=0, atol=1e-10)


def test_gradcheck_of_meta_loss(curved_task: tuple[Params, Examples, Examples]) -> None:
    params, support, query = curved_task
    rates = {"w": torch.full((2,), 0.3), "b": torch.tensor(0.2)}
    inputs = [value.double().requires_grad_() for value in (*params.values(), *rates.values())]

    def loss(w: Tensor, b: Tensor, lr_w: Tensor, lr_b: Tensor) -> Tensor:
        lr = {"w": lr_w, "b": lr_b}
        return meta_loss(curved, curved, {"w": w, "b": b}, [support, support], query, lr=lr)

    assert torch.autograd.gradcheck(loss, inputs)


def test_a_zero_step_size_changes_nothing(
    curved_task: tuple[Params, Examples, Examples],
) -> None:
    params, support, _ = curved_task
    assert_equal(adapt(curved, params, [support] * 3, lr=0.0), params)


def test_no_supports_give_the_plain_loss(
    curved_task: tuple[Params, Examples, Examples],
) -> None:
    params, _, query = curved_task
    losses = meta_loss(curved, curved, params, [], query, lr=0.5)
    torch.testing.assert_close(losses, curved(params, query), rtol=0, atol=0)


def test_orders_agree_where_the_inner_loss_is_linear(task_pair: Examples) -> None:
    gradients: list[Tensor] = []
    for first_order in (False, True):
        w = scalar(2.0)
        losses = meta_loss(
            lambda params, batch: batch[0] * params["w"],
            quadratic,
            expand({"w": w}, 2),
            [task_pair] * 2,
            task_pair,
            lr=0.1,
            first_order=first_order,
        )
        gradients += torch.autograd.grad(losses.sum(), w)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=1e-14)


def test_the_mask_adapts_named_parameters_only(
    curved_task: tuple[Params, Examples, Examples],
) -> None:
    params, support, _ = curved_task
    masked = inner_step(curved, params, support, lr=0.5, mask=["b"])
    everything = inner_step(curved, params, support, lr=0.5)
    assert_equal(masked, {"w": params["w"], "b": everything["b"]})
    assert not torch.equal(masked["b"], params["b"])


def test_an_empty_mask_adapts_nothing(curved_task: tuple[Params, Examples, Examples]) -> None:
    params, support, _ = curved_task
    assert_equal(adapt(curved, params, [support], lr=0.5, mask=()), params)


def test_unknown_names_in_the_mask(curved_task: tuple[Params, Examples, Examples]) -> None:
    params, support, _ = curved_task
    with pytest.raises(ValueError, match=r"unknown parameters \['head'\]; there are \['b', 'w'\]"):
        inner_step(curved, params, support, lr=0.5, mask=["w", "head"])


def test_a_step_size_for_each_step(curved_task: tuple[Params, Examples, Examples]) -> None:
    params, support, query = curved_task
    first = inner_step(curved, params, support, lr=0.5)
    second = inner_step(curved, first, query, lr={"w": torch.tensor(0.1), "b": torch.tensor(0.0)})
    sizes: list[StepSize] = [0.5, {"w": torch.tensor(0.1), "b": torch.tensor(0.0)}]
    assert_equal(adapt(curved, params, [support, query], lr=sizes), second)
    assert torch.equal(second["b"], first["b"])


def test_as_many_step_sizes_as_steps(curved_task: tuple[Params, Examples, Examples]) -> None:
    params, support, _ = curved_task
    with pytest.raises(ValueError, match="lr has 2 step sizes for 3 inner steps"):
        adapt(curved, params, [support] * 3, lr=[0.1, 0.1])


@pytest.mark.parametrize("requires_grad", [True, False])
def test_no_grad_gives_the_same_numbers_and_no_graph(
    curved_task: tuple[Params, Examples, Examples], requires_grad: bool
) -> None:
    params, support, _ = curved_task
    params = {name: value.requires_grad_(requires_grad) for name, value in params.items()}
    with_graph = adapt(curved, params, [support] * 3, lr=0.5)
    with torch.no_grad():
        without = adapt(curved, params, [support] * 3, lr=0.5)
    assert_equal(without, with_graph)
    assert not any(value.requires_grad for value in without.values())


def test_an_unused_parameter_stays(curved_task: tuple[Params, Examples, Examples]) -> None:
    params, support, _ = curved_task
    unused = torch.ones(3, 4, dtype=torch.float64)
    adapted = inner_step(curved, {**params, "unused": unused}, support, lr=0.5)
    torch.testing.assert_close(adapted["unused"], unused, rtol=0, atol=0)


def test_dependent_parameters_step_along_partial_derivatives() -> None:
    """Golden: b = 2a, L = a b, a = 1, α = 0.1: a' = 1 - 0.1 b = 0.8, b' = 2 - 0.1 a = 1.9.

    The total derivative dL/da = 4a would give a' = 0.6. The outer loss a' b' is
    (a - 0.2 a)(2 a - 0.1 a) = 1.52 a², so its gradient at a = 1, through both, is 3.04.
    """
    a = torch.ones(1, dtype=torch.float64, requires_grad=True)

    def product(params: Params, batch: None) -> Tensor:
        return params["a"] * params["b"]

    adapted = adapt(product, {"a": a, "b": 2 * a}, [None], lr=0.1)
    torch.testing.assert_close([adapted["a"].item(), adapted["b"].item()], [0.8, 1.9])
    (gradient,) = torch.autograd.grad(product(adapted, None).sum(), a)
    torch.testing.assert_close(gradient.item(), 3.04)


@pytest.mark.parametrize("shape", [(), (1,), (3, 1), (3, 4)])
def test_losses_must_be_one_a_task(
    curved_task: tuple[Params, Examples, Examples], shape: tuple[int, ...]
) -> None:
    params, support, _ = curved_task

    def wrong(params: Params, batch: Examples) -> Tensor:
        return params["b"].sum() * torch.ones(shape, dtype=torch.float64)

    with pytest.raises(ValueError, match=r"one a task, \(3,\), got"):
        inner_step(wrong, params, support, lr=0.5)


@pytest.mark.parametrize(
    "params",
    [{}, {"w": torch.zeros(())}, {"w": torch.zeros(3), "b": torch.zeros(2)}],
    ids=["none", "scalar", "different"],
)
def test_parameters_must_share_the_task_axis(params: Params, task_pair: Examples) -> None:
    with pytest.raises(ValueError, match="must share a leading axis M"):
        inner_step(quadratic, params, task_pair, lr=0.1)


def assert_equal(actual: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert list(actual) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, rtol=0, atol=0, msg=name)


def test_tied_parameters_take_their_partial_derivatives() -> None:
    """L = sum(a b) with a and b the same tensor: a steps along b, not along 2 b."""
    weight = torch.arange(1.0, 4.0, dtype=torch.float64, requires_grad=True)
    tied = weight.expand(2, 3)
    params = {"a": tied, "b": tied}

    def loss(params: Params, _: None) -> Tensor:
        return (params["a"] * params["b"]).sum(-1)

    stepped = inner_step(loss, params, None, lr=0.1)["a"]
    with torch.no_grad():
        plain = inner_step(loss, params, None, lr=0.1)["a"]
    torch.testing.assert_close(stepped, 0.9 * tied)
    torch.testing.assert_close(plain, 0.9 * tied)

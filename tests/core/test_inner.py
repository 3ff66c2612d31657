"""Inner rules and the fold: golden numbers, identities, what is learned, errors."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from inner_problems import Examples, curved, curved_task, quadratic, task_pair
from torch import Tensor

from metarl.core import (
    SGD,
    GradientRule,
    LearnedStepSizes,
    MetaParameters,
    Momentum,
    adapt,
    adaptation_path,
)
from metarl.types import Params, StepSize

Kind = type[GradientRule[Any]]
RULES = pytest.mark.parametrize("kind", [SGD, Momentum])


def assert_equal(actual: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert list(actual) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, rtol=0, atol=0, msg=name)


@RULES
def test_a_zero_step_size_changes_nothing(kind: Kind) -> None:
    params, support, _ = curved_task()
    assert_equal(adapt(kind(0.0), curved, params, [support] * 3), params)


@RULES
def test_the_mask_adapts_named_parameters_only(kind: Kind) -> None:
    params, support, _ = curved_task()
    masked = adapt(kind(0.5, mask=["b"]), curved, params, [support])
    everything = adapt(kind(0.5), curved, params, [support])
    assert_equal(masked, {"w": params["w"], "b": everything["b"]})
    assert not torch.equal(masked["b"], params["b"])


@RULES
def test_an_empty_mask_adapts_nothing(kind: Kind) -> None:
    params, support, _ = curved_task()
    assert_equal(adapt(kind(0.5, mask=()), curved, params, [support]), params)


@RULES
def test_unknown_names_in_the_mask(kind: Kind) -> None:
    """Seen by who puts rule and network together, and by a step."""
    params, support, _ = curved_task()
    rule = kind(0.5, mask=["w", "head"])
    for use in (
        lambda: rule.meta_parameters(params),
        lambda: adapt(rule, curved, params, [support]),
    ):
        with pytest.raises(
            ValueError, match=r"unknown parameters \['head'\]; there are \['b', 'w'\]"
        ):
            use()


@RULES
def test_a_step_size_for_each_step(kind: Kind) -> None:
    params, support, query = curved_task()
    still = {"w": torch.tensor(0.1), "b": torch.tensor(0.0)}
    sizes: list[StepSize] = [0.5, still]
    first, second = adaptation_path(kind(sizes), curved, params, [support, query])[1:]
    assert_equal(first, adapt(kind(0.5), curved, params, [support]))
    assert torch.equal(second["b"], first["b"])
    assert not torch.equal(second["w"], first["w"])


@RULES
def test_the_last_step_size_serves_all_later_steps(kind: Kind) -> None:
    params, support, _ = curved_task()
    given = adapt(kind([0.5, 0.1, 0.1, 0.1]), curved, params, [support] * 4)
    assert_equal(adapt(kind([0.5, 0.1]), curved, params, [support] * 4), given)


@RULES
def test_an_empty_sequence_has_no_step_size(kind: Kind) -> None:
    with pytest.raises(ValueError, match="lr is an empty sequence"):
        kind([])


@RULES
@pytest.mark.parametrize("requires_grad", [True, False])
def test_no_grad_gives_the_same_numbers_and_no_graph(kind: Kind, requires_grad: bool) -> None:
    params, support, _ = curved_task()
    params = {name: value.requires_grad_(requires_grad) for name, value in params.items()}
    with_graph = adapt(kind(0.5), curved, params, [support] * 3)
    with torch.no_grad():
        without = adapt(kind(0.5), curved, params, [support] * 3)
    assert_equal(without, with_graph)
    assert not any(value.requires_grad for value in without.values())


@RULES
def test_an_unused_parameter_stays(kind: Kind) -> None:
    params, support, _ = curved_task()
    unused = torch.ones(3, 4, dtype=torch.float64)
    adapted = adapt(kind(0.5), curved, {**params, "unused": unused}, [support] * 2)
    torch.testing.assert_close(adapted["unused"], unused, rtol=0, atol=0)


@RULES
def test_dependent_parameters_step_along_partial_derivatives(kind: Kind) -> None:
    """Golden: b = 2a, L = a b, a = 1, α = 0.1: a' = 1 - 0.1 b = 0.8, b' = 2 - 0.1 a = 1.9.

    The total derivative dL/da = 4a would give a' = 0.6. The outer loss a' b' is
    (a - 0.2 a)(2 a - 0.1 a) = 1.52 a², so its gradient at a = 1, through both, is 3.04.
    """
    a = torch.ones(1, dtype=torch.float64, requires_grad=True)

    def product(params: Params, batch: None) -> Tensor:
        return params["a"] * params["b"]

    adapted = adapt(kind(0.1), product, {"a": a, "b": 2 * a}, [None])
    torch.testing.assert_close([adapted["a"].item(), adapted["b"].item()], [0.8, 1.9])
    (gradient,) = torch.autograd.grad(product(adapted, None).sum(), a)
    torch.testing.assert_close(gradient.item(), 3.04)


@RULES
def test_tied_parameters_take_their_partial_derivatives(kind: Kind) -> None:
    """L = sum(a b) with a and b the same tensor: a steps along b, not along 2 b."""
    weight = torch.arange(1.0, 4.0, dtype=torch.float64, requires_grad=True)
    tied = weight.expand(2, 3)
    params = {"a": tied, "b": tied}

    def loss(params: Params, _: None) -> Tensor:
        return (params["a"] * params["b"]).sum(-1)

    stepped = adapt(kind(0.1), loss, params, [None])["a"]
    with torch.no_grad():
        plain = adapt(kind(0.1), loss, params, [None])["a"]
    torch.testing.assert_close(stepped, 0.9 * tied)
    torch.testing.assert_close(plain, 0.9 * tied)


@RULES
@pytest.mark.parametrize("shape", [(), (1,), (3, 1), (3, 4)])
def test_losses_must_be_one_a_task(kind: Kind, shape: tuple[int, ...]) -> None:
    params, support, _ = curved_task()

    def wrong(params: Params, batch: Examples) -> Tensor:
        return params["b"].sum() * torch.ones(shape, dtype=torch.float64)

    with pytest.raises(ValueError, match=r"one a task, \(3,\), got"):
        adapt(kind(0.5), wrong, params, [support])


@pytest.mark.parametrize(
    "params",
    [{}, {"w": torch.zeros(())}, {"w": torch.zeros(3), "b": torch.zeros(2)}],
    ids=["none", "scalar", "different"],
)
def test_parameters_must_share_the_task_axis(params: Params) -> None:
    with pytest.raises(ValueError, match="must share a leading axis M"):
        adapt(SGD(0.1), quadratic, params, [task_pair()])


def test_a_function_makes_its_support_from_the_parameters_so_far() -> None:
    """As collection does: the second batch depends on what the first step led to."""
    params, support, query = curved_task()
    seen: list[Params] = []

    def collect(params: Params) -> Examples:
        seen.append(params)
        return support[0], support[1] + params["b"].detach()[:, None]

    path = adaptation_path(Momentum(0.5), curved, params, [collect, query, collect])
    for params_then, at in zip(seen, (path[0], path[2]), strict=True):
        assert_equal(params_then, at)
    batches = [(support[0], support[1] + p["b"].detach()[:, None]) for p in (path[0], path[2])]
    redone = adapt(Momentum(0.5), curved, params, [batches[0], query, batches[1]])
    assert_equal(redone, path[-1])


def test_two_steps_of_momentum() -> None:
    """Golden: L = a (w - c)² / 2, α = 0.1, μ = 0.5, w = 2, and (a, c) = (1, 0), (3, 1).

    Velocities 2 and 3, so w' = 1.8 and 1.7; then 0.5 · 2 + 1.8 = 2.8 and 0.5 · 3 + 3 · 0.7 = 3.6,
    so w'' = 1.52 and 1.34.
    """
    w = torch.full((2,), 2.0, dtype=torch.float64)
    path = adaptation_path(
        Momentum(0.1, momentum=0.5), quadratic, {"w": w}, [task_pair(), task_pair()]
    )
    torch.testing.assert_close(
        [p["w"].tolist() for p in path], [[2.0, 2.0], [1.8, 1.7], [1.52, 1.34]]
    )


def test_momentum_of_every_task_is_that_of_torch() -> None:
    params, support, _ = curved_task()
    adapted = adapt(Momentum([0.3, 0.2], momentum=0.8), curved, params, [support] * 4)
    for m in range(3):
        own = {name: value[m : m + 1].clone().requires_grad_() for name, value in params.items()}
        optimiser = torch.optim.SGD(own.values(), lr=0.3, momentum=0.8)
        for _ in range(4):
            optimiser.zero_grad()
            curved(own, (support[0][m : m + 1], support[1][m : m + 1])).backward()
            optimiser.step()
            optimiser.param_groups[0]["lr"] = 0.2
        for name, value in own.items():
            torch.testing.assert_close(adapted[name][m], value.detach()[0])


def test_without_momentum_it_is_gradient_descent() -> None:
    params, support, _ = curved_task()
    plain = adapt(SGD(0.3), curved, params, [support] * 3)
    assert_equal(adapt(Momentum(0.3, momentum=0.0), curved, params, [support] * 3), plain)
    fast = adapt(Momentum(0.3), curved, params, [support] * 3)
    assert not torch.equal(fast["w"], plain["w"])


@RULES
def test_a_fixed_rule_learns_nothing(kind: Kind) -> None:
    params, _, _ = curved_task()
    rule = kind(0.3)
    assert rule.meta_parameters(params) == {}
    assert rule.at({}) is rule


@RULES
def test_a_learned_step_size_for_every_number_that_adapts(kind: Kind) -> None:
    """Meta-SGD: they start alike, broadcast over the tasks, and steps take their parts of them."""
    params, support, _ = curved_task()
    rule = kind(LearnedStepSizes(0.3, factors=(1.0, 0.5)), mask=["w"])
    starts = rule.meta_parameters({"w": params["w"][0], "b": params["b"][0]})
    assert_equal(starts, {"w": torch.full((2,), 0.3, dtype=torch.float64)})
    values = {"w": torch.tensor([0.2, 0.7], dtype=torch.float64)}
    adapted = adapt(rule.at(values), curved, params, [support] * 3)
    sizes: list[StepSize] = [{"w": f * values["w"]} for f in (1.0, 0.5, 0.5)]
    assert_equal(adapted, adapt(kind(sizes, mask=["w"]), curved, params, [support] * 3))


@RULES
def test_a_learned_step_size_for_every_step_and_tensor(kind: Kind) -> None:
    """MAML++: the last serves all later steps."""
    params, support, _ = curved_task()
    rule = kind(LearnedStepSizes(0.3, num_steps=2))
    starts = rule.meta_parameters({"w": params["w"][0], "b": params["b"][0]})
    assert {name: value.tolist() for name, value in starts.items()} == {
        "w": [0.3, 0.3],
        "b": [0.3, 0.3],
    }
    values = {"w": torch.tensor([0.2, 0.7]), "b": torch.tensor([0.1, 0.4])}
    adapted = adapt(rule.at(values), curved, params, [support] * 3)
    sizes: list[StepSize] = [{k: v[min(i, 1)] for k, v in values.items()} for i in range(3)]
    assert_equal(adapted, adapt(kind(sizes), curved, params, [support] * 3))


@RULES
def test_learned_step_sizes_need_their_values(kind: Kind) -> None:
    params, support, _ = curved_task()
    with pytest.raises(ValueError, match=r"step sizes are learned: adapt with rule\.at"):
        adapt(kind(LearnedStepSizes(0.3)), curved, params, [support])


def test_meta_parameters_from_a_vector() -> None:
    theta = MetaParameters({"w": torch.zeros(2, 2), "b": torch.zeros(1)}, {"w": torch.zeros(3)})
    proposed = theta.proposed(torch.arange(8.0))
    assert proposed.network["w"].tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert proposed.network["b"].tolist() == [4.0]
    assert proposed.rule["w"].tolist() == [5.0, 6.0, 7.0]
    assert torch.equal(torch.cat([t.flatten() for t in proposed.tensors()]), torch.arange(8.0))

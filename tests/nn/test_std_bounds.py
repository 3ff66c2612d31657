"""σ of a Gaussian policy between its floor and its ceiling: no trap, and one σ everywhere."""

import math

import pytest
import torch
from torch import Tensor, nn

from metarl.core import SGD, adaptation_path, expand, parameters_of
from metarl.nn import Gaussian, GaussianPolicy
from metarl.types import Params

FLOOR, CEILING = -0.7, 0.3  # no float is either


def make_policy(log_std: float) -> GaussianPolicy:
    policy = GaussianPolicy(nn.Linear(2, 2), 2, min_log_std=FLOOR, max_log_std=CEILING)
    nn.init.zeros_(policy.mean.weight)
    nn.init.zeros_(policy.mean.bias)
    with torch.no_grad():
        policy.log_std.fill_(log_std)
    return policy


def acting(policy: GaussianPolicy, params: Params | None = None) -> Gaussian:
    own = expand(parameters_of(policy), 1) if params is None else params
    return policy.distribution(own, torch.zeros(1, 5, 2))


def loss_of(policy: GaussianPolicy, size: float) -> Tensor:
    """Negative log density of actions that want a standard deviation of that size."""
    return -acting(policy).log_prob(torch.full((1, 5, 2), size)).mean()


BEYOND = pytest.mark.parametrize(
    ("beyond", "bound"), [(FLOOR - 1e-2, FLOOR), (CEILING + 1e-2, CEILING), (FLOOR - 3.0, FLOOR)]
)


@BEYOND
def test_beyond_a_bound_it_acts_as_the_bound_does(beyond: float, bound: float) -> None:
    policy, at = make_policy(beyond), make_policy(bound)
    assert torch.equal(acting(policy).log_std, acting(at).log_std)
    assert policy.metrics() == at.metrics()
    assert policy.metrics()["meta/std"] == pytest.approx(math.exp(bound))
    noise, zeros = torch.ones(1, 5, 2), torch.zeros(1, 5, 2)
    actions = policy.act(expand(parameters_of(policy), 1), zeros, noise)
    torch.testing.assert_close(actions, torch.full_like(actions, math.exp(bound)))
    torch.testing.assert_close(loss_of(policy, 0.8), loss_of(at, 0.8))
    old = acting(make_policy(0.0))
    assert torch.equal(acting(policy).kl_from(old), acting(at).kl_from(old))


@BEYOND
def test_any_optimiser_comes_back(beyond: float, bound: float) -> None:
    """One step of Adam beyond, and far beyond; what is wanted lies within."""
    policy = make_policy(beyond)
    optimiser = torch.optim.Adam([policy.log_std], lr=0.05)
    for _ in range(150):
        optimiser.zero_grad()
        loss_of(policy, 0.8).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert policy.metrics()["meta/std"] == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("log_std", [FLOOR, -0.2, CEILING])
def test_within_its_bounds_nothing_happens(log_std: float) -> None:
    policy = make_policy(log_std)
    own = parameters_of(policy)
    projected = policy.within_bounds(own)
    assert list(projected) == list(own)
    assert all(torch.equal(projected[name], value) for name, value in own.items())
    (gradient,) = torch.autograd.grad(projected["log_std"].sum(), policy.log_std)
    assert gradient.tolist() == [1.0, 1.0]
    (gradient,) = torch.autograd.grad(acting(policy).log_std.sum(), policy.log_std)
    assert gradient.tolist() == [1.0, 1.0]


def test_steps_of_adaptation_end_within_the_bounds() -> None:
    """Golden: from -0.2, a step of -2 ends on the floor, and one of +0.3 leaves it again."""
    policy = make_policy(-0.2)
    start = expand(parameters_of(policy), 1)

    def loss(params: Params, slope: float) -> Tensor:
        return slope * params["log_std"].sum(-1)

    path = adaptation_path(SGD(1.0), loss, start, [2.0, -0.3], policy.within_bounds)
    found = [params["log_std"][0, 0].item() for params in path]
    assert found == pytest.approx([-0.2, FLOOR, FLOOR + 0.3])
    (gradient,) = torch.autograd.grad(path[-1]["log_std"].sum(), policy.log_std)
    assert gradient.tolist() == [0.0, 0.0]  # the floor, whatever the start


def test_the_policys_own_parameters_move_to_their_bounds() -> None:
    policy = make_policy(-3.0)
    with torch.no_grad():
        policy.log_std[1] = 3.0
    policy.keep_within_bounds()
    assert policy.log_std.tolist() == pytest.approx([FLOOR, CEILING])
    policy.log_std.requires_grad_(False)  # what is frozen is not among the parameters of a step
    assert list(policy.within_bounds({"mean.bias": torch.zeros(2)})) == ["mean.bias"]


def test_second_derivatives_pass_where_it_acts_as_a_bound() -> None:
    policy = make_policy(FLOOR - 0.1)
    (slope,) = torch.autograd.grad(loss_of(policy, 2.0), policy.log_std, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), policy.log_std)
    torch.testing.assert_close(curvature, torch.full((2,), 2 * 4 * math.exp(-2 * FLOOR)))


def test_starts_outside_the_bounds_are_refused() -> None:
    network = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"initial_log_std -2.0 is below its floor -1.0"):
        GaussianPolicy(network, 2, initial_log_std=-2.0, min_log_std=-1.0)
    with pytest.raises(ValueError, match=r"initial_log_std 1.0 is over its ceiling 0.5"):
        GaussianPolicy(network, 2, initial_log_std=1.0, max_log_std=0.5)
    with pytest.raises(ValueError, match=r"initial_log_std"):
        GaussianPolicy(network, 2, min_log_std=0.5, max_log_std=-0.5)

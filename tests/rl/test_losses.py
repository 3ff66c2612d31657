"""Policy-gradient losses against hand-computed numbers and torch's distributions."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence
from torch.testing import assert_close

from metarl.core import expand, parameters_of
from metarl.nn import Gaussian, GaussianPolicy, policy_network
from metarl.rl import AdvantageBatch
from metarl.rl.estimators import INNER_LOSSES, Estimator
from metarl.rl.losses import clipped_loss, inner_loss, mean_kl, surrogate_loss


def draw(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.fixture
def batch() -> AdvantageBatch:
    """3 tasks, 5 steps, the last of which is padding."""
    weights = draw(3, 3, 5).square()
    weights[:, -1] = 0.0
    return AdvantageBatch(
        draw(0, 3, 5, 2),
        draw(1, 3, 5, 2),
        draw(2, 3, 5),
        weights,
        rewards=draw(8, 3, 5),
        scale=torch.ones(3, 1, dtype=torch.float64),
        num_trajectories=1,
    )


@pytest.fixture
def policy() -> GaussianPolicy:
    generator = torch.Generator().manual_seed(0)
    return GaussianPolicy(policy_network(2, 2, hidden_sizes=(4,), generator=generator), 2).double()


def test_reinforce_gradient_of_one_linear_gaussian() -> None:
    """Golden: mean μ = w·s + b with w = 2, b = 0, log σ = 0; steps (s, a, A, weight):

    (1, 3, 1, ½) has a - μ = 1, (-1, -2, -4, ½) has a - μ = 0. With z = a - μ:
    dL/dw = -Σ weight A z s = -½; dL/db = -Σ weight A z = -½;
    dL/dlog σ = -Σ weight A (z² - 1) = -(½·1·0 + ½·(-4)·(-1)) = -2.
    """
    policy = GaussianPolicy(policy_network(1, 1, hidden_sizes=()), 1).double()
    with torch.no_grad():
        policy.get_parameter("mean.layers.0.weight").fill_(2.0)
    batch = AdvantageBatch(
        observations=torch.tensor([[[1.0], [-1.0]]], dtype=torch.float64),
        actions=torch.tensor([[[3.0], [-2.0]]], dtype=torch.float64),
        advantages=torch.tensor([[1.0, -4.0]], dtype=torch.float64),
        weights=torch.tensor([[0.5, 0.5]], dtype=torch.float64),
        rewards=torch.zeros(1, 2, dtype=torch.float64),
        scale=torch.ones(1, 1, dtype=torch.float64),
        num_trajectories=2,
    )
    params = expand(parameters_of(policy), 1)
    inner_loss(
        policy.distribution(params, batch.observations), batch, "log-likelihood"
    ).sum().backward()
    gradients = {name: p.grad.item() for name, p in policy.named_parameters() if p.grad is not None}
    assert gradients == pytest.approx(
        {"mean.layers.0.weight": -0.5, "mean.layers.0.bias": -0.5, "log_std": -2.0}
    )


def test_surrogate_at_the_old_policy_is_the_mean_advantage(
    policy: GaussianPolicy, batch: AdvantageBatch
) -> None:
    new = policy.distribution(expand(parameters_of(policy), 3), batch.observations)
    loss = surrogate_loss(new, new.detach(), batch)
    assert_close(loss, -(batch.weights * batch.advantages).sum(1))


@pytest.mark.parametrize("estimator", ["log-likelihood", "lvc", "loaded-dice"])
def test_surrogate_gradient_at_the_old_policy_is_the_policy_gradient(
    policy: GaussianPolicy, batch: AdvantageBatch, estimator: Estimator
) -> None:
    params = expand(parameters_of(policy), 3)
    new = policy.distribution(params, batch.observations)
    parameters = list(policy.parameters())
    surrogate = torch.autograd.grad(surrogate_loss(new, new.detach(), batch).sum(), parameters)
    reinforce = torch.autograd.grad(
        inner_loss(policy.distribution(params, batch.observations), batch, estimator).sum(),
        parameters,
    )
    for ours, expected in zip(surrogate, reinforce, strict=True):
        assert_close(ours, expected)
        assert expected.abs().max() > 1e-3


def test_surrogate_ratio(batch: AdvantageBatch) -> None:
    """Away from the old policy: the ratio of torch's densities."""
    new, old = (
        Gaussian(draw(4, 3, 5, 2), draw(5, 3, 1, 2)),
        Gaussian(draw(6, 3, 5, 2), draw(7, 3, 1, 2)),
    )
    densities = [
        Independent(Normal(mean, log_std.expand_as(mean).exp()), 1).log_prob(batch.actions).exp()
        for mean, log_std in (new, old)
    ]
    expected = -(densities[0] / densities[1] * batch.advantages * batch.weights).sum(1)
    assert_close(surrogate_loss(new, old, batch), expected)


def test_clipped_loss() -> None:
    """Golden, ε = 0.3 and ratios 2, 2, ½, ½ with A = 1, -1, 1, -1: 1.3, -2, 0.5, -0.7."""
    ratios = torch.tensor([2.0, 2.0, 0.5, 0.5], dtype=torch.float64)
    zeros = torch.zeros(1, 4, 1, dtype=torch.float64)
    # densities of action 0: the ratio is exp(-(μ² - μ_old²)/2)
    old = Gaussian(torch.full_like(zeros, 2.0), zeros[:, :1])
    new = Gaussian((4.0 - 2.0 * ratios.log()).sqrt()[None, :, None], zeros[:, :1])
    batch = AdvantageBatch(
        zeros,
        zeros,
        torch.tensor([[1.0, -1.0, 1.0, -1.0]], dtype=torch.float64),
        torch.full((1, 4), 0.25, dtype=torch.float64),
        zeros[..., 0],
        scale=zeros[:, 0],
        num_trajectories=1,
    )
    assert clipped_loss(new, old, batch, 0.3).item() == pytest.approx(-(1.3 - 2 + 0.5 - 0.7) / 4)


def test_mean_kl_is_torchs_from_the_old_policy(batch: AdvantageBatch) -> None:
    new, old = (
        Gaussian(draw(4, 3, 5, 2), draw(5, 3, 1, 2)),
        Gaussian(draw(6, 3, 5, 2), draw(7, 3, 1, 2)),
    )
    reference = kl_divergence(
        *(Independent(Normal(g.mean, g.log_std.expand_as(g.mean).exp()), 1) for g in (old, new))
    )
    assert_close(mean_kl(new, old, batch), (reference * batch.weights).sum(1))
    assert mean_kl(old, old, batch).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("estimator", INNER_LOSSES)
def test_steps_of_weight_zero_do_not_count(
    policy: GaussianPolicy, batch: AdvantageBatch, estimator: Estimator
) -> None:
    params = expand(parameters_of(policy), 3)
    changed = batch.map(torch.clone)
    for value in (changed.observations, changed.actions, changed.advantages, changed.rewards):
        value[:, -1] += 3.0
    new = policy.distribution(params, batch.observations)
    moved = policy.distribution(params, changed.observations)
    old = Gaussian(new.mean.detach() + 0.1, new.log_std.detach() - 0.2)
    expected = inner_loss(policy.distribution(params, batch.observations), batch, estimator)
    assert torch.equal(
        inner_loss(policy.distribution(params, changed.observations), changed, estimator), expected
    )
    assert torch.equal(surrogate_loss(moved, old, changed), surrogate_loss(new, old, batch))
    assert torch.equal(mean_kl(moved, old, changed), mean_kl(new, old, batch))


@pytest.mark.parametrize("estimator", INNER_LOSSES)
def test_losses_are_linear_in_the_weights(
    policy: GaussianPolicy, batch: AdvantageBatch, estimator: Estimator
) -> None:
    doubled = batch._replace(weights=2 * batch.weights)
    params = expand(parameters_of(policy), 3)
    new, old = (
        policy.distribution(params, batch.observations),
        Gaussian(draw(6, 3, 5, 2), draw(7, 3, 1, 2)),
    )
    once, twice = (
        inner_loss(policy.distribution(params, b.observations), b, estimator)
        for b in (batch, doubled)
    )
    assert_close(twice, 2 * once)
    assert_close(surrogate_loss(new, old, doubled), 2 * surrogate_loss(new, old, batch))
    assert_close(mean_kl(new, old, doubled), 2 * mean_kl(new, old, batch))

"""Gaussian distributions against torch's, and the policy around them."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from metarl.core import expand, parameters_of
from metarl.nn import Gaussian, GaussianPolicy


def draw(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.fixture
def gaussian() -> Gaussian:
    return Gaussian(draw(0, 4, 5, 3), draw(1, 4, 1, 3))


def reference(gaussian: Gaussian) -> Distribution:
    log_std = gaussian.log_std.expand_as(gaussian.mean)
    return Independent(Normal(gaussian.mean, log_std.exp()), 1)


def test_log_prob(gaussian: Gaussian) -> None:
    actions = draw(2, 4, 5, 3)
    torch.testing.assert_close(gaussian.log_prob(actions), reference(gaussian).log_prob(actions))


def test_kl_is_from_the_old_distribution(gaussian: Gaussian) -> None:
    old = Gaussian(draw(3, 4, 5, 3), draw(4, 4, 1, 3))
    expected = kl_divergence(reference(old), reference(gaussian))
    torch.testing.assert_close(gaussian.kl_from(old), expected)
    assert not torch.allclose(expected, kl_divergence(reference(gaussian), reference(old)))


def test_kl_from_itself_is_zero(gaussian: Gaussian) -> None:
    torch.testing.assert_close(gaussian.kl_from(gaussian), torch.zeros(4, 5, dtype=torch.float64))


def test_fisher_product_is_the_hessian_of_the_kl() -> None:
    old, tangent = Gaussian(draw(0, 3), draw(1, 3)), Gaussian(draw(2, 3), draw(3, 3))

    def kl(flat: Tensor) -> Tensor:
        return Gaussian(*flat.chunk(2)).kl_from(old)

    hessian = torch.autograd.functional.hessian(kl, torch.cat(old))  # type: ignore[no-untyped-call]  # torch gives it no types
    torch.testing.assert_close(torch.cat(old.fisher_product(tangent)), hessian @ torch.cat(tangent))


def test_detach_cuts_the_graph(gaussian: Gaussian) -> None:
    live = Gaussian(*(value.requires_grad_() for value in gaussian))
    assert not any(value.requires_grad for value in live.detach())


@pytest.fixture
def policy() -> GaussianPolicy:
    generator = torch.Generator().manual_seed(0)
    return GaussianPolicy(
        4, 2, hidden_sizes=(8,), initial_log_std=-0.5, min_log_std=-1.0, generator=generator
    ).double()


def test_the_mean_is_the_network_and_log_std_a_parameter(policy: GaussianPolicy) -> None:
    observations = draw(1, 3, 5, 4)
    distribution = policy.distribution(expand(parameters_of(policy), 3), observations)
    torch.testing.assert_close(distribution.mean, policy.mean(observations))
    assert torch.equal(distribution.log_std, torch.full((3, 1, 2), -0.5, dtype=torch.float64))


def test_log_std_has_a_floor_without_gradient(policy: GaussianPolicy) -> None:
    params = expand(parameters_of(policy), 1)
    log_std = torch.tensor([[-3.0, -0.9]], dtype=torch.float64, requires_grad=True)
    distribution = policy.distribution({**params, "log_std": log_std}, draw(1, 1, 5, 4))
    assert distribution.log_std.flatten().tolist() == [-1.0, -0.9]
    (gradient,) = torch.autograd.grad(distribution.log_std.sum(), log_std)
    assert gradient.tolist() == [[0.0, 1.0]]


def test_initial_log_std_is_not_below_its_floor() -> None:
    with pytest.raises(ValueError, match=r"initial_log_std -2.0 is below its floor -1.0"):
        GaussianPolicy(4, 2, initial_log_std=-2.0, min_log_std=-1.0)


def test_actions_are_the_mean_plus_scaled_noise(policy: GaussianPolicy) -> None:
    params, observations, noise = (
        expand(parameters_of(policy), 3),
        draw(1, 3, 5, 4),
        draw(2, 3, 5, 2),
    )
    mean = policy.distribution(params, observations).mean
    torch.testing.assert_close(policy.act(params, observations, torch.zeros_like(noise)), mean)
    scaled = mean + torch.tensor(-0.5, dtype=torch.float64).exp() * noise
    torch.testing.assert_close(policy.act(params, observations, noise), scaled)


def test_noise_comes_from_the_generator(policy: GaussianPolicy) -> None:
    before = torch.random.get_rng_state()
    first, second = (policy.noise((7, 3, 5), torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.shape == (7, 3, 5, 2)
    assert torch.equal(first, second)


def test_log_prob_of_an_action_reaches_every_parameter(policy: GaussianPolicy) -> None:
    own = parameters_of(policy)
    distribution = policy.distribution(expand(own, 3), draw(1, 3, 5, 4))
    log_probs = distribution.log_prob(draw(2, 3, 5, 2))
    for gradient in torch.autograd.grad(log_probs.sum(), list(own.values())):
        assert gradient.abs().max() > 0

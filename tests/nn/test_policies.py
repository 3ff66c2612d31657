"""Action distributions against torch's, and the policies around them."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from metarl.core import expand, parameters_of
from metarl.nn import Categorical, CategoricalPolicy, Gaussian, GaussianPolicy, policy_network


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
    """Of the weighted sum over two steps of one task, which share log σ."""
    weights = torch.tensor([[0.3, 0.5]], dtype=torch.float64)
    old, tangent = (Gaussian(draw(s, 1, 2, 3), draw(s + 1, 1, 1, 3)) for s in (0, 2))

    def kl(flat: Tensor) -> Tensor:
        new = Gaussian(flat[:6].reshape(1, 2, 3), flat[6:].reshape(1, 1, 3))
        return (new.kl_from(old) * weights).sum()

    hessian = hessian_of(kl, flat_of(old))
    torch.testing.assert_close(
        flat_of(old.fisher_product(tangent, weights)), hessian @ flat_of(tangent)
    )


def test_categorical_agrees_with_torch() -> None:
    ours, old = Categorical(draw(0, 4, 5, 3)), Categorical(draw(1, 4, 5, 3))
    theirs = torch.distributions.Categorical(logits=ours.logits)
    actions = torch.arange(20).reshape(4, 5) % 3
    torch.testing.assert_close(ours.log_prob(actions[..., None].double()), theirs.log_prob(actions))
    expected = kl_divergence(torch.distributions.Categorical(logits=old.logits), theirs)
    torch.testing.assert_close(ours.kl_from(old), expected)


def test_categorical_fisher_product_is_the_hessian_of_the_kl() -> None:
    weights = torch.tensor([[0.3, 0.5]], dtype=torch.float64)
    old, tangent = Categorical(draw(0, 1, 2, 3)), Categorical(draw(1, 1, 2, 3))

    def kl(flat: Tensor) -> Tensor:
        return (Categorical(flat.reshape(1, 2, 3)).kl_from(old) * weights).sum()

    hessian = hessian_of(kl, flat_of(old))
    torch.testing.assert_close(
        flat_of(old.fisher_product(tangent, weights)), hessian @ flat_of(tangent)
    )


def hessian_of(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    hessian: Tensor = torch.autograd.functional.hessian(function, at)  # type: ignore[no-untyped-call]  # torch gives it no types
    return hessian


def flat_of(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def test_detach_cuts_the_graph(gaussian: Gaussian) -> None:
    live = Gaussian(*(value.requires_grad_() for value in gaussian))
    assert not any(value.requires_grad for value in live.detach())


@pytest.fixture
def policy() -> GaussianPolicy:
    generator = torch.Generator().manual_seed(0)
    return GaussianPolicy(
        policy_network(4, 2, hidden_sizes=(8,), generator=generator),
        2,
        initial_log_std=-0.5,
        min_log_std=-1.0,
    ).double()


def test_the_mean_is_the_network_and_log_std_a_parameter(policy: GaussianPolicy) -> None:
    observations = draw(1, 3, 5, 4)
    distribution = policy.distribution(expand(parameters_of(policy), 3), observations)
    torch.testing.assert_close(distribution.mean, policy.mean(observations))
    assert torch.equal(distribution.log_std, torch.full((3, 1, 2), -0.5, dtype=torch.float64))


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
    first, second = (policy.noise((7, 3, 5), np.random.default_rng(4)) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.shape == (7, 3, 5, 2)
    assert torch.equal(first, second)


def test_log_prob_of_an_action_reaches_every_parameter(policy: GaussianPolicy) -> None:
    own = parameters_of(policy)
    distribution = policy.distribution(expand(own, 3), draw(1, 3, 5, 4))
    log_probs = distribution.log_prob(draw(2, 3, 5, 2))
    for gradient in torch.autograd.grad(log_probs.sum(), list(own.values())):
        assert gradient.abs().max() > 0


@pytest.fixture
def chooser() -> CategoricalPolicy:
    policy = CategoricalPolicy(
        policy_network(2, 3, hidden_sizes=(4,), generator=torch.Generator().manual_seed(0)), 3
    )
    with torch.no_grad():
        policy.logits.layers[1].bias += torch.tensor([0.0, 1.0, 2.0])
    return policy


def test_categorical_actions_are_drawn_by_their_probabilities(chooser: CategoricalPolicy) -> None:
    """Logits 0, 1, 2 (and a hundredth of noise from the weights): 0.090, 0.245, 0.665."""
    params, observations = expand(parameters_of(chooser), 1), torch.zeros(1, 50_000, 2)
    noise = chooser.noise((1, 50_000), np.random.default_rng(1))
    actions = chooser.act(params, observations, noise)
    assert actions.shape == (1, 50_000, 1)
    counts = torch.bincount(actions.flatten().long()) / 50_000
    # three standard deviations of a share are at most 0.007
    torch.testing.assert_close(counts, torch.tensor([0.090, 0.245, 0.665]), atol=0.01, rtol=0)


def test_without_noise_a_categorical_policy_takes_the_likeliest(chooser: CategoricalPolicy) -> None:
    params, observations = expand(parameters_of(chooser), 2), torch.zeros(2, 5, 2)
    actions = chooser.act(params, observations, torch.zeros(2, 5, 3))
    assert actions.flatten().tolist() == [2.0] * 10


def test_a_cnn_sees_each_tasks_own_weights_and_pixels() -> None:
    """The task-batched pass against torch's own convolutions, one task after another."""
    policy = CategoricalPolicy(
        policy_network(
            (5, 4, 2),
            3,
            hidden_sizes=(6,),
            context_size=2,
            generator=torch.Generator().manual_seed(0),
        ),
        3,
        context_size=2,
    ).double()
    params = {
        name: draw(i, 2, *value.shape)
        for i, (name, value) in enumerate(parameters_of(policy).items())
    }
    images = (draw(50, 2, 3, 5, 4, 2).abs() * 100).round()
    logits = policy.distribution(params, images.flatten(2)).logits
    for task in range(2):
        own = {name.removeprefix("logits."): value[task] for name, value in params.items()}
        x = images[task].permute(0, 3, 1, 2) / 255
        for k in (0, 1):
            weight, bias = own[f"convs.{k}.weight"], own[f"convs.{k}.bias"]
            x = torch.relu(torch.nn.functional.conv2d(x, weight, bias, stride=2, padding=1))
        x = torch.cat([x.flatten(1), own["context"].expand(3, -1)], 1)
        hidden = torch.tanh(x @ own["mlp.layers.0.weight"] + own["mlp.layers.0.bias"])
        expected = hidden @ own["mlp.layers.1.weight"] + own["mlp.layers.1.bias"]
        torch.testing.assert_close(logits[task], expected)


def test_the_context_is_an_input_that_meta_learning_leaves_alone() -> None:
    policy = GaussianPolicy(
        policy_network(2, 1, hidden_sizes=(4,), context_size=3), 1, context_size=3
    )
    assert policy.context.tolist() == [0.0, 0.0, 0.0]
    assert not policy.context.requires_grad
    plain, changed = expand(parameters_of(policy), 1), expand(parameters_of(policy), 1)
    changed["context"] = torch.ones(1, 3)
    observations = torch.ones(1, 1, 2)
    joined = torch.tensor([[1.0, 1.0, 1.0, 1.0, 1.0]])
    torch.testing.assert_close(
        policy.distribution(changed, observations).mean[0], policy.mean(joined)
    )
    assert not torch.equal(
        policy.distribution(plain, observations).mean,
        policy.distribution(changed, observations).mean,
    )


@pytest.mark.parametrize("shape", [4, (5, 5, 1)], ids=["MLP", "CNN"])
def test_a_standard_network_starts_with_small_outputs(shape: int | tuple[int, int, int]) -> None:
    """The last weights are a hundredth of Glorot's, whose bound is sqrt(6 / (8 + 2))."""
    network = policy_network(shape, 2, hidden_sizes=(6, 8))
    *_, hidden, _, last, bias = network.parameters()
    assert hidden.abs().max() > 0.1
    assert 0.001 < last.abs().max() <= 0.01 * 0.6**0.5
    assert not bias.any()


def test_the_head_is_what_follows_the_last_hidden_layer() -> None:
    gaussian = GaussianPolicy(policy_network(4, 2, hidden_sizes=(8, 8)), 2)
    assert gaussian.head_names() == ["log_std", "mean.layers.2.weight", "mean.layers.2.bias"]
    image = CategoricalPolicy(policy_network((5, 5, 1), 2, hidden_sizes=(8,)), 2)
    assert image.head_names() == ["logits.mlp.layers.1.weight", "logits.mlp.layers.1.bias"]

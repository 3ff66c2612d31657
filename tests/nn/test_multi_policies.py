"""Several discrete actions at once: distributions against torch's, and the policies around them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import kl_divergence

from metarl.core import expand, parameters_of
from metarl.nn import (
    Bernoulli,
    BernoulliPolicy,
    Categorical,
    MultiCategorical,
    MultiCategoricalPolicy,
    policy_network,
)
from metarl.nn.distributions import IMPOSSIBLE

SIZES = (3, 2, 4)


def draw(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def choices(flat: Tensor) -> MultiCategorical:
    """Of choices of 3, 2 and 4, side by side ``[M, B, 9]``."""
    policy = MultiCategoricalPolicy(policy_network(1, 9), SIZES)
    return MultiCategorical(policy._by_choice(flat))


def parts(flat: Tensor) -> list[Any]:
    return [torch.distributions.Categorical(logits=part) for part in flat.split(SIZES, -1)]


def test_choices_agree_with_torchs_one_by_one() -> None:
    ours, old = draw(0, 4, 5, 9), draw(1, 4, 5, 9)
    actions = torch.stack([torch.arange(20).reshape(4, 5) % size for size in SIZES], -1)
    expected = sum(part.log_prob(actions[..., g]) for g, part in enumerate(parts(ours)))
    torch.testing.assert_close(choices(ours).log_prob(actions.double()), expected)
    divergence = sum(map(kl_divergence, parts(old), parts(ours)))
    torch.testing.assert_close(choices(ours).kl_from(choices(old)), divergence)


def test_one_choice_is_a_categorical() -> None:
    flat, old = draw(0, 2, 3, 4), draw(1, 2, 3, 4)
    several, one = MultiCategorical(flat[:, :, None]), Categorical(flat)
    actions = torch.tensor([[[0.0], [1.0], [3.0]]]).expand(2, -1, -1)
    torch.testing.assert_close(several.log_prob(actions), one.log_prob(actions))
    torch.testing.assert_close(
        several.kl_from(MultiCategorical(old[:, :, None])), one.kl_from(Categorical(old))
    )


def test_switches_agree_with_torchs() -> None:
    ours, old = draw(0, 4, 5, 3), draw(1, 4, 5, 3)
    theirs, before = (torch.distributions.Bernoulli(logits=logits) for logits in (ours, old))
    actions = (draw(2, 4, 5, 3) > 0).double()
    torch.testing.assert_close(Bernoulli(ours).log_prob(actions), theirs.log_prob(actions).sum(-1))
    divergence = kl_divergence(before, theirs).sum(-1)
    torch.testing.assert_close(Bernoulli(ours).kl_from(Bernoulli(old)), divergence)


def test_certain_switches_have_finite_figures() -> None:
    """log σ(1000) = 0 and log σ(-1000) = -1000; p log p is 0 there, not NaN."""
    sure, other = Bernoulli(torch.tensor([[[1000.0]]])), Bernoulli(torch.tensor([[[-1000.0]]]))
    assert sure.log_prob(torch.ones(1, 1, 1)).item() == 0
    assert other.log_prob(torch.ones(1, 1, 1)).item() == -1000
    assert sure.kl_from(other).item() == 1000


@pytest.mark.parametrize(
    ("kind", "size"), [(choices, 9), (Bernoulli, 9)], ids=["choices", "switches"]
)
def test_the_fisher_product_is_the_hessian_of_the_kl(
    kind: Callable[[Tensor], Any], size: int
) -> None:
    """Through autograd of the padded logits, so that padding neither adds nor hides any."""
    weights = torch.tensor([[0.3, 0.5]], dtype=torch.float64)
    old, tangent = draw(0, 1, 2, size), draw(1, 1, 2, size)

    def kl(flat: Tensor) -> Tensor:
        return (kind(flat).kl_from(kind(old)) * weights).sum()

    hessian: Tensor = torch.autograd.functional.hessian(kl, old)  # type: ignore[no-untyped-call]  # torch gives it no types
    expected = (hessian.reshape(2 * size, -1) @ tangent.reshape(-1)).reshape(1, 2, size)
    moved = kind(tangent)
    if isinstance(moved, MultiCategorical):  # an impossible choice does not move
        moved = MultiCategorical(moved.logits * (moved.logits > IMPOSSIBLE))
    found = kind(old).fisher_product(moved, weights).logits
    if kind is choices:
        found = torch.cat([found[..., g, :k] for g, k in enumerate(SIZES)], -1)
    torch.testing.assert_close(found, expected)


@pytest.fixture(params=["choices", "switches"])
def policy(request: pytest.FixtureRequest) -> Any:
    network = policy_network(
        2, 5, hidden_sizes=(4,), generator=torch.Generator().manual_seed(0), context_size=1
    )
    with torch.no_grad():
        network.get_parameter("layers.1.bias").add_(torch.tensor([0.0, 1.0, -1.0, 0.5, 2.0]))
    if request.param == "choices":
        return MultiCategoricalPolicy(network, (3, 2), context_size=1)
    return BernoulliPolicy(network, 5, context_size=1)


def test_samples_have_the_probabilities_that_the_policy_says(policy: Any) -> None:
    """Three standard deviations of a share of 40,000 are at most 0.0075."""
    params, observations = expand(parameters_of(policy), 1), torch.zeros(1, 40_000, 2)
    noise = policy.noise((1, 40_000), np.random.default_rng(1))
    actions = policy.act(params, observations, noise)
    assert actions.shape == (1, 40_000, policy.action_width)
    logits = policy.distribution(params, observations[:, :1]).logits[0, 0]
    if isinstance(policy, BernoulliPolicy):
        torch.testing.assert_close(actions[0].mean(0), logits.sigmoid(), atol=0.0075, rtol=0)
        return
    for g, size in enumerate(policy.sizes):
        shares = torch.bincount(actions[0, :, g].long()) / 40_000
        torch.testing.assert_close(shares, logits[g].softmax(-1)[:size], atol=0.0075, rtol=0)


def test_without_noise_the_likeliest_is_taken(policy: Any) -> None:
    """Biases 0, 1, -1 | 0.5, 2: the second of both; of switches those above 0."""
    params, observations = expand(parameters_of(policy), 2), torch.zeros(2, 3, 2)
    actions = policy.act(params, observations, torch.zeros(2, 3, 5))
    likeliest = [1.0, 1.0] if policy.action_width == 2 else [0.0, 1.0, 0.0, 1.0, 1.0]
    torch.testing.assert_close(actions[..., 1:], torch.tensor(likeliest[1:]).expand(2, 3, -1))


def test_log_prob_of_an_action_reaches_every_parameter(policy: Any) -> None:
    own = {name: value.detach().requires_grad_() for name, value in parameters_of(policy).items()}
    distribution = policy.distribution(expand(own, 3), draw(1, 3, 5, 2).float())
    actions = torch.ones(3, 5, policy.action_width)
    for gradient in torch.autograd.grad(distribution.log_prob(actions).sum(), list(own.values())):
        assert gradient.abs().max() > 0

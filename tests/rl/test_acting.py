"""``Actor.act``: raw action, environment action and log-probability, and what it refuses."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from metarl.files import NonFiniteError
from metarl.rl import Actor, PolicySpec
from metarl.rl.actions import action_map

OBSERVATION = np.array([0.1, -0.2], np.float32)
NOISE = np.array([0.5, -2.0], np.float32)


@pytest.fixture
def actor() -> Actor:
    """±10 spans bounds of ±0.1; σ is 1 and e."""
    spec = PolicySpec(2, 2, (8,), "tanh", -1.5)
    policy = spec.build(generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        policy.get_parameter("log_std").copy_(torch.tensor([0.0, 1.0]))
    return Actor(policy, spec, action_map(spaces.Box(-0.1, 0.1, (2,)), 10.0), seed=3)


def test_raw_action_is_mean_plus_noise_times_std(actor: Actor) -> None:
    """And log π = Σ -ε²/2 - log σ - log √2π; an environment action is a hundredth of the raw."""
    mean = actor.policy.network(torch.from_numpy(OBSERVATION)).detach().numpy()
    acted = actor.act(OBSERVATION, NOISE)
    np.testing.assert_allclose(acted.raw_action, mean + NOISE * [1, math.e], rtol=1e-6)
    np.testing.assert_allclose(acted.action, acted.raw_action / 100, rtol=1e-5)
    expected = -0.5 * (0.25 + 4.0) - 1.0 - math.log(2 * math.pi)
    np.testing.assert_allclose(acted.log_prob, expected, rtol=1e-6)
    assert (acted.raw_action.shape, acted.action.shape, acted.log_prob.shape) == ((2,), (2,), ())


def test_only_the_environment_action_is_clipped(actor: Actor) -> None:
    acted = actor.act(OBSERVATION, [50.0, 0.0])
    assert acted.raw_action[0] > 49
    assert acted.action[0] == np.float32(0.1)


def test_without_noise_it_is_that_of_the_seed(actor: Actor) -> None:
    expected = np.random.default_rng(3).standard_normal((1, 1, 2), np.float32)
    ours, given = actor.act(OBSERVATION), actor.act(OBSERVATION, expected[0, 0])
    np.testing.assert_array_equal(ours.raw_action, given.raw_action)


def test_zero_noise_is_the_deterministic_prediction(actor: Actor) -> None:
    predicted, _ = actor.predict(OBSERVATION, deterministic=True)
    np.testing.assert_array_equal(actor.act(OBSERVATION, np.zeros(2)).action, predicted)


def test_a_batch_is_its_rows(actor: Actor) -> None:
    batch, noise = np.stack([OBSERVATION, 3 * OBSERVATION]), np.stack([NOISE, -NOISE])
    acted = actor.act(batch, noise)
    assert acted.log_prob.shape == (2,)
    for row in range(2):
        single = actor.act(batch[row], noise[row])
        for ours, theirs in zip(single, acted, strict=True):
            np.testing.assert_allclose(ours, theirs[row], rtol=1e-5)


def test_discrete_actions() -> None:
    """Logits of 0 but for a bias of log 2: probability 2/4; the noise of one decides."""
    spec = PolicySpec((3, 4, 1), 3, (8,), "relu", 0.0, categorical=True)
    policy = spec.build()
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.zero_()
        bias = policy.get_parameter("logits.mlp.layers.1.bias")
        bias.copy_(torch.tensor([0.0, math.log(2), 0.0]))
    actor = Actor(policy, spec, action_map(spaces.Discrete(3, start=5), 1.0))
    acted = actor.act(np.full((3, 4, 1), 7, np.uint8), np.zeros(3))
    assert (acted.raw_action.tolist(), acted.action.item()) == ([1.0], 6)
    assert acted.log_prob.item() == pytest.approx(math.log(0.5))
    assert actor.act(np.zeros((3, 4, 1)), [0, 0, 1.0]).action.item() == 7


@pytest.mark.parametrize(
    ("observation", "noise", "message"),
    [
        ([0.1], None, r"observation has shape \(1,\), need \(2,\), or \(B, 2\)"),
        ([[0.1, 0.2, 0.3]], None, r"observation has shape \(1, 3\)"),
        (0.5, None, r"observation has shape \(\)"),
        ([0.1, np.nan], None, "observation is not finite: nan at 1"),
        ([[0.1, 0.2], [-np.inf, 0.0]], None, "observation is not finite: -inf at 0"),
        ("fast", None, "observation must be numbers of shape"),
        ({"seen": 1.0}, None, "observation must be numbers of shape"),
        ([0.1, 0.2], [0.1], r"noise has shape \(1,\), need \(2,\)"),
        ([0.1, 0.2], [0.1, np.inf], "noise is not finite: inf at 1"),
        ([0.1, 0.2], [[0.1, 0.2]] * 2, "noise is of 2 actions, there are 1"),
    ],
)
def test_what_commands_no_motor(actor: Actor, observation: Any, noise: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        actor.act(observation, noise)
    assert "\n" not in str(caught.value)


def test_weights_that_are_no_numbers_command_no_motor(actor: Actor) -> None:
    with torch.no_grad():
        actor.policy.get_parameter("mean.layers.0.bias")[0] = torch.nan
    with pytest.raises(NonFiniteError, match="the policy's action is not finite"):
        actor.act(OBSERVATION)
    with pytest.raises(NonFiniteError, match="the policy's action is not finite"):
        actor.predict(OBSERVATION)

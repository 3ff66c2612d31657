"""Advantage batches: normalised within each task, blind to padding."""

from math import inf, nan

import pytest
import torch
from rl_samples import make_rollout
from torch.testing import assert_close

from metarl.rl import Rollout
from metarl.rl.advantages import advantage_batch, normalise, reward_signal

LENGTHS = [[20, 7], [12, 20]]


def scaled(rollout: Rollout, *scales: float) -> Rollout:
    factors = torch.tensor(scales, dtype=torch.float64)[:, None, None]
    return rollout._replace(rewards=rollout.rewards * factors)


def test_every_task_is_normalised_by_itself() -> None:
    """Rewards of the second task are a million times those of the first."""
    rollout = scaled(make_rollout(LENGTHS), 1e-2, 1e4)
    batch = advantage_batch(rollout, gae_lambda=0.95)
    for m, real in enumerate(rollout.mask.flatten(1)):
        advantages = batch.advantages[m][real]
        assert_close(advantages.mean().item(), 0.0, rtol=0, atol=1e-9)
        assert_close(advantages.std(correction=0).item(), 1.0, rtol=0, atol=1e-5)


def test_normalise() -> None:
    """Golden: 1, 3 and padding 9: mean 2, standard deviation 1."""
    advantages = torch.tensor([1.0, 3.0, 9.0], dtype=torch.float64).reshape(1, 3, 1)
    weights = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64).reshape(1, 3, 1)
    normalised, scale = normalise(advantages, weights)
    assert normalised.flatten().tolist() == pytest.approx([-1.0, 1.0, 0.0])
    assert scale.tolist() == [[[pytest.approx(1.0)]]]


@pytest.mark.parametrize("filler", [nan, inf, -1e30])
def test_padding_changes_nothing(filler: float) -> None:
    expected = advantage_batch(make_rollout(LENGTHS), gae_lambda=0.95)
    batch = advantage_batch(make_rollout(LENGTHS, filler=filler), gae_lambda=0.95)
    for value, reference in zip(batch.tensors.values(), expected.tensors.values(), strict=True):
        assert torch.equal(value, reference)


def test_weights_are_a_mean_over_real_steps() -> None:
    rollout = make_rollout(LENGTHS)
    weights = advantage_batch(rollout, gae_lambda=1.0).weights
    real = rollout.mask.flatten(1)
    assert weights[~real].tolist() == [0.0] * int((~real).sum())
    assert_close(weights.sum(1), torch.ones(2))
    assert_close(weights[0][real[0]], torch.full((27,), 1 / 27))


def test_steps_keep_their_order() -> None:
    """B = T·E with the environments innermost, for every field alike."""
    rollout = make_rollout([[4, 4], [4, 4]])
    batch = advantage_batch(rollout, gae_lambda=1.0)
    assert torch.equal(batch.observations[1, 2 * 3 + 1], rollout.observations[1, 3, 1])
    assert torch.equal(batch.actions[1, 2 * 3 + 1], rollout.actions[1, 3, 1])


def test_time_limit_bootstraps_and_termination_does_not() -> None:
    """The successor's observation matters at the time limit only."""
    rollout = make_rollout(LENGTHS)  # trajectory [0, 0] terminates
    before = advantage_batch(rollout, gae_lambda=0.95).advantages
    for trajectory, matters in (((0, 0), False), ((1, 0), True)):
        moved = rollout.final_observations.clone()
        moved[trajectory] += 5.0
        changed = rollout._replace(final_observations=moved)
        after = advantage_batch(changed, gae_lambda=0.95).advantages
        assert torch.equal(after, before) is not matters


def test_thinning_keeps_every_nth_step_and_the_total_weight() -> None:
    batch = advantage_batch(make_rollout(LENGTHS), gae_lambda=1.0)
    thin = batch.thin(3)
    assert torch.equal(thin.observations, batch.observations[:, ::3])
    assert_close(thin.weights.sum(1), torch.ones(2))
    assert thin.num_trajectories == 0
    assert torch.equal(thin.weights > 0, batch.weights[:, ::3] > 0)


def test_reward_signal() -> None:
    """γ = ½, two trajectories, the second one step shorter; the unit is 2.

    Step 0 has rewards 1 and 3, ±1 around their mean; step 1 has 4 and 8, ±2, discounted by ½; step
    2 has 6 alone, which is its own mean, and padding.
    """
    rewards = torch.tensor([[[1.0, 3.0], [4.0, 8.0], [6.0, 0.0]]])
    mask = torch.tensor([[[True, True], [True, True], [True, False]]])
    discounts = torch.where(mask, 0.5, 0.0)
    signal = reward_signal(rewards, discounts, mask, torch.full((1, 1, 1), 2.0))
    assert signal[0].tolist() == [[-0.5, 0.5], [-0.5, 0.5], [0.0, 0.0]]

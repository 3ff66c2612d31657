"""Advantage batches: normalised within each task, blind to padding."""

from math import inf, nan

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rl_samples import make_rollout
from torch.testing import assert_close

from metarl.rl import Rollout
from metarl.rl.advantages import SCALE_FLOOR, advantage_batch, normalise, reward_signal

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
    """Golden: 1, 3 and padding 9: mean 2, standard deviation 1, which counts as 4 below that."""
    advantages = torch.tensor([1.0, 3.0, 9.0], dtype=torch.float64).reshape(1, 3, 1)
    weights = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64).reshape(1, 3, 1)
    for floor, unit in ((0.5, 1.0), (4.0, 4.0)):
        normalised, scale = normalise(advantages, weights, floor=torch.tensor(floor))
        assert normalised.flatten().tolist() == pytest.approx([-1 / unit, 1 / unit, 0.0])
        assert scale.tolist() == [[[pytest.approx(unit)]]]


@given(
    st.lists(st.lists(st.integers(1, 9), min_size=2, max_size=2), min_size=1, max_size=3),
    st.floats(width=32) | st.sampled_from([nan, inf, -1e30]),
)
def test_padding_changes_nothing(lengths: list[list[int]], filler: float) -> None:
    expected = advantage_batch(make_rollout(lengths), gae_lambda=0.95)
    batch = advantage_batch(make_rollout(lengths, filler=filler), gae_lambda=0.95)
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
    """γ = ½, two trajectories, the second one step shorter.

    Step 0 has rewards 1 and 3, each the other's baseline; step 1 has 4 and 8, ±4 discounted by ½.
    In step 2 the first has 6, against 0 of the one that ended: ¼ of 6, and of -6 for the other, at
    its last step.
    """
    rewards = torch.tensor([[[1.0, 3.0], [4.0, 8.0], [6.0, 0.0]]])
    mask = torch.tensor([[[True, True], [True, True], [True, False]]])
    signal = reward_signal(rewards, 0.5 ** torch.arange(3)[None, :, None], mask)
    assert signal[0].tolist() == [[-2.0, 2.0], [-2.0, 2.0 - 1.5], [1.5, 0.0]]


def test_reward_signal_of_one_trajectory_has_no_baseline() -> None:
    rewards = torch.tensor([[[1.0], [4.0]]])
    signal = reward_signal(rewards, torch.tensor([[[1.0], [0.5]]]), rewards > 0)
    assert signal.flatten().tolist() == [1.0, 2.0]


def constant_rewards(value: float, horizon: int, num_envs: int) -> Rollout:
    """Trajectories up to the time limit, in which nothing that is done matters; γ = 0.99."""
    rollout = make_rollout([[horizon] * num_envs])
    rewards = torch.full_like(rollout.rewards, value)
    return rollout._replace(rewards=rewards, discounts=torch.full_like(rewards, 0.99))


@pytest.mark.parametrize(
    ("value", "horizon", "num_envs"),
    [(-0.1, 15, 20), (-0.1, 15, 1), (-1.0, 200, 20), (1e3, 60, 5), (0.0, 15, 5)],
)
def test_a_task_that_says_nothing_makes_no_step(value: float, horizon: int, num_envs: int) -> None:
    """What the baseline leaves of constant rewards is its own error."""
    batch = advantage_batch(constant_rewards(value, horizon, num_envs), gae_lambda=0.95)
    assert not batch.advantages.any()
    assert batch.scale.item() == pytest.approx(SCALE_FLOOR * abs(value), rel=1e-4, abs=1e-7)


def test_a_task_that_says_almost_nothing_makes_no_whole_step() -> None:
    """Constant rewards but for a thousandth."""
    rollout = constant_rewards(-0.1, 15, 20)
    noise = torch.randn(rollout.rewards.shape, generator=torch.Generator().manual_seed(3))
    batch = advantage_batch(
        rollout._replace(rewards=rollout.rewards + 1e-4 * noise), gae_lambda=0.95
    )
    assert 0.0 < batch.advantages.std() < 0.2


def test_constant_rewards_say_something_where_trajectories_end_early() -> None:
    rollout = constant_rewards(1.0, 15, 2)
    mask = rollout.mask.clone()
    mask[0, 5:, 1] = False
    discounts = rollout.discounts.clone()
    discounts[0, 4, 1] = 0.0
    ended = rollout._replace(mask=mask, discounts=discounts)
    batch = advantage_batch(ended, gae_lambda=0.95)
    assert batch.advantages[mask.flatten(1)].std(correction=0) == pytest.approx(1.0)


def test_successors_of_terminations_change_nothing() -> None:
    """Where a task ends because its simulation broke down, what follows may be anything."""
    rollout = make_rollout(LENGTHS)  # trajectory [0, 0] terminates
    final = rollout.final_observations.clone()
    final[0, 0] = nan
    changed = advantage_batch(rollout._replace(final_observations=final), gae_lambda=0.95)
    assert torch.equal(changed.advantages, advantage_batch(rollout, gae_lambda=0.95).advantages)


def test_trajectories_without_a_step_are_left_out() -> None:
    """As if they had never been collected; they are no trajectories that ended at once."""
    rollout = make_rollout([[6, 4, 5]])
    mask = rollout.mask.clone()
    mask[:, :, 1] = False
    batch = advantage_batch(rollout._replace(mask=mask), gae_lambda=0.95)
    envs = {"final_observations": 1, "diverged": 1}  # axis of the trajectories
    kept = {
        k: v.index_select(envs.get(k, 2), torch.tensor([0, 2]))
        for k, v in rollout._asdict().items()
        if v.numel()
    }
    expected = advantage_batch(Rollout(**kept), gae_lambda=0.95)
    for name in ("advantages", "rewards", "weights"):
        values = batch.by_time(batch.tensors[name])
        assert_close(values[:, :, [0, 2]], expected.by_time(expected.tensors[name]))
        assert not values[:, :, 1].any()

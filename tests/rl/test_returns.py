"""Returns and advantages against numbers computed by hand, and their identities."""

from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rl_samples import make_rollout
from torch import Tensor
from torch.testing import assert_close

from metarl.rl.returns import discounted_returns, gae, trajectory_ends


class Facts(NamedTuple):
    rewards: Tensor
    values: Tensor
    next_values: Tensor
    discounts: Tensor
    ends: Tensor


def column(*trajectories: list[float]) -> Tensor:
    """Trajectories ``[E][T]`` of one task as ``[1, T, E]``."""
    return torch.tensor(trajectories, dtype=torch.float64).T[None]


@pytest.fixture
def facts() -> Facts:
    """γ = 0.5. Trajectory 0 terminates after 2 steps; the time limit cuts 1 after 3, 2 after 2."""
    return Facts(
        rewards=column([1, 2, 100], [1, 2, 4], [1, 2, 100]),
        values=column([1, 3, 100], [1, 2, 3], [1, 2, 100]),
        next_values=column([3, 7, 100], [2, 3, 8], [2, 8, 100]),
        discounts=column([0.5, 0, 0.5], [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
        ends=column([0, 1, 0], [0, 0, 1], [0, 1, 0]).bool(),
    )


def test_ends_are_the_last_real_steps(facts: Facts) -> None:
    mask = column([1, 1, 0], [1, 1, 1], [1, 1, 0]).bool()
    assert_close(trajectory_ends(mask), facts.ends)


def test_discounted_returns(facts: Facts) -> None:
    """Golden: 1 + 0.5·2 = 2, 2;  1 + 0.5·4 = 3, 2 + 0.5·4 = 4, 4;  as the first."""
    returns = discounted_returns(facts.rewards, facts.discounts, facts.ends)
    assert returns[0, :2, 0].tolist() == [2.0, 2.0]
    assert returns[0, :, 1].tolist() == [3.0, 4.0, 4.0]
    assert returns[0, :2, 2].tolist() == [2.0, 2.0]


def test_gae(facts: Facts) -> None:
    """Golden, λ = 0.5, so γλ = 0.25.

    Termination: δ = (1 + 0.5·3 - 1, 2 + 0·7 - 3) = (1.5, -1); A = (1.5 - 0.25, -1).
    Time limit: δ = (1 + 0.5·2 - 1, 2 + 0.5·3 - 2, 4 + 0.5·8 - 3) = (1, 1.5, 5);
    A = (1 + 0.25·2.75, 1.5 + 0.25·5, 5).
    Earlier time limit: δ = (1, 2 + 0.5·8 - 2) = (1, 4); A = (1 + 0.25·4, 4), whatever follows.
    """
    advantages = gae(*facts, gae_lambda=0.5)
    assert advantages[0, :2, 0].tolist() == [1.25, -1.0]
    assert advantages[0, :, 1].tolist() == [1.6875, 2.75, 5.0]
    assert advantages[0, :2, 2].tolist() == [2.0, 4.0]


def test_lambda_1_is_return_minus_value(facts: Facts) -> None:
    """The return of the trajectory that was cut includes γ V of its true successor."""
    beyond = torch.where(facts.ends, facts.discounts * facts.next_values, 0.0)
    returns = discounted_returns(facts.rewards + beyond, facts.discounts, facts.ends)
    real = column([1, 1, 0], [1, 1, 1], [1, 1, 0]).bool()
    advantages = gae(*facts, gae_lambda=1.0)
    assert_close(advantages[real], (returns - facts.values)[real])


def test_lambda_0_is_the_td_error(facts: Facts) -> None:
    errors = facts.rewards + facts.discounts * facts.next_values - facts.values
    assert_close(gae(*facts, gae_lambda=0.0), errors)


@pytest.mark.parametrize("shapes", [((3, 2), (3, 2)), ((1, 3, 2), (1, 3, 1))])
def test_wrong_ranks_and_shapes_are_named(shapes: tuple[tuple[int, ...], ...]) -> None:
    rewards, discounts = (torch.zeros(shape) for shape in shapes)
    ends = torch.zeros(shapes[1], dtype=torch.bool)
    with pytest.raises(ValueError, match=r"need \[M, T, E\] twice, got \("):
        discounted_returns(rewards, discounts, ends)


@given(
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=3),
    gae_lambda=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_they_are_a_loop_over_the_steps(lengths: list[int], gae_lambda: float, seed: int) -> None:
    """Forwards from every step, straight from the definitions."""
    rollout = make_rollout([lengths], seed=seed)
    rewards, discounts, ends = rollout.rewards, rollout.discounts, trajectory_ends(rollout.mask)
    values, following = (make_rollout([lengths], seed=100 + seed + k).rewards for k in (0, 1))
    returns = discounted_returns(rewards, discounts, ends)
    advantages = gae(rewards, values, following, discounts, ends, gae_lambda=gae_lambda)
    for e, length in enumerate(lengths):
        for t in range(length):
            total, advantage, so_far, weight = 0.0, 0.0, 1.0, 1.0
            for k in range(t, length):
                r, gamma = float(rewards[0, k, e]), float(discounts[0, k, e])
                error = r + gamma * float(following[0, k, e]) - float(values[0, k, e])
                total, advantage = total + so_far * r, advantage + weight * error
                so_far, weight = so_far * gamma, weight * gamma * gae_lambda
            assert float(returns[0, t, e]) == pytest.approx(total, abs=1e-12)
            assert float(advantages[0, t, e]) == pytest.approx(advantage, abs=1e-12)

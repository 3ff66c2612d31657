"""The Bernoulli bandit, from its row of the specification table (RL², section 3.1).

Observation constant 0; p_i ~ U(0, 1), k arms; reward Bernoulli(p_a); one step.
"""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from metarl_envs import FAMILIES, BernoulliBandit
from metarl_envs.tasks import is_held_out

ID = "metarl/BernoulliBandit-v0"
NUM = 40_000
MEANS = np.array([0.1, 0.3, 0.5, 0.7, 0.95])


def pulls(means: Any, arms: Any) -> Any:
    """Rewards of one pull an environment."""
    env: Any = gym.make_vec(ID, num_envs=len(arms))
    env.set_tasks({"means": means})
    env.reset(seed=0)
    return env.step(arms)[1]


def test_arms_pay_with_their_probabilities() -> None:
    """A frequency of n pulls is within 4.5 of its standard deviations sqrt(p (1 - p) / n)."""
    arms = np.arange(NUM) % 5
    rewards = pulls(np.tile(MEANS, (NUM, 1)), arms)
    assert set(rewards) == {0.0, 1.0}
    frequencies = [rewards[arms == arm].mean() for arm in range(5)]
    deviations = np.sqrt(MEANS * (1 - MEANS) / (NUM / 5))
    assert (np.abs(frequencies - MEANS) < 4.5 * deviations).all()


def test_every_environment_has_its_own_arms() -> None:
    """One in five pays always, the others never; which one differs between environments."""
    arms = np.random.default_rng(0).integers(5, size=200)
    paying = np.random.default_rng(1).integers(5, size=200)
    np.testing.assert_array_equal(pulls(np.eye(5)[paying], arms), arms == paying)


def test_pulls_of_different_environments_are_independent() -> None:
    """Fair coins of pairs of environments agree half of the time."""
    rewards = pulls(np.full((NUM, 5), 0.5), np.zeros(NUM, int))
    agree = (rewards[::2] == rewards[1::2]).mean()
    assert abs(agree - 0.5) < 4.5 * np.sqrt(0.25 / (NUM / 2))


def test_one_pull_is_one_trajectory() -> None:
    env = gym.make(ID, task={"means": [0, 0, 1, 0, 0]})
    for arm in range(5):
        observation, _ = env.reset(seed=0)
        assert observation.tolist() == [0.0]
        observation, reward, terminated, truncated, _ = env.step(arm)
        assert (observation.tolist(), observation.dtype) == ([0.0], np.float32)
        assert (reward, terminated, truncated) == (float(arm == 2), False, True)
    assert FAMILIES[ID] == 1


@pytest.mark.parametrize("num_arms", [2, 5, 50])
@pytest.mark.parametrize("split", ["train", "held_out"])
def test_means_are_uniform(num_arms: int, split: Any) -> None:
    """Mean 1/2, variance 1/12, of which the standard error is sqrt(1/180 / n)."""
    env = gym.make(ID, num_arms=num_arms)
    assert env.action_space == gym.spaces.Discrete(num_arms)
    distribution = env.get_wrapper_attr("task_distribution")
    means = distribution.sample(np.random.default_rng(0), 4000, split)["means"]
    assert means.shape == (4000, num_arms)
    assert distribution.disjoint
    assert 0 <= means.min() < 0.01 < 0.99 < means.max() <= 1
    np.testing.assert_allclose(means.mean(0), 1 / 2, atol=5 * np.sqrt(1 / 12 / 4000))
    np.testing.assert_allclose(means.var(0), 1 / 12, atol=5 * np.sqrt(1 / 180 / 4000))


def test_a_bandit_has_at_least_two_arms() -> None:
    with pytest.raises(ValueError, match="num_arms must be at least 2, got 1"):
        BernoulliBandit(1)


def test_nothing_is_held_out_where_that_is_asked_for() -> None:
    """Both splits are the whole cube then: a draw of 1,000 means fills both kinds of cells."""
    whole = BernoulliBandit(hold_out=False).task_distribution
    assert not whole.disjoint
    for split in ("train", "held_out"):
        means = whole.sample(np.random.default_rng(0), 1000, split)["means"]
        share = is_held_out(means).mean()
        assert abs(share - 1 / 5) < 4.5 * np.sqrt(0.2 * 0.8 / 1000)
    assert not is_held_out(
        BernoulliBandit().task_distribution.sample(np.random.default_rng(0), 1000)["means"]
    ).any()

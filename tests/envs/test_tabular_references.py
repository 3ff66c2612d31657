"""The algorithms of ``experiments/tabular_references.py``: by hand, and against published figures.

Figures are totals of 10 episodes of 10 steps, from Duan et al. 2016: random 100.1, PSRL 138.1.
"""

from typing import Any

import numpy as np
import pytest
from tabular_references import (
    HORIZON,
    POLICIES,
    SCORES,
    Experience,
    Options,
    main,
    optimal,
    plan,
    play_bandit,
    play_mdp,
    psrl,
    random_actions,
    random_arms,
    thompson,
    ucb1,
)

from metarl_envs import BernoulliBandit, TabularMDP
from metarl_envs.tasks import Task

NUM_TASKS = 2000
NUM_PUBLISHED = 1000
"""Tasks behind each published figure."""


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def held_out(family: Any, num_tasks: int) -> Task:
    tasks: Task = family.task_distribution.sample(rng(), num_tasks, "held_out")
    return tasks


@pytest.fixture(scope="module")
def mdps() -> Task:
    return held_out(TabularMDP(), NUM_TASKS)


@pytest.fixture(scope="module")
def bandits() -> Task:
    return held_out(BernoulliBandit(5), 500)


def test_ucb1_by_hand() -> None:
    """6 pulls: 1/2 + sqrt(2 ln 6 / 2) = 1.8386, 3/4 + sqrt(2 ln 6 / 4) = 1.6965; 1 / 0 is first."""
    scores = ucb1(np.array([[1.0, 3.0], [0.0, 0.0]]), np.array([[2.0, 4.0], [1.0, 0.0]]), rng())
    np.testing.assert_allclose(scores, [[1.8386, 1.6965], [0.0, np.inf]], atol=5e-5)


def test_thompson_draws_from_the_posterior() -> None:
    """3 wins of 4 pulls: Beta(4, 2), mean 2/3, variance 8 / (36 · 7). No pulls: uniform."""
    num = 20_000
    wins, pulls = np.tile([3.0, 0.0], (num, 1)), np.tile([4.0, 0.0], (num, 1))
    scores = thompson(wins, pulls, rng())
    np.testing.assert_allclose(scores.mean(0), [2 / 3, 1 / 2], atol=0.01)
    np.testing.assert_allclose(scores.var(0), [2 / 63, 1 / 12], atol=0.002)


def test_ucb1_and_thompson_find_good_arms(bandits: Task) -> None:
    """Random pulls pay 1/2; nothing pays more than the best arm, 5/6 on average."""
    rewards = {name: play_bandit(score, bandits, 100, rng()) for name, score in SCORES.items()}
    assert all(one.shape == (100, 500) for one in rewards.values())
    assert rewards["random"].mean() == pytest.approx(0.5, abs=0.02)
    for name in ("UCB1", "Thompson"):
        gain = (rewards[name] - rewards["random"]).sum(0)
        assert gain.mean() > 10 > 5 * gain.std() / np.sqrt(500)
        assert rewards[name][-20:].mean() > rewards[name][:20].mean() + 0.05
        assert rewards[name].mean() < bandits["means"].max(1).mean() < 0.86


@pytest.mark.parametrize(
    ("score", "least", "most"), [(random_arms, 0.2, 0.3), (ucb1, 0.75, 1.0), (thompson, 0.9, 1.0)]
)
def test_sure_arms_are_found(score: Any, least: float, most: float) -> None:
    """One of four arms pays always, the others never."""
    paying = rng().integers(4, size=200)
    rewards = play_bandit(score, {"means": np.eye(4)[paying]}, 200, rng())
    assert least < rewards[-50:].mean() <= most


def two_states() -> Task:
    """Staying pays 1 in state 0 and 2 in state 1, moving nothing."""
    return {
        "transitions": np.array([[np.eye(2), np.eye(2)[::-1]]]),
        "reward_means": np.array([[[1.0, 0.0], [2.0, 0.0]]]),
    }


def test_planning_by_hand() -> None:
    """In state 0 with k steps left staying pays k, moving 2 (k - 1): move while k > 2."""
    task = two_states()
    policy = plan(task["transitions"], task["reward_means"])
    assert policy[:, 0, 0].tolist() == [1] * 8 + [0] * 2
    assert policy[:, 0, 1].tolist() == [0] * 10


def test_the_optimal_return_by_hand() -> None:
    """From state 0 it is 2 · 9 = 18, with noise of variance 10 a return."""
    tasks = {name: np.repeat(value, 1000, 0) for name, value in two_states().items()}
    returns = play_mdp(optimal, tasks, 4, rng())
    assert returns.shape == (4, 1000)
    assert returns.mean() == pytest.approx(18.0, abs=4.5 * np.sqrt(10 / 4000))
    assert returns.var() == pytest.approx(10.0, rel=4.5 * np.sqrt(2 / 4000))


class Modes:
    """A generator that draws the parameters it is given, and keeps them."""

    def standard_gamma(self, shape: Any) -> Any:
        self.shape = shape
        return shape

    def normal(self, mean: Any, std: Any) -> Any:
        self.mean, self.std = mean, std
        return mean


@pytest.mark.parametrize(("prior_mean", "seen", "unseen"), [(1.0, 2.125, 1.0), (0.0, 1.875, 0.0)])
def test_the_posterior_by_hand(prior_mean: float, seen: float, unseen: float) -> None:
    """Action 1 in state 0 was taken 3 times, for 7.5 in all, and led to 0 once and to 1 twice:

    (μ + 7.5) / (1 + 3), deviation 1/2; Dirichlet(2, 3). Nothing else was seen.
    """
    counts, rewards = np.zeros((1, 2, 2, 2)), np.zeros((1, 2, 2))
    counts[0, 0, 1], rewards[0, 0, 1] = [1, 2], 7.5
    drawn: Any = Modes()
    psrl(two_states(), Experience(counts, rewards), drawn, prior_mean=prior_mean)
    assert drawn.shape.tolist() == [[[[1, 1], [2, 3]], [[1, 1], [1, 1]]]]
    assert drawn.mean.tolist() == [[[unseen, seen], [unseen, unseen]]]
    assert drawn.std.tolist() == [[[1, 0.5], [1, 1]]]


def assert_published(returns: Any, figure: float) -> None:
    """Within 3 standard errors of the difference; both spread over tasks alike."""
    totals = returns.sum(0)
    error = totals.std() * np.sqrt(1 / len(totals) + 1 / NUM_PUBLISHED)
    assert error < 1.2
    assert totals.mean() == pytest.approx(figure, abs=3 * error)


def test_random_play_gets_what_is_published(mdps: Task) -> None:
    assert_published(play_mdp(random_actions, mdps, 10, rng()), 100.1)


def test_psrl_gets_what_is_published(mdps: Task) -> None:
    assert_published(play_mdp(POLICIES["PSRL as in RL²"], mdps, 10, rng()), 138.1)


def test_psrl_is_between_random_play_and_the_optimum(mdps: Task) -> None:
    """It starts as well as random play, which gets 10 an episode, and gets better."""
    tasks = {name: values[:500] for name, values in mdps.items()}
    learned, best = (play_mdp(policy, tasks, 40, rng()) for policy in (psrl, optimal))
    means = learned.mean(1)
    assert means[0] == pytest.approx(10.0, abs=1.5)
    assert means[9] > means[0] + 4
    assert means[39] > means[9] + 3
    assert means.max() < best.mean()
    assert best.mean() - learned[-5:].mean() < 2.5


def test_the_optimum_is_that_of_the_bellman_equation(mdps: Task) -> None:
    """Mean return over tasks against the value of the start state, task by task."""
    values = []
    for rows, means in zip(mdps["transitions"][:200], mdps["reward_means"][:200], strict=True):
        value = np.zeros(10)
        for _ in range(HORIZON):
            value = (means + rows @ value).max(1)
        values.append(value[0])
    tasks = {name: entries[:200] for name, entries in mdps.items()}
    gaps = (play_mdp(optimal, tasks, 20, rng()) - values).mean(0)
    assert abs(gaps.mean()) < 4.5 * gaps.std() / np.sqrt(200)


def test_play_is_determined_by_the_seed(bandits: Task, mdps: Task) -> None:
    tasks = {name: values[:20] for name, values in mdps.items()}
    for play, how, of in ((play_bandit, thompson, bandits), (play_mdp, psrl, tasks)):
        first, second = (play(how, of, 3, rng()) for _ in range(2))  # type: ignore[operator]
        np.testing.assert_array_equal(first, second)


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    main(Options(num_tasks=5, num_pulls=3, num_episodes=2))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[1:]] == [
        "bandit, random",
        "bandit, UCB1",
        "bandit, Thompson",
        "MDP, random",
        "MDP, PSRL",
        "MDP, PSRL as in RL²",
        "MDP, optimal",
    ]

"""Bayes-optimal returns, beside all walks of a small grid and bandits by hand."""

from itertools import product

import numpy as np
import pytest
from bayes_optimal import bandit_optimum, gittins_index, gittins_value, grid_optimum

from metarl_envs import GridNavi

GOALS = np.array([(2, 0), (0, 2), (1, 2), (2, 2)])


def played(walk: tuple[int, ...], episodes: int, horizon: int) -> float:
    """Mean return by the family's own steps: the walk until the goal, then straight to it."""
    family, rng = GridNavi(3), np.random.default_rng(0)
    total = 0.0
    for goal in GOALS:
        found = False
        for episode in range(episodes):
            state = family.start(rng, ())
            for t in range(horizon):
                x, y = goal - state
                straight = 2 if x > 0 else 1 if y > 0 else 3 if y < 0 else 4 if x < 0 else 0
                action = straight if found else walk[episode * horizon + t]
                state, reward, _ = family.step(state, np.array(action), {"goal": goal}, rng)
                found |= bool(reward > 0)
                total += float(reward)
    return total / len(GOALS)


@pytest.mark.parametrize(("episodes", "horizon"), [(1, 4), (2, 2)])
def test_no_walk_of_a_small_grid_is_better(episodes: int, horizon: int) -> None:
    best = max(played(walk, episodes, horizon) for walk in product(range(5), repeat=4))
    assert grid_optimum(GOALS, 3, episodes, horizon) == pytest.approx(best)


def test_the_paper_s_grid() -> None:
    """All 21 goals: a walk of 15 steps finds at most 14 of them, the cells (1, 0), (1, 1) left out.

    Every step from the second on finds one in the first episode, so the mean is at most
    (14 found at steps 2..15: 15 - s + 1 of 1 and s - 1 of -0.1; 7 never) / 21 = 4.
    """
    goals = GridNavi(hold_out=False).task_distribution.sample(
        np.random.default_rng(0), 21, "held_out"
    )["goal"]
    assert len(np.unique(goals, axis=0)) == 21
    bound = (sum(16 - s - 0.1 * (s - 1) for s in range(2, 16)) - 7 * 1.5) / 21
    assert grid_optimum(goals.astype(int), 5, 1) == pytest.approx(bound)


def test_two_pulls_of_two_arms() -> None:
    """1/2, then after a win the same arm, 2/3, and after a loss the other, 1/2."""
    assert bandit_optimum(2, 2) == pytest.approx(0.5 + 0.5 * 2 / 3 + 0.5 * 0.5)


def test_an_index_policy_is_never_better_and_for_two_pulls_the_best() -> None:
    assert gittins_value(3, 2) == pytest.approx(bandit_optimum(3, 2))
    assert gittins_value(3, 7) <= bandit_optimum(3, 7) + 1e-12


def test_the_index_of_two_pulls() -> None:
    """Where 1/2 - c + 1/2 max(0, 2/3 - c) = 0: c = 5/9."""
    assert gittins_index(0, 0, 2) == pytest.approx(5 / 9)

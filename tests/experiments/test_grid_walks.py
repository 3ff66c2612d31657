"""How much walks of the first episode lose, by hand and beside the best there is."""

import pytest
from bayes_optimal import COST, HORIZON, REWARD, goals_of, grid_optimum
from grid_walks import GOALS, delay, left_over

from metarl_envs import GridNavi


@pytest.mark.parametrize(
    ("goals", "expected"),
    [
        ([(2, 0), (3, 0), (3, 1), (4, 4)], 0),  # on one shortest path
        ([(2, 0), (0, 2)], 4),  # the second after 2 steps there and 4 back and up
        ([(4, 4), (3, 2), (2, 3)], 4),  # after 10, 5 and 7 steps, of 8, 5 and 5
    ],
)
def test_a_delay_by_hand(goals: list[tuple[int, int]], expected: int) -> None:
    assert delay(frozenset(goals)) == expected


def test_a_walk_that_loses_nothing_is_bayes_optimal() -> None:
    """14 goals in steps 2 to 15, then every goal as early as if it were known, three times."""
    best = grid_optimum(goals_of(GridNavi(hold_out=False)), 5, 4)
    known = [(HORIZON + 1 - sum(g)) * REWARD + (sum(g) - 1) * COST for g in GOALS]
    first = sum(HORIZON + 1 - s - 0.1 * (s - 1) for s in range(2, 16)) - 7 * 1.5
    assert best == pytest.approx((first + 3 * sum(known)) / len(GOALS))


def test_every_walk_leaves_seven() -> None:
    walks = list(left_over(((2, 0), (3, 0), (4, 0), (4, 1), (4, 2), (4, 3), (4, 4), (3, 4))))
    assert walks
    assert {len(goals) for goals in walks} == {7}

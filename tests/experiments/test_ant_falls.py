"""What falling early is worth: a bonus by hand, and untrained ants that stand and fall."""

import math

import numpy as np
import pytest
from ant_falls import HORIZON, Fallen, bonus, table, untrained


def outcome(mean_return: float, length: float) -> Fallen:
    return Fallen(np.full(4, mean_return), np.full(4, length))


def test_the_bonus_makes_standing_worth_as_much() -> None:
    """-90 + 200 b = -30 + 50 b: b = 60 / 150."""
    assert bonus(outcome(-30.0, 50.0), outcome(-90.0, 200.0)) == pytest.approx(0.4)
    assert math.isnan(bonus(outcome(-90.0, 199.0), outcome(-91.0, 200.0)))


def test_an_ant_without_torques_stands_and_one_of_noise_falls() -> None:
    """A step of standing gives 1.05 - v* and less for contacts, so no more than 1.05."""
    standing, falling = (untrained("gymnasium", sigma, 10, 1) for sigma in (0.0, 1.0))
    assert (standing.lengths == HORIZON).all()
    assert (falling.lengths < HORIZON).mean() > 0.5
    assert (standing.returns <= 1.05 * HORIZON).all()
    lines = table({"gymnasium": {0.0: standing, 1.0: falling}}).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| gymnasium, 0.05 s a step | 0 | 0 % | 200 |")

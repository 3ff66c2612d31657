"""Clipped actions alone give the inner gradient of raw ones; taken for raw, they do not."""

import censored_actions
import pytest


@pytest.mark.parametrize("num", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])  # 3 s
def test_the_censored_gradient_is_that_of_raw_actions(num: int) -> None:
    """Action scale 1, σ = 1; the naive one is shorter, too, by up to a half."""
    found = censored_actions.cosines(num, seed=0)
    assert found["clipped"] > 0.3
    assert found["censored"] >= 0.99
    assert abs(found["censored length"] - 1) < 0.05
    assert found["naive"] < 0.97
    assert found["naive length"] < 0.7

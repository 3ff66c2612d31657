"""What environments tell in their info, against what can be counted by hand."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from metarl.rl.env_faults import EnvironmentFaultError
from metarl.rl.outcomes import Outcomes, check_told, mean_told, named

ALL = np.ones(3, bool)


def told(steps: list[dict[str, Any]], *keys: str, rows: NDArray[np.bool_] = ALL) -> Any:
    outcomes = Outcomes(3, keys)
    for info in steps:
        outcomes.step(info, rows)
    return outcomes.values


def test_success_is_one_at_any_step() -> None:
    steps = [{"success": np.array([0.0, 1.0, 0.0])}, {"success": np.array([0.0, 0.0, 1.0])}]
    np.testing.assert_array_equal(told(steps)[:, 0], [0, 1, 1])


def test_is_success_is_what_the_last_step_says() -> None:
    steps = [{"is_success": np.array([True, True, False])}, {"is_success": np.array([True, 0, 1])}]
    np.testing.assert_array_equal(told(steps)[:, 0], [1, 0, 1])


def test_where_both_are_told_it_is_success_that_counts() -> None:
    both = {"success": np.array([1, 0, 0]), "is_success": np.array([0, 1, 1])}
    np.testing.assert_array_equal(told([both])[:, 0], [1, 0, 0])


def test_who_tells_nothing_has_no_success() -> None:
    """Gymnasium's mask, rows that do not count, and a start anew."""
    masked = {"is_success": np.array([True, True, True]), "_is_success": np.array([True, False, 1])}
    np.testing.assert_array_equal(told([masked])[:, 0], [1, np.nan, 1])
    rows = np.array([False, True, True])
    np.testing.assert_array_equal(told([masked], rows=rows)[:, 0], [np.nan, np.nan, 1])
    outcomes = Outcomes(3)
    outcomes.step(masked, ALL)
    np.testing.assert_array_equal(outcomes.take(rows)[:, 0], [1, np.nan, 1])
    np.testing.assert_array_equal(outcomes.values[:, 0], [1, np.nan, np.nan])


@pytest.mark.parametrize("value", [1.0, np.ones(2), np.array(["a"] * 3), np.ones((3, 2)), {"a": 1}])
def test_what_is_no_number_of_each_is_not_told(value: Any) -> None:
    assert np.isnan(told([{"success": value, "fuel": value}], "fuel")).all()


def test_other_numbers_are_the_last_and_a_missing_one_is_named() -> None:
    steps = [{"fuel": np.array([3, 2, 1])}, {"fuel": np.array([2, 0, 0]), "_fuel": ALL & [1, 0, 0]}]
    values = told(steps, "fuel", "speed")
    np.testing.assert_array_equal(values[:, 1], [2, 2, 1])
    env: Any = type("Envs", (), {"name": "Boat-v0", "spec": None})()
    check_told(env, values, ["fuel"])
    with pytest.raises(EnvironmentFaultError, match=r"^Boat-v0: no trajectory's info .* 'speed'"):
        check_told(env, values, ["fuel", "speed"])


def test_means_are_of_what_was_told() -> None:
    values = np.array([[[1.0, np.nan], [0.0, np.nan]], [[1.0, np.nan], [np.nan, np.nan]]])
    means = mean_told(values, 1)
    np.testing.assert_array_equal(means, [[0.5, np.nan], [1.0, np.nan]])
    assert list(named(means, ["fuel"])) == ["success"]

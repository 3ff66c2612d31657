"""Given tasks are checked, and a wrong one is named in one line."""

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from metarl_envs import validate_task
from metarl_envs.task_spaces import Finite, Integers, Ruled, Simplex

SPACE = spaces.Dict(
    {
        "goal": spaces.Box(-1.0, 1.0, (2,), dtype=np.float64),
        "mass": spaces.Box(np.array(0.5), np.array(2.0), (), dtype=np.float64),
    }
)


def test_lists_and_numbers_become_arrays() -> None:
    task = validate_task(SPACE, {"goal": [0.5, -1], "mass": 1})
    np.testing.assert_array_equal(task["goal"], [0.5, -1.0])
    assert task["goal"].dtype == task["mass"].dtype == np.float64


def test_a_task_does_not_follow_the_caller_s_array() -> None:
    goal = np.array([0.5, 0.5])
    task = validate_task(SPACE, {"goal": goal, "mass": 1.0})
    goal[:] = 9.0
    np.testing.assert_array_equal(task["goal"], [0.5, 0.5])


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"goal": [0.0, 0.0]}, r"must have the entries \['goal', 'mass'\], got \['goal'\]"),
        ({"goal": [0.0, 0.0], "mass": 1.0, "x": 1}, r"got \['goal', 'mass', 'x'\]"),
        ([0.0, 0.0], r"must have the entries \['goal', 'mass'\], got \[0.0, 0.0\]"),
        (None, r"must have the entries \['goal', 'mass'\], got None"),
        ({"goal": [0.0], "mass": 1.0}, r"'goal' is \[0.0\]; it must .* have shape \(2,\)"),
        ({"goal": [0.0, 1.5], "mass": 1.0}, r"'goal' is \[0.0, 1.5\]; .* within \[-1.0, 1.0\]"),
        ({"goal": [0.0, np.nan], "mass": 1.0}, r"'goal' is \[0.0, NaN\]; it must lie within"),
        ({"goal": [0.0, 0.0], "mass": 3.0}, r"'mass' is 3.0; it must lie within \[0.5, 2.0\]"),
        ({"goal": "left", "mass": 1.0}, "'goal' is not numeric: 'left'"),
        ({"goal": [[0.0], 0.0], "mass": 1.0}, "'goal' is not numeric"),
        ({"goal": None, "mass": 1.0}, "'goal' "),
    ],
)
def test_wrong_tasks(task: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        validate_task(SPACE, task)
    assert "\n" not in str(error.value)


RULED = spaces.Dict(
    {"cell": Integers(0, 4, (2,)), "means": Finite((3,)), "moves": Simplex((2, 2, 3))}
)
FITS = {
    "cell": [0, 4],
    "means": [-1e9, 0.0, 2.5],
    "moves": [[[0.2, 0.3, 0.5], [1, 0, 0]], [[0, 1, 0], [0.1, 0.1, 0.8]]],
}


def test_values_that_keep_the_rules() -> None:
    task = validate_task(RULED, FITS)
    assert {name: value.tolist() for name, value in task.items()} == FITS
    assert all(value.dtype == np.float64 for value in task.values())
    assert RULED.contains(task)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"cell": [0.5, 4]}, r"'cell' is \[0.5, 4.0\]; it must be integers within \[0, 4\]"),
        ({"cell": [0, 5]}, r"'cell' is \[0.0, 5.0\]; it must be integers within \[0, 4\]"),
        ({"cell": [0]}, r"'cell' is \[0.0\]; it must be .* have shape \(2,\)"),
        ({"means": [0, np.inf, 0]}, r"'means' is \[0.0, Infinity, 0.0\]; it must be finite"),
        ({"means": [0, np.nan, 0]}, r"'means' is \[0.0, NaN, 0.0\]; it must be finite"),
        (
            {"moves": [[[0.2, 0.3, 0.5]] * 2, [[0.2, 0.3, 0.5], [0.2, 0.3, 0.4]]]},
            r"'moves' is \[0.2, 0.3, 0.4\] at \[1, 1\]; it must have rows .* sum to 1",
        ),
        ({"moves": np.full((2, 2, 3), 0.5)}, r"'moves' is \[0.5, 0.5, 0.5\] at \[0, 0\]; it must"),
        ({"moves": np.tile([1.5, -0.5, 0], (2, 2, 1))}, r"'moves' is \[1.5, -0.5, 0.0\] at"),
        ({"moves": np.full((2, 2, 3), np.nan)}, r"'moves' is \[NaN, NaN, NaN\] at \[0, 0\]"),
        ({"moves": np.ones((2, 3))}, r"'moves' is of shape \(2, 3\); .* shape \(2, 2, 3\)"),
    ],
)
def test_values_that_break_the_rules(wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        validate_task(RULED, FITS | wrong)
    assert "\n" not in str(error.value)


def test_probabilities_may_be_rounded_to_float32() -> None:
    rows = np.full((2, 2, 3), 1 / 3, np.float32)
    assert validate_task(RULED, FITS | {"moves": rows})["moves"].sum() == pytest.approx(4.0)


@pytest.mark.parametrize("space", [Integers(-1, 1, (50,)), Finite((3,)), Simplex((2, 4))])
def test_spaces_draw_what_they_contain(space: Ruled) -> None:
    space.seed(0)
    draws = [space.sample() for _ in range(20)]
    assert all(space.contains(draw) for draw in draws)
    assert not (draws[0] == draws[1]).all()

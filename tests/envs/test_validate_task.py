"""Given tasks are checked, and a wrong one is named in one line."""

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from envs import validate_task

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
        ({"goal": [0.0, 0.0]}, r"has the entries \['goal', 'mass'\], got \['goal'\]"),
        ({"goal": [0.0, 0.0], "mass": 1.0, "x": 1}, r"got \['goal', 'mass', 'x'\]"),
        ([0.0, 0.0], r"has the entries \['goal', 'mass'\], got \[0.0, 0.0\]"),
        (None, r"has the entries \['goal', 'mass'\], got None"),
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

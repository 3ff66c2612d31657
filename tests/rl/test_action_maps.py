"""Action maps: to the environment's bounds and back, and through a file."""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from metarl.rl.actions import ActionNumbering, ActionNumberings, ActionScaling, action_map
from metarl.rl.actor import _action_map, _plain

FLOATS = st.floats(-1e3, 1e3, width=32)


@st.composite
def scalings(draw: Any) -> ActionScaling:
    size = draw(st.integers(1, 4))
    lows = draw(st.lists(FLOATS, min_size=size, max_size=size))
    widths = draw(st.lists(st.floats(0.125, 1e3, width=32), min_size=size, max_size=size))
    low = np.array(lows, np.float32)
    space = spaces.Box(low, low + np.array(widths, np.float32), dtype=np.float32)
    made = action_map(space, draw(st.floats(0.125, 100)))
    assert isinstance(made, ActionScaling)
    return made


@given(scalings(), st.data())
def test_an_action_within_the_bounds_comes_back(scaling: ActionScaling, data: Any) -> None:
    """The inverse, (a - middle) / half range · scale, as the docstring's formula has it."""
    size = len(scaling.low)
    unit = np.array(data.draw(st.lists(st.floats(-1, 1), min_size=size, max_size=size)))
    actions = scaling.scale * unit
    mapped = scaling(actions)
    low, high = (bound.astype(np.float64) for bound in (scaling.low, scaling.high))
    assert ((mapped >= low) & (mapped <= high)).all()
    back = (mapped - (high + low) / 2) / ((high - low) / 2)
    precision = 1e-6 * (1 + np.abs(low + high) / (high - low))  # bounds are of single precision
    assert (np.abs(back - unit) <= 2 * precision).all()


@given(scalings(), st.floats(1, 1e6))
def test_what_lies_beyond_is_clipped_to_the_bounds(scaling: ActionScaling, factor: float) -> None:
    for sign, bound in ((-1, scaling.low), (1, scaling.high)):
        beyond = np.full(len(bound), sign * factor * scaling.scale)
        np.testing.assert_allclose(scaling(beyond), bound, rtol=1e-5, atol=1e-4)


@given(st.integers(-5, 5), st.integers(1, 9), st.data())
def test_numbers_start_where_the_space_does(start: int, num: int, data: Any) -> None:
    space = spaces.Discrete(num, start=start)
    numbering = action_map(space, 1.0)
    index = data.draw(st.integers(0, num - 1))
    (number,) = numbering(np.array([[float(index)]]))
    assert space.contains(number)
    assert number - start == index


def test_several_numbers_start_where_each_does() -> None:
    space = spaces.MultiDiscrete([[2, 3], [4, 5]], start=[[0, 1], [-2, 7]])
    (numbers,) = action_map(space, 1.0)(np.array([[1.0, 0.0, 3.0, 4.0]]))
    assert numbers.tolist() == [[1, 1], [1, 11]]
    assert space.contains(numbers)
    (switches,) = action_map(spaces.MultiBinary((2, 2)), 1.0)(np.array([[1.0, 0.0, 0.0, 1.0]]))
    assert switches.tolist() == [[1, 0], [0, 1]]


def test_without_bounds_actions_stay_as_they_are() -> None:
    free = action_map(spaces.Box(-np.inf, np.inf, (2,)), 10.0)
    actions = np.array([[3.0, -1e6]], np.float32)
    np.testing.assert_array_equal(free(actions), actions)
    np.testing.assert_array_equal(free.inverse(actions), actions)
    np.testing.assert_array_equal(free.raw(actions[0]), actions[0])
    assert torch.equal(free.on(torch.device("cpu"))(torch.ones(1, 2)), torch.ones(1, 2))
    for found, expected in zip(_action_map(_plain(free)), free, strict=True):
        np.testing.assert_array_equal(found, expected)


NUMBERINGS = st.integers(-5, 5).map(ActionNumbering)
SEVERAL = st.lists(st.integers(-5, 5), min_size=1).map(np.array).map(ActionNumberings)


@given(st.one_of(scalings(), NUMBERINGS, SEVERAL))
def test_a_file_gives_back_the_same_map(
    mapping: ActionScaling | ActionNumbering | ActionNumberings,
) -> None:
    again = _action_map(_plain(mapping))
    assert type(again) is type(mapping)
    for found, expected in zip(again, mapping, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("space", "actions"),
    [
        (
            spaces.Box(np.array([-1, 0], np.float32), np.array([1, 4], np.float32)),
            [[5, -30], [2, 3]],
        ),
        (spaces.Discrete(4, start=-1), [[0], [3]]),
        (spaces.MultiDiscrete([2, 5], start=[1, 0]), [[0, 4], [1, 2]]),
        (spaces.MultiBinary((2, 1)), [[0, 1], [1, 1]]),
    ],
)
def test_of_tensors_they_are_the_same(space: spaces.Space[Any], actions: list[list[int]]) -> None:
    to_env, drawn = action_map(space, 10.0), np.array(actions, np.float32)
    mapped = to_env.on(torch.device("cpu"))(torch.from_numpy(drawn))
    expected = to_env(drawn)
    assert mapped.shape == expected.shape
    np.testing.assert_array_equal(mapped.numpy(), expected)

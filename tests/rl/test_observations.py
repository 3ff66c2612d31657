"""Observations of any space as vectors: against gymnasium's own, one and many, and what helps."""

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, iterate

from metarl.rl.observations import (
    ObservationView,
    as_array,
    as_arrays,
    given_space,
    highest_pixel,
    image_shape_of,
    view_of,
)

GOAL = spaces.Dict(
    {
        "observation": spaces.Box(-np.inf, np.inf, (3,), np.float64),
        "achieved_goal": spaces.Box(-1.0, 1.0, (2,), np.float32),
        "desired_goal": spaces.Box(-1.0, 1.0, (2,), np.float32),
    }
)
NESTED = spaces.Tuple(
    [
        spaces.Discrete(3, start=-1),
        spaces.Dict({"on": spaces.MultiBinary((2, 2)), "at": spaces.Box(0, 9, (), np.int32)}),
        spaces.MultiDiscrete([2, 3], start=[0, 5]),
    ]
)
SPACES = [GOAL, NESTED, spaces.Discrete(4, start=2), spaces.MultiDiscrete([[2, 3], [4, 1]])]
MORE = [spaces.MultiBinary(3), spaces.Box(-1.0, 1.0, (2, 3)), spaces.Box(-1.0, 1.0, ())]


@pytest.mark.parametrize("space", [*SPACES, *MORE], ids=str)
def test_it_is_what_gymnasium_flattens_one_by_one_and_together(space: spaces.Space[Any]) -> None:
    """Discrete parts with a start are one-hot from it, as gymnasium has them."""
    view = ObservationView(space)
    many = batch_space(space, 5)
    many.seed(0)
    drawn = many.sample()
    expected = [spaces.flatten(space, one) for one in iterate(many, drawn)]
    found = view(drawn)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.asarray(expected, np.float32))
    np.testing.assert_array_equal(view(next(iter(iterate(many, drawn)))), found[0])
    assert view.space.shape == (spaces.flatdim(space),)
    flat = spaces.flatten_space(space)
    assert isinstance(flat, spaces.Box)
    np.testing.assert_array_equal(view.space.low, flat.low.astype(np.float32))


@pytest.mark.parametrize(
    ("space", "helps"),
    [
        (spaces.Box(0, 255, (8, 9), np.uint8), r"ReshapeObservation\(env, \(8, 9, 1\)\)"),
        (spaces.Box(0, 255, (4, 8, 9, 3), np.uint8), "TransformObservation can move frames"),
        (
            spaces.Dict({"eye": spaces.Box(0, 255, (8, 8, 3), np.uint8), "at": spaces.Discrete(2)}),
            r"part eye of the observation is .*FilterObservation keeps either",
        ),
        (spaces.Sequence(spaces.Discrete(2)), "TransformObservation can make a Box of it"),
        (spaces.Tuple([spaces.Text(3)]), "part 0 of the observation is .*TransformObservation"),
    ],
    ids=["grey", "frames", "image-beside", "sequence", "text"],
)
def test_what_is_refused_says_which_wrapper_helps(space: spaces.Space[Any], helps: str) -> None:
    with pytest.raises(ValueError, match=rf"^[^\n]*{helps}[^\n]*$"):
        view_of(space)


@pytest.mark.parametrize("shape", [(3,), (8, 8, 3), (9, 8, 1), (5, 5, 5), (4, 6, 4)])
def test_vectors_and_images_with_channels_last_are_seen_as_they_are(shape: tuple[int, ...]) -> None:
    assert view_of(spaces.Box(0, 255, shape, np.uint8)) is None


@pytest.mark.parametrize(("high", "dtype"), [(255, np.uint8), (1, np.float32)])
def test_channels_that_come_first_are_moved_to_the_end(high: int, dtype: Any) -> None:
    space = spaces.Box(0, high, (3, 8, 9), dtype)
    view = view_of(space)
    assert view is not None
    assert view.space == spaces.Box(0, high, (8, 9, 3), dtype)
    images = np.stack([space.sample() for _ in range(4)])
    np.testing.assert_array_equal(view(images), images.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(view(images[0]), view(images)[0])
    assert view(images).dtype == dtype
    assert view.is_seen(view(images))
    assert not view.is_seen(images)


def test_what_white_is_follows_from_the_space() -> None:
    for high, dtype, white in ((255, np.uint8, 255), (1, np.float32, 1), (200, np.float64, 255)):
        assert highest_pixel(spaces.Box(0, high, (8, 8, 3), dtype)) == white


@pytest.mark.parametrize(
    ("space", "helps"),
    [
        (spaces.Box(-1.0, 1.0, (3, 8, 8)), "RescaleObservation brings them there"),
        (spaces.Box(0, 255, (8, 3, 8), np.uint8), "FlattenObservation makes a vector"),
    ],
    ids=["negative", "channels-between"],
)
def test_three_axes_that_are_no_image_are_refused(space: spaces.Box, helps: str) -> None:
    with pytest.raises(ValueError, match=rf"^[^\n]*{helps}[^\n]*$"):
        image_shape_of(space)


@pytest.mark.parametrize("value", [-2, 2, 7])
def test_a_discrete_observation_outside_its_space_is_an_error(value: int) -> None:
    with pytest.raises(ValueError, match=r"outside Discrete\(3, start=-1\)"):
        ObservationView(spaces.Discrete(3, start=-1))(value)


class Told(gym.Env[Any, Any]):
    """Gives what its space draws."""

    action_space = spaces.Discrete(2)

    def __init__(self, space: spaces.Space[Any]) -> None:
        self.observation_space = copy.deepcopy(space)
        self.observation_space.seed(0)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.observation_space.sample(), 0.0, False, False, {}


def test_single_and_vector_environments_show_the_same() -> None:
    single = as_array(Told(GOAL))
    together = as_arrays(gym.vector.SyncVectorEnv([lambda: Told(GOAL)]))
    assert single.observation_space == together.single_observation_space
    assert given_space(together) == GOAL
    np.testing.assert_array_equal(single.reset()[0], together.reset()[0][0])
    np.testing.assert_array_equal(single.step(0)[0], together.step(np.array([0]))[0][0])
    vectors = gym.vector.SyncVectorEnv([lambda: Told(MORE[0])])
    assert as_arrays(as_arrays(vectors)).env is vectors  # once is enough

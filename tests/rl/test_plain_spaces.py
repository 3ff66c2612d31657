"""Spaces as plain data come back equal: vectors, single numbers, images, without bounds."""

import json
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from metarl.rl.plain_spaces import plain_space, space_of


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-1.0, 1.0, (), np.float32),
        spaces.Box(0.0, np.inf, (), np.float64),
        spaces.Box(np.array([-1.0, 0.5]), np.array([1.0, np.inf]), dtype=np.float64),
        spaces.Box(0, 255, (4, 4, 1), np.uint8),
        spaces.Discrete(5, start=2),
        spaces.MultiDiscrete([3, 4], start=[0, -1]),
        spaces.MultiDiscrete([[3, 4], [2, 2]], np.int32),
        spaces.MultiBinary(3),
        spaces.MultiBinary((3, 2)),
    ],
    ids=str,
)
def test_a_space_comes_back_equal(space: spaces.Space[Any]) -> None:
    assert space_of(json.loads(json.dumps(plain_space(space)))) == space

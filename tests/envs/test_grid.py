"""GridNavi, from its row of the specification table (VariBAD).

(x, y) on 5 x 5, start (0, 0), 5 actions with no-op; goal uniform over 25 - 4 cells, not in the
2 x 2 start corner; +1 on the goal, else -0.1; never ends; 15 steps.
"""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils import env_checker as gymnasium_checker
from stable_baselines3.common import env_checker as sb3_checker

from metarl_envs import FAMILIES

ID = "metarl/GridNavi-v0"
STAY, UP, RIGHT, DOWN, LEFT = range(5)


def make(goal: tuple[int, int], start: tuple[int, int] = (0, 0), **options: Any) -> Any:
    """A reset environment with that goal, moved to ``start``."""
    env = gym.make(ID, task={"goal": goal}, **options)
    env.reset(seed=0)
    env.unwrapped.set_wrapper_attr("state", np.array(start))
    return env


@pytest.mark.parametrize(
    ("start", "action", "expected"),
    [
        ((2, 1), STAY, (2, 1)),
        ((2, 1), UP, (2, 2)),
        ((2, 1), RIGHT, (3, 1)),
        ((2, 1), DOWN, (2, 0)),
        ((2, 1), LEFT, (1, 1)),
        ((2, 4), UP, (2, 4)),
        ((4, 2), RIGHT, (4, 2)),
        ((2, 0), DOWN, (2, 0)),
        ((0, 2), LEFT, (0, 2)),
    ],
)
def test_moves_and_walls(start: Any, action: int, expected: Any) -> None:
    observation, *_ = make((4, 4), start).step(action)
    assert observation.dtype == np.float32
    assert tuple(observation) == expected


def test_a_batch_moves_in_all_directions() -> None:
    env: Any = gym.make_vec(ID, num_envs=5)
    env.set_attr("task", {"goal": [2, 3]})
    assert env.reset(seed=0)[0].tolist() == [[0.0, 0.0]] * 5
    env.state = np.full((5, 2), 2)
    observations, rewards, *_ = env.step(np.arange(5))
    assert observations.tolist() == [[2, 2], [2, 3], [3, 2], [2, 1], [1, 2]]
    assert rewards.tolist() == [-0.1, 1.0, -0.1, -0.1, -0.1]


def test_the_goal_pays_as_long_as_the_agent_is_there() -> None:
    env = make((0, 2))
    steps = [env.step(action)[1] for action in (UP, UP, STAY, LEFT, RIGHT, LEFT)]
    assert steps == [-0.1, 1.0, 1.0, 1.0, -0.1, 1.0]


def test_the_best_trajectory_to_the_far_corner() -> None:
    """8 moves: seven of -0.1, then 1 on arrival and for 7 steps of staying: 7.3."""
    env = make((4, 4))
    steps = [env.step(action) for action in [UP] * 4 + [RIGHT] * 4 + [STAY] * 7]
    assert sum(step[1] for step in steps) == pytest.approx(7.3)
    assert [step[2:4] for step in steps] == [(False, False)] * 14 + [(False, True)]
    assert FAMILIES[ID] == 15


def goals(split: Any, **options: Any) -> set[tuple[int, int]]:
    distribution = gym.make(ID, **options).get_wrapper_attr("task_distribution")
    assert distribution.disjoint
    drawn = distribution.sample(np.random.default_rng(0), 3000, split)["goal"]
    return {(int(x), int(y)) for x, y in drawn}


def test_goals_are_the_cells_outside_the_corner() -> None:
    train, held_out = goals("train"), goals("held_out")
    corner = {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert train | held_out == {(x, y) for x in range(5) for y in range(5)} - corner
    assert (len(train), len(held_out)) == (17, 4)
    assert not train & held_out


@pytest.mark.parametrize("size", [3, 5, 8])
def test_held_out_goals_lie_among_train_goals(size: int) -> None:
    train, held_out = goals("train", size=size), goals("held_out", size=size)
    assert len(train | held_out) == size**2 - 4
    for x, y in held_out:
        assert not {(x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)} & held_out


def test_train_goals_are_uniform() -> None:
    """17,000 draws of 17 cells: χ² of 16 degrees of freedom, deviation sqrt(32)."""
    distribution = gym.make(ID).get_wrapper_attr("task_distribution")
    drawn = distribution.sample(np.random.default_rng(0), 17_000, "train")["goal"]
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    assert abs(((counts - 1000) ** 2 / 1000).sum() - 16) < 4.5 * np.sqrt(32)


def test_any_cell_can_be_given() -> None:
    env = make((0, 0))
    assert env.step(STAY)[1] == 1.0
    assert env.get_wrapper_attr("task")["goal"].tolist() == [0, 0]


def test_the_picture_shows_the_agent_only() -> None:
    """Row 0 is the top, y = 4: from (0, 0) to (0, 1) and (1, 1)."""
    env = make((1, 1), observation="image")
    for action, (row, column) in [(STAY, (4, 0)), (UP, (3, 0)), (RIGHT, (3, 1))]:
        picture, *_ = env.step(action)
        expected = np.zeros((5, 5, 1), np.uint8)
        expected[row, column] = 255
        np.testing.assert_array_equal(picture, expected)
        assert picture.dtype == np.uint8


def test_pictures_of_a_batch_are_those_of_single_environments() -> None:
    env: Any = gym.make_vec(ID, num_envs=6, observation="image", size=4)
    pictures = [env.reset(seed=0)[0]]
    assert env.single_observation_space == gym.spaces.Box(0, 255, (4, 4, 1), np.uint8)
    cells = [(0, 0), (3, 0), (0, 3), (3, 3), (1, 2), (2, 1)]
    env.state = np.array(cells)
    pictures.append(env.step(np.zeros(6, int))[0])
    for i, cell in enumerate(cells):
        single = make((3, 3), cell, observation="image", size=4)
        np.testing.assert_array_equal(pictures[1][i], single.step(STAY)[0])
    assert (pictures[0][:, 3, 0, 0] == 255).all()
    assert pictures[0].sum() == 6 * 255


# the checker would rather have pictures that fit its own network
@pytest.mark.filterwarnings("ignore:.*minimal resolution for an image is 36x36:UserWarning")
def test_checkers_accept_pictures() -> None:
    env = gym.make(ID, observation="image").unwrapped
    gymnasium_checker.check_env(env, skip_render_check=True)
    sb3_checker.check_env(env)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 2}, "size must be at least 3, got 2"),
        ({"observation": "pixels"}, "observation must be position or image, got 'pixels'"),
    ],
)
def test_unknown_options(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gym.make(ID, **options)

"""What is wrong with actions or tasks of the discrete families is named, wherever it is given."""

import copy
from collections.abc import Callable
from typing import Any

import array_api_compat.torch as xp
import gymnasium as gym
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from metarl_envs import Arrays
from metarl_envs.discrete import entries, running_sum

FIVE_ACTIONS = pytest.mark.parametrize(
    "env_id", ["metarl/GridNavi-v0", "metarl/BernoulliBandit-v0", "metarl/TabularMDP-v0"]
)


@FIVE_ACTIONS
@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([0, 4, 5], "the action of environment 2 is 5; it must be an integer from 0 to 4"),
        ([0, -1, 9], "the action of environment 1 is -1; it must be an integer from 0 to 4"),
        ([0.0, 1.0, 2.0], "actions must be integers from 0 to 4, got .0. 1. 2.."),
        ([True, False, True], "actions must be integers from 0 to 4, got . True False  True."),
        ([0, 1], r"actions must be \(3,\), got \(2,\)"),
        ([[0], [1], [2]], r"actions must be \(3,\), got \(3, 1\)"),
        (1, r"actions must be \(3,\), got \(\)"),
    ],
)
def test_wrong_actions_of_a_batch(env_id: str, actions: Any, message: str) -> None:
    env: Any = gym.make_vec(env_id, num_envs=3)
    env.reset(seed=0)
    before = copy.deepcopy(env.state)
    with pytest.raises(ValueError, match=message) as error:
        env.step(np.array(actions))
    assert "\n" not in str(error.value)
    np.testing.assert_array_equal(env.state, before)


@FIVE_ACTIONS
@pytest.mark.parametrize(
    ("action", "message"),
    [
        (5, "^the action is 5; it must be an integer from 0 to 4"),
        (np.int64(-1), "^the action is -1; it must be an integer from 0 to 4"),
        (1.0, "actions must be integers from 0 to 4, got 1.0"),
        (np.array([1]), r"actions must be \(\), got \(1,\)"),
    ],
)
def test_wrong_actions_of_one_environment(env_id: str, action: Any, message: str) -> None:
    env = gym.make(env_id)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(action)


@FIVE_ACTIONS
@pytest.mark.parametrize("action", [3, np.int32(3), np.uint8(3), np.array(3)])
def test_every_kind_of_integer_is_an_action(env_id: str, action: Any) -> None:
    env = gym.make(env_id)
    rewards = []
    for given in (action, 3):
        env.reset(seed=0)
        rewards.append(env.step(given)[1])
    assert rewards[0] == rewards[1]


def uneven() -> NDArray[np.float64]:
    """Transitions with one row that sums to 0.9."""
    rows = np.full((10, 5, 10), 0.1)
    rows[3, 2, 0] = 0.0
    return rows


MEANS = np.ones((10, 5))
UNIFORM = np.full((10, 5, 10), 0.1)
WRONG_TASKS = pytest.mark.parametrize(
    ("env_id", "task", "message"),
    [
        ("BernoulliBandit", {"means": [0.5, 0.5, 0.5, 0.5, 1.5]}, r"within \[0.0, 1.0\]"),
        ("BernoulliBandit", {"means": [0.5, 0.5, 0.5, 0.5, np.nan]}, r"within \[0.0, 1.0\]"),
        ("GridNavi", {"goal": [2.5, 0]}, r"\[2.5, 0.0\]; it must be integers within \[0, 4\]"),
        ("GridNavi", {"goal": [5, 0]}, r"\[5.0, 0.0\]; it must be integers within \[0, 4\]"),
        (
            "TabularMDP",
            {"transitions": uneven(), "reward_means": MEANS},
            r"'transitions' is \[0.0, 0.1, .* 0.1\] at \[3, 2\]; it must have rows of probabil",
        ),
        (
            "TabularMDP",
            {"transitions": UNIFORM, "reward_means": MEANS * np.inf},
            r"'reward_means' is \[Infinity.* at \[0\]; it must be finite",
        ),
    ],
)


def by_make(env_id: str, task: Any) -> None:
    gym.make(env_id, task=task)


def by_attribute(env_id: str, task: Any) -> None:
    gym.make(env_id).set_wrapper_attr("task", task)


def by_set_attr(env_id: str, task: Any) -> None:
    env = gym.make_vec(env_id, num_envs=2)
    env.set_attr("task", [env.get_attr("task")[0], task])


def by_set_attr_for_all(env_id: str, task: Any) -> None:
    gym.make_vec(env_id, num_envs=2).set_attr("task", task)


def by_set_attr_of_singles(env_id: str, task: Any) -> None:
    gym.make_vec(env_id, num_envs=2, vectorization_mode="sync").set_attr("task", [task] * 2)


def by_set_tasks(env_id: str, task: Any) -> None:
    env: Any = gym.make_vec(env_id, num_envs=2)
    env.set_tasks({name: np.stack([env.tasks[name][0], task[name]]) for name in task})


WAYS = [
    by_make,
    by_attribute,
    by_set_attr,
    by_set_attr_for_all,
    by_set_attr_of_singles,
    by_set_tasks,
]


@pytest.mark.parametrize("give", WAYS)
@WRONG_TASKS
def test_wrong_tasks(give: Callable[..., None], env_id: str, task: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        give(f"metarl/{env_id}-v0", task)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 250


def test_entries_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    table = rng.random((4, 3, 2, 5))
    first, second = rng.integers(3, size=4), rng.integers(2, size=4)
    looped = [table[i, first[i], second[i]] for i in range(4)]
    np.testing.assert_array_equal(entries(table, first, second), looped)
    np.testing.assert_array_equal(entries(table[1], first[1], second[1]), looped[1])


def test_running_sums_of_tensors_are_those_of_numpy_bit_for_bit() -> None:
    table = np.random.default_rng(0).dirichlet(np.ones(10), (7, 3))
    ours = running_sum(torch.from_numpy(table), Arrays(xp, torch.float64, "cpu"))
    np.testing.assert_array_equal(ours, running_sum(table))

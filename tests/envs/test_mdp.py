"""The tabular MDP, from its row of the specification table (RL², section 3.2).

10 states, one-hot; start s0; 5 actions; P(·|s, a) ~ Dirichlet(1); mean of r(s, a) ~ N(1, 1); reward
N(mean, 1); never ends; 10 steps.
"""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray

from metarl_envs import FAMILIES, TabularMDP

ID = "metarl/TabularMDP-v0"


def batch(tasks: Any, num_envs: int, **options: Any) -> Any:
    env: Any = gym.make_vec(ID, num_envs=num_envs, **options)
    env.set_tasks(tasks)
    env.reset(seed=0)
    return env


def chain(num_states: int, num_actions: int) -> dict[str, NDArray[np.float64]]:
    """From s to s + 1 + a, round; the mean reward is 1000 s + 100 a."""
    states, actions = np.arange(num_states)[:, None], np.arange(num_actions)
    return {
        "transitions": np.eye(num_states)[(states + 1 + actions) % num_states],
        "reward_means": 1000.0 * states + 100.0 * actions,
    }


def test_it_starts_in_the_first_state_and_runs_ten_steps() -> None:
    env = gym.make(ID)
    for _ in range(2):
        observation, _ = env.reset(seed=0)
        assert (observation.tolist(), observation.dtype) == ([1.0] + [0.0] * 9, np.float32)
        ends = [env.step(env.action_space.sample())[2:4] for _ in range(10)]
        assert ends == [(False, False)] * 9 + [(False, True)]
    assert env.action_space == gym.spaces.Discrete(5)
    assert FAMILIES[ID] == 10


def test_rewards_are_those_of_the_state_before_the_move() -> None:
    """0 -a=1-> 2 -a=0-> 3 -a=4-> 8 -a=3-> 2 (12 mod 10); noise is below 50, means are 100 apart."""
    env = gym.make(ID, task=chain(10, 5))
    env.reset(seed=0)
    for action, state, mean in [(1, 2, 100), (0, 3, 2000), (4, 8, 3400), (3, 2, 8300)]:
        observation, reward, *_ = env.step(action)
        assert observation.tolist() == np.eye(10)[state].tolist()
        assert float(reward) == pytest.approx(mean, abs=50)


def test_a_batch_moves_as_single_environments_do() -> None:
    """Six environments of two tasks whose moves are certain."""
    other = chain(10, 5)
    other["transitions"] = other["transitions"][::-1]
    tasks = [chain(10, 5), other] * 3
    env = batch({name: np.stack([task[name] for task in tasks]) for name in other}, 6)
    singles = [gym.make(ID, task=task) for task in tasks]
    for single in singles:
        single.reset()
    rng = np.random.default_rng(0)
    for _ in range(10):
        actions = rng.integers(5, size=6)
        observations, rewards, *_ = env.step(actions)
        for i, single in enumerate(singles):
            observation, reward, *_ = single.step(actions[i])
            np.testing.assert_array_equal(observations[i], observation)
            assert rewards[i] == pytest.approx(float(reward), abs=50)


def test_transitions_have_their_probabilities() -> None:
    """χ² of 2 tasks, 4 states, 3 actions with 3 degrees of freedom each: 72, deviation 12."""
    distribution = TabularMDP(4, 3).task_distribution
    tasks = distribution.sample(np.random.default_rng(0), 2)
    num = 1000
    task, state, action = np.indices((2, 4, 3, num)).reshape(4, -1)[:3]
    env = batch(
        {name: values[task] for name, values in tasks.items()},
        len(task),
        num_states=4,
        num_actions=3,
    )
    env.state = state.copy()
    following = env.step(action)[0].argmax(-1)
    counts = np.zeros((2, 4, 3, 4))
    np.add.at(counts, (task, state, action, following), 1)
    expected = num * tasks["transitions"]
    assert expected.min() > 1
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi_square - 72) < 4.5 * 12


def test_rewards_are_normal_around_their_means() -> None:
    """Mean, variance 1, a third beyond one deviation; independent of where the step leads."""
    num = 40_000
    rows = np.tile([0.3, 0.7], (2, 2, 1))
    means = np.array([[2.0, -1.0], [0.5, 10.0]])
    tasks = {"transitions": rows, "reward_means": means}
    env = batch(
        {name: np.tile(value, (num, *[1] * value.ndim)) for name, value in tasks.items()},
        num,
        num_states=2,
        num_actions=2,
    )
    state, action = np.indices((2, 2, num // 4)).reshape(3, -1)[:2]
    env.state = state.copy()
    observations, rewards, *_ = env.step(action)
    noise = rewards - means[state, action]
    for s in (0, 1):
        for a in (0, 1):
            part = noise[(state == s) & (action == a)]
            assert abs(part.mean()) < 4.5 / np.sqrt(num / 4)
            assert abs(part.var() - 1) < 4.5 * np.sqrt(2 / (num / 4))
    assert abs((np.abs(noise) > 1).mean() - 0.3173) < 4.5 * np.sqrt(0.2166 / num)
    assert abs(np.corrcoef(noise, observations[:, 0])[0, 1]) < 4.5 / np.sqrt(num)
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 4.5 / np.sqrt(num)


class Fixed(np.random.Generator):
    """Draws the same uniform each time."""

    def __init__(self, uniform: float) -> None:
        super().__init__(np.random.PCG64(0))
        self.uniform = uniform

    def random(self, *args: Any, **kwargs: Any) -> Any:
        return np.full(args[0], self.uniform)


@pytest.mark.parametrize(("uniform", "state"), [(0.0, 1), (0.4, 1), (0.6, 2), (1 - 2.0**-53, 2)])
def test_impossible_states_are_never_entered(uniform: float, state: int) -> None:
    """Not by the least or the greatest draw there is either, where a row sums to a bit below 1."""
    rows = np.tile([0.0, 0.5 - 4e-7, 0.5 - 4e-7, 0.0], (1, 4, 2, 1))
    task = {"transitions": rows, "reward_means": np.ones((1, 4, 2))}
    start = np.array([0])
    assert TabularMDP(4, 2).step(start, start, task, Fixed(uniform)).state.tolist() == [state]


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_tasks_are_drawn_as_the_paper_has_them(split: Any) -> None:
    """Dirichlet(1) of 10: mean 1/10, variance 9 / (100 · 11). N(1, 1): mean 1, variance 1.

    500 tasks: 250,000 probabilities, 25,000 means; 5 standard errors.
    """
    distribution = gym.make(ID).get_wrapper_attr("task_distribution")
    tasks = distribution.sample(np.random.default_rng(0), 500, split)
    rows, means = tasks["transitions"], tasks["reward_means"]
    assert (rows.shape, means.shape) == ((500, 10, 5, 10), (500, 10, 5))
    np.testing.assert_allclose(rows.sum(-1), 1.0, atol=1e-12)
    assert np.abs(rows.mean((0, 1, 2)) - 0.1).max() < 5 * np.sqrt(9 / 1100 / 25_000)
    assert rows.var() == pytest.approx(9 / 1100, rel=0.03)
    assert means.mean() == pytest.approx(1.0, abs=5 / np.sqrt(25_000))
    assert means.var() == pytest.approx(1.0, abs=5 * np.sqrt(2 / 25_000))
    assert distribution.disjoint
    assert np.unique(rows[:, 0, 0, 0]).size == 500


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_states": 1}, "num_states must be at least 2, got 1"),
        ({"num_actions": 0}, "num_actions must be at least 2, got 0"),
    ],
)
def test_sizes_are_checked(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gym.make(ID, **options)

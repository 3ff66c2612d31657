"""Random numbers by row, and batched families that draw from them."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

import metarl_envs  # noqa: F401  # registers the ids
from metarl_envs.rows import RowRandom

NUM = 400


def test_numbers_are_those_of_splitmix64() -> None:
    """Golden: a row's start is its seed hashed twice, and what follows the published sequence."""
    bits = [int(x) for x in np.ldexp(RowRandom([0]).random((1, 3))[0], 53)]
    state, expected = twice_hashed(0), []
    for _ in range(3):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        expected.append(hashed(state) >> 11)
    assert bits == expected


def test_the_hash_is_the_published_one() -> None:
    """Golden: the first output of SplitMix64 with seed 1234567."""
    assert hashed((1234567 + 0x9E3779B97F4A7C15) % 2**64) == 6457827717110365317


def hashed(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
    return z ^ (z >> 31)


def twice_hashed(seed: int) -> int:
    return hashed(hashed((seed + 0x9E3779B97F4A7C15) % 2**64))


def test_uniforms_and_normals_have_their_moments() -> None:
    """Mean, variance and fourth moment of 400 x 400 numbers, within 4.5 standard errors."""
    random, error = RowRandom(range(NUM)), 1 / NUM
    uniform, normal = random.random((NUM, NUM)), random.standard_normal((NUM, NUM))
    assert abs(uniform.mean() - 0.5) < 4.5 * error * 12**-0.5
    assert abs((12 * (uniform - 0.5) ** 2).mean() - 1) < 4.5 * error * 0.9
    assert abs(normal.mean()) < 4.5 * error
    assert abs((normal**2).mean() - 1) < 4.5 * error * 2**0.5
    assert abs((normal**4).mean() - 3) < 4.5 * error * 96**0.5
    assert 0 <= uniform.min() < uniform.max() < 1


def test_rows_and_times_are_uncorrelated() -> None:
    """Neighbours, of seeds that follow one another too, within 4.5 standard errors."""
    x = RowRandom(range(NUM)).standard_normal((NUM, NUM))
    for one, other in ((x[1:], x[:-1]), (x[:, 1:], x[:, :-1])):
        assert abs((one * other).mean()) < 4.5 / NUM


def test_a_row_draws_the_same_whatever_the_others_do() -> None:
    random, alone = RowRandom([3, 4, 5]), RowRandom([4])
    rows = np.array([True, True, False])
    drawn = [random.of(rows).uniform(-1.0, 3.0, (2, 2))[1]]
    random.of(np.array([True, False, True])).standard_normal((2, 9))
    drawn.append(random.random((3,))[1])
    drawn.append(random.standard_normal((3, 4))[1])
    expected = alone.uniform(-1.0, 3.0, (1, 2)), alone.random((1,)), alone.standard_normal((1, 4))
    for value, other in zip(drawn, expected, strict=True):
        np.testing.assert_array_equal(value, other[0])


FAMILIES = [
    "metarl/BernoulliBandit-v0",
    "metarl/TabularMDP-v0",
    "metarl/PointCorners-v0",
    "metarl/HalfCheetahVel-v0",
    "metarl/AntGoal-v0",
]


def run(env_id: str, chosen: list[int], *, resets: bool = False) -> list[NDArray[Any]]:
    """Observations and rewards of some of six environments, with tasks and actions of their own.

    Args:
        env_id: of the family.
        chosen: which of the six there are.
        resets: whether environment 0 starts anew in the middle.
    """
    env: Any = gym.make_vec(env_id, num_envs=len(chosen), autoreset_mode=AutoresetMode.DISABLED)
    tasks = env.task_distribution.sample(np.random.default_rng(0), 6)
    env.set_tasks({name: values[chosen] for name, values in tasks.items()})
    space, rng = env.single_action_space, np.random.default_rng(1)
    if isinstance(space, gym.spaces.Discrete):
        actions = rng.integers(space.n, size=(8, 6))
    else:
        actions = rng.uniform(space.low, space.high, (8, 6, *space.shape)).astype(np.float32)
    seen = [env.reset(seed=[100 + i for i in chosen])[0]]
    for t in range(8):
        observations, rewards, *_ = env.step(actions[t, chosen])
        seen += [observations, rewards]
        if resets and t == 3:
            env.reset(options={"reset_mask": np.array(chosen) == 0})
    env.close()
    return seen


@pytest.mark.parametrize("env_id", FAMILIES)
def test_an_environment_is_the_same_in_every_batch(env_id: str) -> None:
    whole, part = run(env_id, [0, 1, 2, 3, 4, 5]), run(env_id, [4, 2])
    for ours, theirs in zip(whole, part, strict=True):
        np.testing.assert_array_equal(ours[[4, 2]], theirs)


@pytest.mark.parametrize("env_id", FAMILIES)
def test_resets_of_others_change_nothing(env_id: str) -> None:
    plain, reset = (run(env_id, [0, 1, 2], resets=resets) for resets in (False, True))
    for ours, theirs in zip(plain, reset, strict=True):
        np.testing.assert_array_equal(ours[1:], theirs[1:])
    assert "Bandit" in env_id or not all(map(np.array_equal, plain, reset))


def test_environments_with_seeds_of_their_own_differ() -> None:
    starts = gym.make_vec("metarl/PointCorners-v0", num_envs=50).reset(seed=list(range(50)))[0]
    assert len(np.unique(starts)) == 100


def test_one_seed_for_all_is_one_generator() -> None:
    env: Any = gym.make_vec("metarl/PointCorners-v0", num_envs=3)
    env.reset(seed=[1, 2, 3])
    expected = np.random.default_rng(7).uniform(-0.2, 0.2, (3, 2)).astype(np.float32)
    np.testing.assert_array_equal(env.reset(seed=7)[0], expected)


def test_none_in_a_list_goes_on() -> None:
    env: Any = gym.make_vec("metarl/PointCorners-v0", num_envs=2)
    other: Any = gym.make_vec("metarl/PointCorners-v0", num_envs=2)
    for each in (env, other):
        each.reset(seed=[1, 2])
    np.testing.assert_array_equal(env.reset(seed=[None, None])[0], other.reset()[0])
    env.reset(seed=[5, None])
    other.reset()
    assert np.array_equal(env.reset()[0][1], other.reset()[0][1])


def test_a_list_of_another_length_is_refused() -> None:
    env: Any = gym.make_vec("metarl/PointCorners-v0", num_envs=2)
    with pytest.raises(ValueError, match=r"need one seed an environment \(2\), got 3"):
        env.reset(seed=[1, 2, 3])

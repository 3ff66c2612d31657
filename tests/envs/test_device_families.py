"""Families in tensors: step for step what NumPy gives, and nothing that waits for a device."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import array_api_compat.torch as xp
import gymnasium as gym
import numpy as np
import pytest
import torch
from device_tensors import NoHostCopies
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from metarl_envs import (
    NUMPY,
    NUMPY_FAMILIES,
    Arrays,
    FamilyDeviceEnv,
    FamilyVectorEnv,
    GridNavi,
    PointCorners,
    Product,
    Task,
    Uniform,
    make_device,
)
from metarl_envs.arrays import Array
from metarl_envs.family import Outcome
from metarl_envs.rows import Random

NUM, STEPS = 6, 8


class Wanderer:
    """A family of one's own: starts and steps are random, ``pace`` is a constant."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), dtype=np.float32)
    action_space = spaces.Box(-1.0, 1.0, (2,), dtype=np.float32)

    def __init__(self) -> None:
        self.arrays = NUMPY
        self.pace = np.array([0.1, 2.0])
        self.task_distribution = Product({"goal": Uniform([-1.0, -1.0], 1.0)})

    def start(self, rng: Random, leading: tuple[int, ...]) -> Array:
        return rng.uniform(-1.0, 1.0, (*leading, 2))

    def step(self, state: Array, action: Array, task: Task, rng: Random) -> Outcome:
        state = state + self.pace * rng.standard_normal(tuple(state.shape)) + action
        return Outcome(state, abs(state - task["goal"]).sum(-1), state[..., 0] > 1.0)

    def observe(self, state: Array, task: Task) -> Array:
        return self.arrays.xp.asarray(state, dtype=self.arrays.xp.float32, copy=True)


CASES: dict[str, Callable[[], Any]] = {
    **{name.removeprefix("metarl/"): family for name, (family, _) in NUMPY_FAMILIES.items()},
    "dense corners": partial(PointCorners, "dense"),
    "dense squared corners": partial(PointCorners, "dense_squared"),
    "image of a grid": partial(GridNavi, observation="image"),
    "family of one's own": Wanderer,
}
EVERY = pytest.mark.parametrize("make", list(CASES.values()), ids=list(CASES))


def on_cpu(family: Any, num_envs: int, dtype: torch.dtype = torch.float32) -> FamilyDeviceEnv:
    return FamilyDeviceEnv(family, num_envs, 100, Arrays(xp, dtype, "cpu"))


def make_pair(
    make: Callable[[], Any], dtype: torch.dtype
) -> tuple[FamilyVectorEnv, FamilyDeviceEnv]:
    """The batch in NumPy and the one in tensors, with the same tasks."""
    batch, device = FamilyVectorEnv(make(), NUM, 100, "Disabled"), on_cpu(make(), NUM, dtype)
    tasks = batch.task_distribution.sample(np.random.default_rng(0), NUM)
    batch.set_tasks(tasks)
    device.set_tasks(tasks)
    return batch, device


def random_actions(env: FamilyVectorEnv) -> Iterator[NDArray[Any]]:
    """Random ones; moves also beyond the bounds, and even environments walk to their goals."""
    rng, space = np.random.default_rng(1), env.single_action_space
    for _ in range(STEPS):
        if isinstance(space, spaces.Discrete):
            yield rng.integers(space.n, size=NUM)
        else:
            actions = rng.uniform(-0.4, 0.4, (NUM, 2))
            actions[::2] = (env.tasks["goal"] - env.state)[::2]
            yield actions.astype(np.float32)


def outcome(env: FamilyDeviceEnv) -> list[Tensor]:
    return [env.observations, env.rewards, env.terminated]


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@EVERY
def test_tensors_go_the_way_of_numpy(
    make: Callable[[], Any], dtype: torch.dtype, atol: float
) -> None:
    """In the middle some start anew, with seeds of their own."""
    batch, device = make_pair(make, dtype)
    seeds, rows = np.arange(NUM) + 100, np.arange(NUM) % 3 == 0
    places = [tensor.data_ptr() for tensor in outcome(device)]

    def compare(*expected: NDArray[Any]) -> None:
        for ours, theirs in zip(outcome(device), expected, strict=False):
            assert type(ours) is Tensor
            exact = torch.from_numpy(np.array(theirs)).to(ours.dtype)
            torch.testing.assert_close(ours, exact, rtol=0, atol=atol)

    compare_start = batch.reset(seed=seeds.tolist())[0]
    device.restart(torch.from_numpy(seeds))
    compare(compare_start)
    for t, actions in enumerate(random_actions(batch)):
        device.step(torch.from_numpy(actions))
        compare(*batch.step(actions)[:3])
        if t == STEPS // 2:
            device.restart(torch.from_numpy(seeds + 50), torch.from_numpy(rows))
            mask = {"reset_mask": rows}
            compare(batch.reset(seed=(seeds + 50).tolist(), options=mask)[0])
            assert not device.terminated.numpy()[rows].any()
    device.check()
    assert [tensor.data_ptr() for tensor in outcome(device)] == places
    assert device.rewards.dtype == dtype
    assert device.observations.dtype == getattr(torch, str(batch.single_observation_space.dtype))


@EVERY
def test_a_rollout_neither_waits_nor_copies(make: Callable[[], Any]) -> None:
    env = on_cpu(make(), NUM)
    discrete = isinstance(env.single_action_space, spaces.Discrete)
    actions = torch.ones(NUM, dtype=torch.int64) if discrete else torch.ones(NUM, 2)
    seeds, rows = torch.arange(NUM), torch.arange(NUM) > 2
    with NoHostCopies():
        env.restart(seeds)
        env.step(actions)
        env.restart(seeds, rows)
        env.step(actions)
    env.check()
    assert type(env.rewards) is Tensor
    assert env.rewards.isfinite().all()
    assert env.observations.data_ptr() != env._state.data_ptr()


@EVERY
def test_an_environment_is_the_same_in_every_batch(make: Callable[[], Any]) -> None:
    chosen, seen = [4, 2], []
    for rows in (list(range(NUM)), chosen):
        env = on_cpu(make(), len(rows))
        tasks = env.task_distribution.sample(np.random.default_rng(0), NUM)
        env.set_tasks({name: values[rows] for name, values in tasks.items()})
        env.restart(torch.arange(NUM)[rows])
        for _ in range(3):
            env.step(torch.ones(NUM, *(env.single_action_space.shape or ())).long()[rows])
        seen.append([part.clone() for part in (env.observations, env.rewards)])
    for whole, part in zip(*seen, strict=True):
        assert torch.equal(whole[chosen], part)


def test_actions_that_a_discrete_space_lacks_are_told_of_after_the_rollout() -> None:
    env = make_device("metarl/GridNavi-v0", 3, "cpu", xp)
    env.step(torch.tensor([0, 4, 5]))
    env.step(torch.tensor([0, 4, 4]))
    with pytest.raises(ValueError, match=r"GridNavi-v0: an action of environment 2 .* from 0 to 4"):
        env.check()
    env.check()


def test_actions_of_another_shape_or_kind_are_refused() -> None:
    env = make_device("metarl/GridNavi-v0", 3, "cpu", xp)
    with pytest.raises(ValueError, match=r"actions must be \(3,\), got \(2,\)"):
        env.step(torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ValueError, match="actions must be integers from 0 to 4"):
        env.step(torch.zeros(3))


def test_tasks_are_checked_as_those_of_vector_environments() -> None:
    env = make_device("metarl/PointGoal-v0", 2, "cpu", xp)
    with pytest.raises(ValueError, match=r"'goal' of a batch must be \(2, 2\), got \(1, 2\)"):
        env.set_tasks({"goal": np.zeros((1, 2))})
    with pytest.raises(ValueError, match=r"'goal' is \[3.0, 0.0\]; it must lie within"):
        env.set_tasks({"goal": np.array([[0.0, 0.0], [3.0, 0.0]])})


def test_what_has_no_device_form_says_so() -> None:
    for source in ("CartPole-v1", lambda: gym.make("metarl/PointGoal-v0")):
        with pytest.raises(ValueError, match="has no form on a device; these have: metarl/Point"):
            make_device(source, 2, "cpu", xp)
    with pytest.raises(ValueError, match=r"PointCorners-v0 with options .* got 'loud'"):
        make_device("metarl/PointCorners-v0", 2, "cpu", xp, reward="loud")
    with pytest.raises(ValueError, match="max_episode_steps must be at least 1, got 0"):
        make_device("metarl/PointCorners-v0", 2, "cpu", xp, max_episode_steps=0)

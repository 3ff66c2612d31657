"""Environments in processes do what they do in one, and leave nothing behind."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from metarl_envs import Product, Uniform
from metarl_envs.workers import WorkerVectorEnv, joined

GOALS = Product({"goal": Uniform(0.0, 1.0)})


class Walk(gym.Env[Any, Any]):
    """Random steps; ends by itself after some, which differ. Infos of many kinds.

    Args:
        index: of the environment, decides when it ends.
        observed: kind of observations.
        fault: what goes wrong in the third step of environment 3.
    """

    action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
    task_distribution = GOALS
    task_space = GOALS.space

    def __init__(self, index: int = 0, observed: str = "box", fault: str = "") -> None:
        place = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.observation_space = {
            "box": place,
            "dict": spaces.Dict({"x": place, "pair": spaces.Tuple((place, spaces.Discrete(99)))}),
            "image": spaces.Box(0, 255, (4, 4, 3), np.uint8),
        }[observed]
        self.index, self.observed, self.fault = index, observed, fault if index == 3 else ""
        self.task: Any = {"goal": np.array(0.0)}
        if self.fault == "making":
            raise ConnectionResetError(104, "no simulator")

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.x, self.time = self.np_random.normal(size=2).astype(np.float32), 0
        return self._observe(), {"start": float(self.x[0])}

    def step(self, action: Any) -> Any:
        self.time += 1
        if self.fault and self.time == 3:
            self._fail()
        self.x = (self.x + action + self.np_random.normal(size=2)).astype(np.float32)
        info: dict[str, Any] = {"time": self.time, "x": self.x.copy()}
        if self.index % 3 == 0:
            info["nested"] = {"name": f"env {self.index}", "even": self.time % 2 == 0}
        reward = -abs(float(self.x[0] - self.task["goal"]))
        return self._observe(), reward, self.time > 3 + self.index % 4, self.time > 5, info

    def _fail(self) -> None:
        match self.fault:
            case "die":
                os._exit(9)
            case "exit":
                sys.exit(0)
            case "odd":
                raise OddError("two", "arguments")
        raise ZeroDivisionError("nothing to divide by")

    def _observe(self) -> Any:
        match self.observed:
            case "dict":
                return {"x": self.x, "pair": (2 * self.x, self.time)}
            case "image":
                return np.full((4, 4, 3), self.time, np.uint8)
        return self.x

    def place(self, factor: int) -> float:
        return factor * float(self.x[1])


class OddError(Exception):
    """Cannot be unpickled."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


def makers(num: int = 5, **options: Any) -> list[Callable[[], Walk]]:
    return [partial(Walk, index, **options) for index in range(num)]


def equal(some: Any, others: Any) -> None:
    """Of the same structure, types and bits."""
    assert type(some) is type(others)
    if isinstance(some, dict):
        assert some.keys() == others.keys()
        for name in some:
            equal(some[name], others[name])
    elif isinstance(some, tuple):
        assert len(some) == len(others)
        for one, other in zip(some, others, strict=True):
            equal(one, other)
    elif isinstance(some, np.ndarray):
        assert (some.dtype, some.shape) == (others.dtype, others.shape)
        if some.dtype == object:
            equal(tuple(some), tuple(others))
        else:
            np.testing.assert_array_equal(some, others)
    else:
        assert some == others


@pytest.fixture(autouse=True)
def _leaves_nothing() -> Iterator[None]:
    """No process, and no memory with a name."""
    before = set(os.listdir("/dev/shm")) if Path("/dev/shm").is_dir() else set()
    yield
    assert active_children() == []
    if Path("/dev/shm").is_dir():
        assert not [name for name in set(os.listdir("/dev/shm")) - before if "psm" in name]


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("observed", ["box", "dict", "image"])
def test_results_are_those_of_one_process(mode: AutoresetMode, observed: str) -> None:
    fns = makers(observed=observed)
    one, many = (
        SyncVectorEnv(fns, autoreset_mode=mode),
        WorkerVectorEnv(fns, 2, autoreset_mode=mode),
    )
    with closing(one), closing(many):
        assert many.metadata == one.metadata
        assert many.observation_space == one.observation_space
        equal(many.reset(seed=7), one.reset(seed=7))
        actions = np.random.default_rng(0).uniform(-1, 1, (12, 5, 2)).astype(np.float32)
        for step, action in enumerate(actions):
            ours, theirs = many.step(action), one.step(action)
            equal(ours, theirs)
            ended = theirs[2] | theirs[3]
            if mode == AutoresetMode.DISABLED and ended.any():
                seeds = [step + i for i in range(5)]
                pairs = ((env, {"reset_mask": ended.copy(), "more": 1}) for env in (many, one))
                equal(*(env.reset(seed=list(seeds), options=options) for env, options in pairs))
        equal(many.reset(), one.reset())


@pytest.mark.parametrize("num_workers", [1, 3, 5, 9])
def test_any_number_of_processes_does_the_same(num_workers: int) -> None:
    with closing(WorkerVectorEnv(makers(), num_workers)) as env:
        assert env.num_workers == min(num_workers, 5)
        observations, _ = env.reset(seed=[4, 3, 2, 1, 0])
    first = [np.random.default_rng(seed).normal(size=2) for seed in (4, 3, 2, 1, 0)]
    np.testing.assert_array_equal(observations, np.array(first, np.float32))


def test_attributes_are_of_each_environment() -> None:
    with closing(WorkerVectorEnv(makers(), 2)) as env:
        tasks = [{"goal": np.array(i / 10)} for i in range(5)]
        env.set_attr("task", tasks)
        assert [task["goal"] for task in env.get_attr("task")] == [0.0, 0.1, 0.2, 0.3, 0.4]
        env.set_some("task", [3, 0], [{"goal": np.array(0.9)}, {"goal": np.array(0.8)}])
        assert [task["goal"] for task in env.get_attr("task")] == [0.8, 0.1, 0.2, 0.9, 0.4]
        env.set_attr("task", tasks[2])
        assert [task["goal"] for task in env.get_attr("task")] == [0.2] * 5
        observations, _ = env.reset(seed=0)
        assert env.call("place", 2) == tuple(2 * float(x) for x in observations[:, 1])


def test_results_are_copies() -> None:
    with closing(WorkerVectorEnv(makers(), 2)) as env:
        first, _ = env.reset(seed=0)
        kept = first.copy()
        _, rewards, *_ = env.step(np.zeros((5, 2), np.float32))
        before = rewards.copy()
        env.step(np.zeros((5, 2), np.float32))
        np.testing.assert_array_equal(first, kept)
        np.testing.assert_array_equal(rewards, before)


def step_until_it_fails(env: WorkerVectorEnv) -> None:
    env.reset(seed=0)
    for _ in range(4):
        env.step(np.zeros((5, 2), np.float32))


def test_what_an_environment_raises_is_raised_here_and_all_go_on() -> None:
    with closing(WorkerVectorEnv(makers(fault="raise"), 2)) as env:
        with pytest.raises(ZeroDivisionError, match="nothing to divide by") as raised:
            step_until_it_fails(env)
        (note,) = raised.value.__notes__
        assert note.startswith("in the process of environments 2 to 4:\nTraceback ")
        assert "in _fail" in note
        observations, _ = env.reset(seed=1)
        assert len(np.unique(observations)) == 10


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("exit", SystemExit, "0"),
        ("odd", RuntimeError, "OddError: twoarguments"),
        ("die", ChildProcessError, "the process of environments 2 to 4 ended, exit code 9"),
    ],
)
def test_other_ends(fault: str, error: type[BaseException], message: str) -> None:
    with (
        closing(WorkerVectorEnv(makers(fault=fault), 2)) as env,
        pytest.raises(error, match=message),
    ):
        step_until_it_fails(env)
    assert active_children() == []
    with pytest.raises(ValueError, match="the environments are closed"):
        env.reset()


def test_one_that_cannot_be_made_ends_all() -> None:
    with pytest.raises(ConnectionResetError, match="no simulator"):
        WorkerVectorEnv(makers(fault="making"), 2)


def test_environments_must_be_alike() -> None:
    fns: list[Any] = [Walk, partial(Walk, observed="image")]
    with pytest.raises(ValueError, match=r"an environment has observations Box\(0, 255"):
        WorkerVectorEnv(fns, 2)


def test_an_interrupt_ends_all() -> None:
    """What was asked is not answered, so nobody could go on."""
    env = WorkerVectorEnv(makers(), 2)
    env.reset(seed=0)

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        env.set_attr("place", time.sleep)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            env.call("place", 60)
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert env.closed
    assert active_children() == []


def test_processes_of_what_is_forgotten_end() -> None:
    env = WorkerVectorEnv(makers(), 2)
    env.reset(seed=0)
    del env
    assert active_children() == []


@pytest.mark.slow  # 2 s, in which processes import what they need
def test_processes_that_start_anew_do_the_same() -> None:
    """As on macOS and Windows, and from Python 3.14 on: functions come pickled."""
    fns: list[Any] = [lambda: Walk(1), lambda: Walk(2)]
    with closing(WorkerVectorEnv(fns, 2, context="forkserver")) as env:
        observations, _ = env.reset(seed=3)
    with closing(SyncVectorEnv(fns)) as one:
        np.testing.assert_array_equal(observations, one.reset(seed=3)[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: WorkerVectorEnv(makers(), 0), "need at least 1 worker and 1 environment, got 0"),
        (lambda: WorkerVectorEnv([], 2), "need at least 1 worker and 1 environment, got 2 and 0"),
    ],
)
def test_numbers_are_checked(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_calls_are_checked() -> None:
    with closing(WorkerVectorEnv(makers(), 2)) as env:
        with pytest.raises(ValueError, match="need one seed an environment"):
            env.reset(seed=[1, 2])
        with pytest.raises(ValueError, match="need one value an environment"):
            env.set_attr("task", [{}])
        for mask in (np.zeros(5, bool), np.ones(4, bool), np.ones(5)):
            with pytest.raises(ValueError, match="reset_mask must be 5 bools, not all False"):
                env.reset(options={"reset_mask": mask})


def test_infos_of_parts_are_put_together() -> None:
    parts = [
        (slice(0, 2), {"a": np.array([1, 2]), "_a": np.array([True, True])}),
        (slice(2, 3), {"b": {"c": np.array(["x"], object)}, "_b": np.array([True])}),
    ]
    info = joined(parts, 3)
    assert info["a"].tolist() == [1, 2, 0]
    assert info["_a"].tolist() == [True, True, False]
    assert info["b"]["c"].tolist() == [None, None, "x"]
    assert info["_b"].tolist() == [False, False, True]

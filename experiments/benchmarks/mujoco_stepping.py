"""Stepping robots under random actions: our engine beside gymnasium, EnvPool and bare ``mj_step``.

400 of our environments on 2 threads, 40 of gymnasium's, which more make no faster; observations,
rewards and ends included. The robots are gymnasium's v5 environments, as declarations for our
engine those of the parity tests, with the same models and frame skips and one body for all. Before
timing, both must give the same observations, rewards and terminations, to the last bit.

``mj_step`` is a C program of 2 threads that does nothing else (``peers/mj_step.c``): skipped where
there is no gcc. EnvPool brings a MuJoCo of its own, so it runs in an interpreter of its own, named
by the environment variable ``ENVPOOL_PYTHON``: skipped without.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import gymnasium as gym
import harness
import mujoco
import numpy as np
from gymnasium.vector import VectorEnv

from metarl_envs.mujoco.engine import MujocoVectorEnv

# the declarations that the parity tests hold against gymnasium, instead of a copy of them
sys.path.append(str(Path(__file__).parents[2] / "tests" / "envs" / "mujoco"))
from v5_families import V5, V5_FAMILIES

PEERS = Path(__file__).with_name("peers")
ROBOTS = {
    "halfcheetah-step": V5_FAMILIES["HalfCheetah"],
    "ant-step": V5_FAMILIES["Ant"],
    "hopper-step": V5_FAMILIES["Hopper"],
    "walker2d-step": V5_FAMILIES["Walker2d"],
}
NUM_ENVS, NUM_GYMNASIUM_ENVS, NUM_THREADS = 400, 40, 2
TIME_LIMIT = 1000  # gymnasium's
SECONDS = 0.5  # of one measurement
BLOCK = 10  # steps whose actions are drawn at a time


def steps_a_second(env: VectorEnv[Any, Any, Any], rng: np.random.Generator) -> float:
    """Environment steps under random actions over their time; drawing these is not in it."""
    space = env.single_action_space
    shape = (BLOCK, env.num_envs, *space.shape)
    elapsed, num_steps = 0.0, 0
    while elapsed < SECONDS:
        block = rng.uniform(space.low, space.high, shape).astype(np.float32)
        start = time.perf_counter()
        for actions in block:
            _, _, terminated, truncated, _ = env.step(actions)
            # an environment that has ended spends its next turn on the reset
            num_steps += env.num_envs - int(np.count_nonzero(terminated | truncated))
        elapsed += time.perf_counter() - start
    return num_steps / elapsed


@contextmanager
def quiet_mujoco() -> Iterator[None]:
    """Without MuJoCo's own warnings: gymnasium's half_cheetah.xml has a deprecated attribute."""
    previous = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda message: None)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(previous)


def check_same(ours: MujocoVectorEnv, theirs: Sequence[gym.Env[Any, Any]]) -> None:
    """Raise unless our environments do what gymnasium's single ones do, until each one's end."""
    for seed, env in enumerate(theirs):
        env.reset(seed=seed)
    states = [env.unwrapped.data for env in theirs]
    ours.reset()
    ours.set_state(
        np.ones(len(theirs), bool),
        np.stack([state.qpos for state in states]),
        np.stack([state.qvel for state in states]),
    )
    rng, alive = np.random.default_rng(0), np.ones(len(theirs), bool)
    space = ours.single_action_space
    for _ in range(50):
        actions = rng.uniform(space.low, space.high, ours.action_space.shape).astype(np.float32)
        steps = [env.step(action)[:3] for env, action in zip(theirs, actions, strict=True)]
        observations, rewards, terminated = map(np.stack, zip(*steps, strict=True))
        got = ours.step(actions)
        np.testing.assert_array_equal(got[0][alive], observations.astype(np.float32)[alive])
        np.testing.assert_array_equal(got[1][alive], rewards[alive])
        np.testing.assert_array_equal(got[2][alive], terminated[alive])
        alive &= ~terminated


@contextmanager
def gymnasium_peer(robot: V5, mode: Literal["sync", "async"]) -> Iterator[harness.Measure]:
    """Gymnasium's environments, in this process or in one process each."""
    with quiet_mujoco():
        env = gym.make_vec(
            robot.env_id,
            num_envs=NUM_GYMNASIUM_ENVS,
            vectorization_mode=mode,
            **robot.options,
        )
    if mode == "sync":
        check_same(make_ours(robot, NUM_GYMNASIUM_ENVS), env.envs)
    env.reset(seed=0)
    with closing(env):
        yield partial(steps_a_second, env, np.random.default_rng(0))


@contextmanager
def raw_peer(robot: V5) -> Iterator[harness.Measure]:
    """A C program that only calls ``mj_step``, built with the headers of the mujoco package."""
    package = Path(mujoco.__file__).parent
    library = next(package.glob("libmujoco.*"))
    with TemporaryDirectory() as folder:
        model, program = Path(folder, "model.mjb"), Path(folder, "mj_step")
        mujoco.mj_saveModel(robot.robot.model, str(model))
        source = [PEERS / "mj_step.c", "-I", package / "include"]
        libraries = [library, f"-Wl,-rpath,{package}", "-lpthread", "-lm"]
        subprocess.run(["gcc", "-O2", "-o", program, *source, *libraries], check=True)
        with process_peer(program, model, NUM_THREADS, robot.robot.frame_skip) as measure:
            yield measure


@contextmanager
def process_peer(*command: object) -> Iterator[harness.Measure]:
    """A process that answers a line with seconds by a line with steps a second."""
    arguments = [str(argument) for argument in command]
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, stdin=pipe, stdout=pipe, text=True, bufsize=1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        questions, answers = process.stdin, process.stdout

        def measure() -> float:
            questions.write(f"{SECONDS}\n")
            return float(answers.readline())

        yield measure


def make_ours(robot: V5, num_envs: int) -> MujocoVectorEnv:
    """Our engine with gymnasium's environment as a declaration."""
    return MujocoVectorEnv(robot.family(False), num_envs, TIME_LIMIT, num_threads=NUM_THREADS)


def compare(
    name: str,
    against: str,
    theirs: harness.Measure,
    pairs: int,
    extra: Mapping[str, Any] | None = None,
) -> harness.Row:
    """Time ours beside a peer."""
    env = make_ours(ROBOTS[name], NUM_ENVS)
    env.reset(seed=0)
    ours = partial(steps_a_second, env, np.random.default_rng(0))
    measured = harness.alternate(ours, theirs, pairs)
    return harness.Row(
        name=name,
        against=against,
        unit="environment steps a second",
        ours=measured[0],
        theirs=measured[1],
        higher_is_better=True,
        extra=extra or {},
    )


def compare_raw(name: str, pairs: int) -> Iterator[harness.Row]:
    """The row against ``mj_step``, where it can be compiled."""
    if shutil.which("gcc") is None:
        print(f"{name} against raw-mj_step is skipped: there is no gcc to compile it")
        return
    with raw_peer(ROBOTS[name]) as theirs:
        yield compare(name, "raw-mj_step", theirs, pairs)


def compare_envpool(name: str, pairs: int) -> Iterator[harness.Row]:
    """The row against EnvPool, where there is one."""
    python = os.environ.get("ENVPOOL_PYTHON")
    if not python:
        print(
            f"{name} against EnvPool is skipped: "
            "the environment variable ENVPOOL_PYTHON names no interpreter that has envpool"
        )
        return
    script = PEERS / "envpool_steps.py"
    versions = json.loads(subprocess.check_output([python, script]))
    print(f"EnvPool {versions['envpool']} brings MuJoCo {versions['mujoco']}")
    command = (python, script, ROBOTS[name].env_id, NUM_ENVS, NUM_THREADS)
    with process_peer(*command) as theirs:
        yield compare(name, "EnvPool", theirs, pairs, {"peer_versions": versions})


def main() -> None:
    """Check and time every row."""
    quick = harness.quick_asked(__doc__)
    pairs, slow_pairs = (3, 2) if quick else (20, 10)
    rows = []
    for name, robot in ROBOTS.items():
        with gymnasium_peer(robot, "sync") as theirs:
            rows.append(compare(name, "SyncVectorEnv", theirs, pairs))
    name = "halfcheetah-step"
    with gymnasium_peer(ROBOTS[name], "async") as theirs:
        rows.append(compare(name, "AsyncVectorEnv", theirs, slow_pairs))
    rows += [*compare_raw(name, pairs), *compare_envpool(name, pairs)]
    harness.report(rows)


if __name__ == "__main__":
    main()

"""Sampling HalfCheetahDir with the policy in the loop: 40 tasks of 20 trajectories of 100 steps.

The same ``Sampler`` and policy drive our batched environment and what the field runs. The single
environment of the peers is gymnasium's HalfCheetah-v5 with the reward of HalfCheetahDir; ours must
give the same observations and rewards before anything is timed.

* ``serial-async``: one task after another on an ``AsyncVectorEnv`` of 10, as the examples of
  learn2learn. A part of the tasks is timed: they cost the same.
* ``process-per-task``: a worker process a task, in it 20 environments one after another, and one
  policy step for all in the parent, as ProMP's ``MetaParallelEnvExecutor``.

Also the memory of 800 simulations with bodies of their own, beside gymnasium's 800 environments,
both above one (Linux only).
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import gymnasium as gym
import harness
import numpy as np
import torch
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from gymnasium.vector.utils import batch_space
from mujoco_stepping import NUM_THREADS, check_same, quiet_mujoco

import metarl_envs  # noqa: F401  (registers the ids)
from metarl.core import Streams, expand, parameters_of
from metarl.nn import GaussianPolicy, policy_network
from metarl.rl import Sampler
from metarl_envs.tasks import Task

NUM_TASKS, NUM_TRAJECTORIES, NUM_WORKERS = 40, 20, 10
NUM_SIMULATIONS = NUM_TASKS * NUM_TRAJECTORIES
TASKS: list[Task] = [{"direction": np.array(1.0 - 2.0 * (i % 2))} for i in range(NUM_TASKS)]


class DirectedCheetah(gym.Wrapper[Any, Any, Any, Any]):
    """Gymnasium's half-cheetah whose ``task`` says in which direction it is to run."""

    task: Task = TASKS[0]

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Reward: direction · dx/dt - 0.05 ||a||²."""
        observation, _, terminated, truncated, info = self.env.step(action)
        reward = float(self.task["direction"] * info["reward_forward"] + info["reward_ctrl"])
        return observation, reward, terminated, truncated, info


def make_single() -> DirectedCheetah:
    """What the peers run many of."""
    with quiet_mujoco():
        env = gym.make("HalfCheetah-v5", ctrl_cost_weight=0.05, max_episode_steps=100)
    return DirectedCheetah(env)


def make_ours(env_id: str, num_envs: int) -> Any:
    """Our batch."""
    return gym.make_vec(env_id, num_envs=num_envs, num_threads=NUM_THREADS)


class ProcessPerTask:
    """A worker process for each task, with environments that it steps one after another."""

    def __init__(self) -> None:
        single = make_single()
        self.num_envs = NUM_SIMULATIONS
        self.single_observation_space = single.observation_space
        self.single_action_space = single.action_space
        self.action_space = batch_space(single.action_space, self.num_envs)
        self.metadata = {"autoreset_mode": AutoresetMode.DISABLED}
        self.spec = None
        self._connections = [self._start_worker() for _ in range(NUM_TASKS)]

    def _start_worker(self) -> Connection:
        connection, theirs = multiprocessing.Pipe()
        multiprocessing.Process(target=serve, args=(theirs,), daemon=True).start()
        return connection

    def _ask(self, command: str, arguments: Sequence[Any]) -> Iterator[Any]:
        """Send a command with the arguments of all environments; the answers of the workers."""
        for i, connection in enumerate(self._connections):
            part = arguments[i * NUM_TRAJECTORIES : (i + 1) * NUM_TRAJECTORIES]
            connection.send((command, part))
        return (connection.recv() for connection in self._connections)

    def reset(self, *, seed: list[int]) -> tuple[Any, dict[str, Any]]:
        """Start all."""
        return np.concatenate(list(self._ask("reset", seed))), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step all."""
        answers = zip(*self._ask("step", actions), strict=True)
        observations, rewards, terminated, truncated = map(np.concatenate, answers)
        return observations, rewards, terminated, truncated, {}

    def set_attr(self, name: str, values: Sequence[Any]) -> None:
        """Set the task of each environment."""
        if name != "task":
            raise AttributeError(f"only 'task' can be set, got {name!r}")
        list(self._ask("set_task", values))

    def close(self) -> None:
        """End the workers, which close their end."""
        for connection in self._connections:
            connection.send(("close", None))


def serve(connection: Connection) -> None:
    """The worker: answers commands about its environments."""
    singles = [make_single() for _ in range(NUM_TRAJECTORIES)]
    while True:
        command, arguments = connection.recv()
        if command == "close":
            return
        pairs = zip(singles, arguments, strict=True)
        if command == "reset":
            connection.send(np.stack([env.reset(seed=seed)[0] for env, seed in pairs]))
        elif command == "step":
            steps = [env.step(action)[:4] for env, action in pairs]
            connection.send(tuple(np.stack(part) for part in zip(*steps, strict=True)))
        else:
            for env, task in pairs:
                env.task = task
            connection.send(None)


def sampler_over(env: Any, num_tasks: int, horizon: int) -> Sampler:
    """A sampler that takes actions as they are."""
    return Sampler(env, num_tasks=num_tasks, horizon=horizon, discount=0.99, action_scale=1.0)


def sampling_speed(sampler: Sampler, rounds: Sequence[Sequence[Task]]) -> float:
    """Environment steps a second of collecting ``rounds`` one after another, one task set each."""
    policy = GaussianPolicy(policy_network(17, 6, generator=torch.Generator().manual_seed(0)), 6)
    params = expand(parameters_of(policy), sampler.num_tasks)
    streams = Streams(1, "training")
    num_steps, start = 0, time.perf_counter()
    for number, tasks in enumerate(rounds):
        sampler.set_tasks(tasks)
        num_steps += sampler.collect(policy, params, streams.at(number)).num_steps()
    return num_steps / (time.perf_counter() - start)


def compare(
    against: str, ours: harness.Measure, theirs: harness.Measure, pairs: int
) -> harness.Row:
    """Time the sampling loops."""
    measured = harness.alternate(ours, theirs, pairs)
    return harness.Row(
        name="halfcheetah-sampling",
        against=against,
        unit="environment steps a second",
        ours=measured[0],
        theirs=measured[1],
        higher_is_better=True,
    )


def check_sampling() -> None:
    """Raise unless our environment does what the peers' single one does."""
    singles = [make_single() for _ in TASKS]
    ours = make_ours("metarl/HalfCheetahDir-v0", NUM_TASKS)
    ours.set_attr("task", TASKS)
    for env, task in zip(singles, TASKS, strict=True):
        env.task = task
    check_same(ours, singles)


def our_simulations() -> Callable[[], object]:
    """Makes and steps many with bodies of their own, where one is there already."""

    def run(num: int) -> Any:
        env = make_ours("metarl/HalfCheetahRandParams-v0", num)
        env.reset(seed=0)
        env.step(np.zeros(env.action_space.shape, np.float32))
        return env

    one = run(1)
    return lambda: (one, run(NUM_SIMULATIONS))


def gymnasium_simulations() -> Callable[[], object]:
    """The same many of gymnasium's, where one is there already; their bodies are all nominal."""

    def run(num: int) -> Any:
        with quiet_mujoco():
            env = gym.make_vec("HalfCheetah-v5", num_envs=num, vectorization_mode="sync")
        env.reset(seed=0)
        env.step(np.zeros(env.action_space.shape, np.float32))
        return env

    one = run(1)
    return lambda: (one, run(NUM_SIMULATIONS))


def measure_memory() -> harness.Row:
    """One run of each side."""
    return harness.Row(
        name="halfcheetah-memory",
        against="SyncVectorEnv",
        unit=f"megabytes, {NUM_SIMULATIONS} above one",
        ours=[harness.added_megabytes(our_simulations)],
        theirs=[harness.added_megabytes(gymnasium_simulations)],
    )


def main() -> None:
    """Check and time every row."""
    quick = harness.quick_asked(__doc__)
    check_sampling()
    horizon, part, pairs = (20, 2, 2) if quick else (100, 8, 7)
    rounds = [[task] for task in TASKS[:part] for _ in range(NUM_TRAJECTORIES // NUM_WORKERS)]
    rows = []
    with (
        closing(ProcessPerTask()) as processes,
        closing(AsyncVectorEnv([make_single] * NUM_WORKERS)) as workers,
    ):
        env = make_ours("metarl/HalfCheetahDir-v0", NUM_SIMULATIONS)
        ours = partial(sampling_speed, sampler_over(env, NUM_TASKS, horizon), [TASKS])
        serial = partial(sampling_speed, sampler_over(workers, 1, horizon), rounds)
        rows.append(compare("serial-async", ours, serial, pairs))
        parallel = partial(sampling_speed, sampler_over(processes, NUM_TASKS, horizon), [TASKS])
        rows.append(compare("process-per-task", ours, parallel, pairs))
    rows.append(measure_memory())
    harness.report(rows)


if __name__ == "__main__":
    main()

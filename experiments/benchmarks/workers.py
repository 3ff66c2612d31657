"""Stepping 64 environments that are Python, a Walker2d-v5 with dynamics of its own each.

Ours are two processes of 32 (``--workers 2``). The peers are one process, as ``--workers 1`` makes
it, and gymnasium's ``AsyncVectorEnv``, a process each, which tells all infos. Ours tell those that
runs look at. All give the same observations and rewards before anything is timed.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import gymnasium as gym
import harness
import numpy as np
from gymnasium.vector import AsyncVectorEnv

from metarl.rl.outcomes import LOOKED_AT
from metarl_envs import LogUniform, RandomDynamics, WorkerVectorEnv
from metarl_envs.copies import CopiesVectorEnv

NUM_ENVS, NUM_WORKERS = 64, 2
MASSES = LogUniform(np.full(8, -1.0), 1.0, base=2.0)


def make_walker() -> RandomDynamics:
    """One environment."""
    return RandomDynamics(gym.make("Walker2d-v5"), {"body_mass": MASSES})


def drawn_actions(length: int) -> np.ndarray[Any, Any]:
    """Random actions of all environments, ``[T, N, 6]``."""
    uniform = np.random.default_rng(0).uniform(-1, 1, (length, NUM_ENVS, 6))
    return uniform.astype(np.float32)


def start(env: Any) -> Any:
    """Tasks and starts that are the same for all sides; the first observations."""
    tasks = RandomDynamics(gym.make("Walker2d-v5"), {"body_mass": MASSES}).task_distribution.sample(
        np.random.default_rng(0), NUM_ENVS
    )
    env.set_attr("task", [{"body_mass": mass} for mass in tasks["body_mass"]])
    return env.reset(seed=list(range(NUM_ENVS)))[0]


def check_same(envs: Sequence[Any]) -> None:
    """Raise unless all give the same."""
    actions = drawn_actions(20)
    results = []
    for env in envs:
        observations = [start(env)]
        rewards = []
        for action in actions:
            observation, reward, *_ = env.step(action)
            observations.append(observation)
            rewards.append(reward)
        results.append((np.array(observations), np.array(rewards)))
    for other in results[1:]:
        for ours, theirs in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def stepping_speed(env: Any, actions: np.ndarray[Any, Any]) -> float:
    """Environment steps a second."""
    start(env)
    begin = time.perf_counter()
    for action in actions:
        env.step(action)
    return len(actions) * NUM_ENVS / (time.perf_counter() - begin)


def main() -> None:
    """Check and time."""
    quick = harness.quick_asked(__doc__)
    length, pairs = (50, 2) if quick else (300, 7)
    makers: list[Callable[[], RandomDynamics]] = [make_walker] * NUM_ENVS
    actions = drawn_actions(length)
    with (
        closing(WorkerVectorEnv(makers, NUM_WORKERS, info_keys=LOOKED_AT)) as ours,
        closing(CopiesVectorEnv(makers, info_keys=LOOKED_AT)) as one,
        closing(AsyncVectorEnv(makers)) as each,
    ):
        check_same([ours, one, each])
        rows = []
        for against, peer in (("one-process", one), ("AsyncVectorEnv", each)):
            speeds = (partial(stepping_speed, env, actions) for env in (ours, peer))
            measured = harness.alternate(*speeds, pairs)
            rows.append(
                harness.Row(
                    name="walker2d-workers",
                    against=against,
                    unit="environment steps a second",
                    ours=measured[0],
                    theirs=measured[1],
                    higher_is_better=True,
                )
            )
    harness.report(rows)


if __name__ == "__main__":
    main()

"""One step of an agent that adapts while it acts: ``act`` and ``observe``, on one core.

On HalfCheetahVel's spaces, 64-64 policies, an encoder of 64-64, an LSTM of 64; untrained, since the
weights change no time. The peer is stable-baselines3's ``model.predict`` of the same policy for an
observation that has its context already: it acts, and neither adapts nor normalises.
"""

import importlib.util
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import gymnasium as gym
import harness
import numpy as np
import torch
from gymnasium.vector import AutoresetMode

import metarl_envs  # noqa: F401  (registers the ids)
from metarl.embedding import OnlineAgent, OnlinePolicy
from metarl.runs.deployed import write_numpy
from metarl.sb3 import (
    RL2,
    CollectionSpec,
    InitialPolicy,
    ProtoEmbedding,
    ProtoEmbeddingConfig,
    RL2Config,
    SB3Learner,
    online_policy,
)

HORIZON = 200
LEARNERS: dict[str, tuple[type[SB3Learner], Any]] = {
    "proto-embedding": (ProtoEmbedding, ProtoEmbeddingConfig()),
    "proto-embedding-recurrent": (ProtoEmbedding, ProtoEmbeddingConfig(encoder="recurrent")),
    "rl2": (RL2, RL2Config()),
}
TARGETS = {"torch": 150.0, "numpy": 40.0}
"""Microseconds of a step in the process of the run, and by the exported arrays."""


def make_learner(name: str) -> SB3Learner:
    """With two environments that are never stepped."""
    kind, config = LEARNERS[name]

    def make_env(num_envs: int) -> Any:
        mode = AutoresetMode.DISABLED
        return gym.make_vec("metarl/HalfCheetahVel-v0", num_envs=num_envs, autoreset_mode=mode)

    return kind(
        config,
        CollectionSpec(make_env, 2, HORIZON, 0.99, 1.0),
        InitialPolicy((64, 64), "tanh", 0.0),
        seed=0,
        device=torch.device("cpu"),
    )


def numpy_step(policy: OnlinePolicy, folder: Path) -> tuple[Any, Any]:
    """``act`` and ``observe`` by the exported arrays."""
    reader = write_numpy(policy, folder / "agent.npz")
    spec = importlib.util.spec_from_file_location("numpy_agent", reader)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    agent = module.NumpyAgent(folder / "agent.npz")
    return agent.act, agent.observe


def microseconds(call: Callable[[int], object], number: int) -> float:
    """Median of single calls."""
    times = []
    for i in range(number):
        start = time.perf_counter_ns()
        call(i)
        times.append(time.perf_counter_ns() - start)
    return median(times) / 1e3


def rows_of(name: str, number: int, pairs: int, folder: Path) -> list[harness.Row]:
    """In torch's process and by NumPy, each beside the peer."""
    learner = make_learner(name)
    policy, rng = online_policy(learner), np.random.default_rng(0)
    (size,) = policy.observation_shape
    seen = rng.standard_normal((number + 1, size), np.float32)
    noise = rng.standard_normal((number, policy.head.num_outputs), np.float32)
    context = np.zeros((number + 1, policy.memory.size), np.float32)
    both = np.concatenate([seen, context], 1)
    agent = OnlineAgent(policy)
    act, observe = numpy_step(policy, folder)
    state: Any = None

    def step(i: int) -> None:
        acted = agent.act(seen[i], noise[i])
        agent.observe(seen[i], acted, 0.5, seen[i + 1], False, i % HORIZON == HORIZON - 1)

    def step_by_numpy(i: int) -> None:
        raw, _, _ = act(seen[i], noise[i])
        observe(seen[i], raw, 0.5, seen[i + 1], False, i % HORIZON == HORIZON - 1)

    def predict(i: int) -> None:
        nonlocal state
        _, state = learner.model.predict(both[i], state)

    rows = []
    theirs = partial(microseconds, predict, number)
    for kind, call in (("torch", step), ("numpy", step_by_numpy)):
        ours = partial(microseconds, call, number)
        rows.append(
            harness.Row(
                name=f"agent-step-{name}{'-numpy' if kind == 'numpy' else ''}",
                against="predict",
                unit="us",
                **dict(
                    zip(("ours", "theirs"), harness.alternate(ours, theirs, pairs), strict=True)
                ),
                extra={"target_us": TARGETS[kind], "calls": number},
            )
        )
    return rows


def main() -> None:
    """Measure all, and say which is at its target."""
    number, pairs = (1000, 3) if harness.quick_asked(__doc__) else (10_000, 5)
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for name in LEARNERS for row in rows_of(name, number, pairs, Path(folder))]
    harness.report(rows)
    harness.print_table(
        ("benchmark", "microseconds a step", "target"),
        [[row.name, f"{median(row.ours):.0f}", f"{row.extra['target_us']:.0f}"] for row in rows],
        title=f"medians of {number} calls, of {pairs} times",
    )


if __name__ == "__main__":
    main()

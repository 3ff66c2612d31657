"""Sampling 2-D navigation with the policy in the loop: 40 tasks of 20 trajectories.

The same ``Sampler`` drives our batched environment and gymnasium's ``SyncVectorEnv`` of 800 single
ones, with the same tasks, policy and noise; only the environment differs. Both must give the same
rollout before anything is timed.
"""

import time
from collections.abc import Callable
from functools import partial

import gymnasium as gym
import harness
import numpy as np
import torch

import metarl_envs  # noqa: F401  (registers the ids)
from metarl.core import Streams, expand, parameters_of
from metarl.nn import GaussianPolicy, policy_network
from metarl.rl import Rollout, Sampler

ENV = "metarl/PointGoal-v0"
NUM_TASKS, NUM_TRAJECTORIES, HORIZON = 40, 20, 100


def make_sampler(vectorization_mode: str | None) -> Sampler:
    """A sampler over the batched environment (``None``) or over gymnasium's ("sync")."""
    env = gym.make_vec(
        ENV, num_envs=NUM_TASKS * NUM_TRAJECTORIES, vectorization_mode=vectorization_mode
    )
    sampler = Sampler(env, num_tasks=NUM_TASKS, horizon=HORIZON, discount=0.99, action_scale=1.0)
    sampler.draw_tasks(np.random.default_rng(0), "train")
    return sampler


def check_same(ours: Rollout, theirs: Rollout) -> None:
    """Raise unless every real step is the same."""
    torch.testing.assert_close(ours.mask, theirs.mask)
    for name in ("observations", "actions", "rewards", "discounts"):
        mine, other = getattr(ours, name), getattr(theirs, name)
        torch.testing.assert_close(mine[ours.mask], other[ours.mask])
    torch.testing.assert_close(ours.final_observations, theirs.final_observations)


def steps_a_second(collect: Callable[[], Rollout]) -> float:
    """Environment steps of one rollout over its time."""
    start = time.perf_counter()
    rollout = collect()
    return rollout.num_steps() / (time.perf_counter() - start)


def print_profile(sampler: Sampler, policy: GaussianPolicy, collect: Callable[[], Rollout]) -> None:
    """Where the time of one of our steps goes."""
    params = {name: p.detach() for name, p in expand(parameters_of(policy), NUM_TASKS).items()}
    noise = torch.randn(NUM_TASKS, NUM_TRAJECTORIES, 2, generator=torch.Generator())
    actions = np.full((sampler.env.num_envs, 2), 0.01, np.float32)
    with torch.inference_mode():
        act = harness.milliseconds(partial(policy.act, params, noise, noise), 500)()
    step = harness.milliseconds(partial(sampler.env.step, actions), 500)()
    whole = harness.milliseconds(collect, 5)() / HORIZON
    parts = {"policy": act, "environment": step, "recording and the rest": whole - act - step}
    harness.print_table(
        ("part of a step", "microseconds", "share"),
        [[name, f"{1e3 * ms:.0f}", f"{ms / whole:.0%}"] for name, ms in parts.items()],
    )


def main() -> None:
    """Check, compare, profile."""
    quick = harness.quick_asked(__doc__)
    policy = GaussianPolicy(policy_network(2, 2, generator=torch.Generator().manual_seed(0)), 2)
    params = expand(parameters_of(policy), NUM_TASKS)

    def collect(sampler: Sampler) -> Rollout:
        # seeded alike each time, so that every run of both sides is the same rollout
        return sampler.collect(policy, params, Streams(1, "training"))

    samplers = make_sampler(None), make_sampler("sync")
    collect_ours, collect_theirs = (partial(collect, sampler) for sampler in samplers)
    check_same(collect_ours(), collect_theirs())
    ours, theirs = harness.alternate(
        partial(steps_a_second, collect_ours),
        partial(steps_a_second, collect_theirs),
        pairs=5 if quick else 15,
    )
    harness.report(
        [
            harness.Row(
                name="point-sampling",
                against="SyncVectorEnv",
                unit="environment steps a second",
                ours=ours,
                theirs=theirs,
                higher_is_better=True,
            )
        ]
    )
    print_profile(samplers[0], policy, collect_ours)


if __name__ == "__main__":
    main()

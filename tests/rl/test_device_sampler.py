"""Collection on a device: the numbers of a toy family, and those of the sampler on the cores."""

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from device_samples import (
    NEVER,
    DeviceCounters,
    InParts,
    RowGaussianPolicy,
    RowStreams,
    device_envs,
    device_sampler,
)
from device_tensors import NoHostCopies
from gymnasium import spaces
from test_sampler import Counters, make_policy, rows

from metarl.core import Streams, expand, parameters_of
from metarl.nn import GaussianPolicy, policy_network
from metarl.rl import DeviceSampler, Rollout, Sampler
from metarl.rl.advantages import advantage_batch
from metarl.rl.device_envs import captured
from metarl.rl.device_rollout import DeviceSteps
from metarl.rl.device_sampler import draw_noise
from metarl.rl.env_faults import EnvironmentFaultError, EnvironmentFaultWarning


def collect(sampler: Any, policy: Any = None, streams: Streams | None = None) -> Rollout:
    policy = policy or make_policy()
    params = expand(parameters_of(policy), sampler.num_tasks)
    rollout: Rollout = sampler.collect(policy, params, streams or Streams(0, "training"))
    return rollout


@pytest.fixture
def counters() -> DeviceCounters:
    """Ends: terminated after 2, none, terminated after 4, diverged after 3."""
    return DeviceCounters([2, NEVER, 4, NEVER], [NEVER, NEVER, NEVER, 3])


def test_what_is_recorded(counters: DeviceCounters) -> None:
    rollout = collect(device_sampler(counters))
    assert rows(rollout.mask.int()) == [
        [1, 1, 0, 0, 0],
        [1, 1, 1, 1, 1],
        [1, 1, 1, 1, 0],
        [1, 1, 1, 0, 0],
    ]
    assert rollout.final_observations.tolist() == [[[0, 2], [1, 5]], [[2, 4], [3, 3]]]
    assert rollout.observations[1, :4, 0].tolist() == [[2, t] for t in range(4)]
    assert rollout.rewards[0, :, 1].tolist() == [11, 12, 13, 14, 15]
    ends = [row[n - 1] for row, n in zip(rows(rollout.discounts), (2, 5, 4, 3), strict=True)]
    assert ends == pytest.approx([0.0, 0.9, 0.0, 0.0])
    assert rollout.discounts[0, 0, 0] == pytest.approx(0.9)
    assert rollout.diverged.tolist() == [[False, False], [False, True]]
    assert counters.num_checks == 1


def test_what_environments_find_afterwards_is_a_fault_of_theirs(
    counters: DeviceCounters, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check() -> None:
        raise ValueError("a buffer is full")

    monkeypatch.setattr(counters, "check", check)
    with pytest.raises(EnvironmentFaultError, match=r"^a buffer is full$"):
        collect(device_sampler(counters))


def test_a_rollout_is_as_long_as_its_longest_trajectory() -> None:
    rollout = collect(device_sampler(DeviceCounters([2, 4]), num_tasks=1, horizon=50))
    assert rollout.mask.shape == (1, 4, 2)
    assert {value.shape[1] for value in rollout[:5]} == {4}
    assert rollout.final_observations[..., 1].tolist() == [[2, 4]]


def test_steps_in_parts_are_the_same(counters: DeviceCounters) -> None:
    policy = make_policy()
    whole = collect(device_sampler(counters), policy)
    given, counters.given = counters.given, []
    parts = collect(device_sampler(InParts(counters)), policy)
    assert all(map(torch.equal, parts, whole))
    assert len(given) == 5
    assert all(map(torch.equal, counters.given, given))


def test_the_next_rollout_leaves_a_rollout_alone(counters: DeviceCounters) -> None:
    sampler, policy = device_sampler(counters), make_policy()
    first = collect(sampler, policy)
    kept = [value.clone() for value in first]
    counters.observations[:, 0] += 7
    counters.terminate[:] = NEVER
    collect(sampler, policy, Streams(1, "training"))
    assert all(map(torch.equal, first, kept))


@pytest.mark.parametrize("nan_at", [0, 1, 3])
def test_what_gives_no_number_is_left_out(nan_at: int) -> None:
    env = DeviceCounters([2, NEVER], nan_at=[NEVER, nan_at])
    sampler = device_sampler(env, num_tasks=1)
    sampler.set_tasks([{"goal": np.array(4.0)}])
    place = f"step {nan_at}" if nan_at else "reset"
    with pytest.warns(EnvironmentFaultWarning, match=f"Counters, task .*4.0.*, {place}: entry 1"):
        rollout = collect(sampler)
    assert rollout.kept().tolist() == [[True, False]]
    assert rollout.mask.shape[1] == max(2, nan_at)
    assert all(
        torch.isfinite(value).all()
        for value in advantage_batch(rollout, gae_lambda=1.0).tensors.values()
    )
    with pytest.raises(EnvironmentFaultError, match="1 of 2 trajectories ended so"):
        sampler.check([rollout])


def test_what_is_no_number_after_an_end_does_not_matter() -> None:
    env = DeviceCounters([2, NEVER], nan_at=[4, NEVER])
    rollout = collect(device_sampler(env, num_tasks=1))
    assert rollout.kept().all()
    assert rollout.num_left_out() == 0


def test_actions_are_scaled_and_clipped_and_diverged_ones_are_zero(
    counters: DeviceCounters,
) -> None:
    """±10 spans [-1, 1] x [0, 4]: (5, NaN) is (0.5, 2), and the reward counts as no number."""
    policy = GaussianPolicy(
        policy_network(2, 2, hidden_sizes=()), 2, initial_log_std=-20, min_log_std=-20
    )
    params = {name: torch.zeros(2, *p.shape) for name, p in policy.named_parameters()}
    params["log_std"] -= 20
    params["mean.layers.0.bias"] += torch.tensor([[5.0, torch.nan], [-30.0, -30.0]])
    rollout = device_sampler(counters, scale=10.0).collect(policy, params, Streams(0, "training"))
    expected = torch.tensor([[0.5, 2.0], [0.5, 2.0], [-1.0, 0.0], [-1.0, 0.0]])
    torch.testing.assert_close(counters.given[0], expected)
    torch.testing.assert_close(rollout.actions[1, 0, 0], torch.tensor([-30.0, -30.0]))
    assert rollout.rewards[0].isnan().all()
    assert rollout.rewards[1].isfinite().all()


def test_draws_depend_on_task_and_trajectory_alone() -> None:
    """In parts of whole tasks, of one task's trajectories, and as later tasks of more."""
    policy = make_policy()

    def actions(num_envs: int, num_tasks: int, first_task: int = 0) -> torch.Tensor:
        sampler = DeviceSampler(
            device_envs(DeviceCounters([NEVER] * num_envs)),
            num_tasks=num_tasks,
            num_trajectories=4,
            horizon=3,
            discount=0.9,
            action_scale=1.0,
        )
        sampler.set_tasks([{"goal": np.zeros(1)}] * num_tasks)
        params = {
            k: torch.zeros_like(v) for k, v in expand(parameters_of(policy), num_tasks).items()
        }
        return sampler.collect(policy, params, Streams(3, "training"), first_task).actions

    whole = actions(12, 3)
    assert torch.equal(actions(4, 3), whole)
    assert torch.equal(actions(2, 3), whole)
    assert torch.equal(actions(4, 1, first_task=2), whole[2:])
    assert len(set(whole.flatten().tolist())) == whole.numel()


def test_noise_that_is_drawn_in_parts_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, seeds = make_policy(), torch.arange(6).reshape(2, 3)
    whole, parts = torch.zeros(5, 2, 3, 2), torch.zeros(5, 2, 3, 2)
    draw_noise(policy, seeds, whole)
    monkeypatch.setattr("metarl.rl.device_sampler.MOST_DRAWN", 2 * whole[0].numel())
    draw_noise(policy, seeds, parts)
    assert torch.equal(parts, whole)


def test_bounds_of_observations_are_looked_at(counters: DeviceCounters) -> None:
    box = spaces.Box(np.float32(0), np.float32(3), (2,))
    sampler = device_sampler(device_envs(counters, box))
    sampler.set_tasks([{"goal": np.zeros(1)}] * 2)
    with pytest.warns(EnvironmentFaultWarning, match="step 4: entry 1 of the observation is 4.0"):
        collect(sampler)


def test_the_same_rollout_as_on_the_cores() -> None:
    """Toys that are alike, with the same noise."""
    network = policy_network(2, 2, generator=torch.Generator().manual_seed(0))
    policy = RowGaussianPolicy(network, 2)
    ends = [2, NEVER, 4, NEVER, 3, NEVER]
    on_cores = Sampler(
        Counters(ends, [NEVER] * 6), num_tasks=3, horizon=5, discount=0.9, action_scale=1.0
    )
    on_device = device_sampler(DeviceCounters(ends), num_tasks=3)
    ours, theirs = (collect(s, policy, RowStreams(5, "training")) for s in (on_device, on_cores))
    assert torch.equal(ours.mask, theirs.mask)
    assert not ours.outcomes.numel()  # on a device nothing is told
    for value, reference in zip(ours[:-1], theirs[:-1], strict=True):
        keep = ours.mask if value.ndim > 2 and value.shape[:3] == ours.mask.shape else slice(None)
        torch.testing.assert_close(value[keep], reference[keep], rtol=1e-5, atol=1e-5)


def test_nothing_is_read_between_the_first_step_and_the_last(
    counters: DeviceCounters, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, runs = DeviceSteps.run, []

    def watched(self: DeviceSteps, params: Any, seeds: torch.Tensor) -> None:
        with NoHostCopies():
            run(self, params, seeds)
        runs.append(seeds)

    monkeypatch.setattr(DeviceSteps, "run", watched)
    collect(device_sampler(counters))
    assert len(runs) == 1


def test_what_went_wrong_in_an_engine_is_one_line(
    counters: DeviceCounters, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check() -> None:
        raise ValueError("give a larger njmax")

    monkeypatch.setattr(counters, "check", check)
    with pytest.raises(EnvironmentFaultError, match="give a larger njmax"):
        collect(device_sampler(counters))


def test_what_no_graph_can_hold_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without CUDA, with what torch has instead of graphs replaced."""

    def read() -> None:
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph: nullcontext())
    with pytest.raises(EnvironmentFaultError, match=r"--engine c; torch says: .* capturing$"):
        captured(read, torch.device("cuda"))

"""Sampling on CUDA: graphs, nothing waited for inside a rollout, and the numbers of the CPU."""

from dataclasses import replace
from typing import Any

import array_api_compat.torch as xp
import gymnasium as gym
import numpy as np
import pytest
import torch
from device_tensors import nothing_waits
from torch import Tensor, nn

from metarl.core import Streams, expand, parameters_of
from metarl.nn import CategoricalPolicy, GaussianPolicy, policy_network
from metarl.rl import PRESETS, DeviceEnvs, DeviceSampler, MAMLLearner, Rollout, make_maml
from metarl.rl.device_rollout import DeviceSteps
from metarl_envs.making import make_device

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA here"),
]
FAMILIES = {
    "metarl/PointGoal-v0": 60,
    "metarl/BernoulliBandit-v0": 1,
    "metarl/TabularMDP-v0": 10,
    "metarl/GridNavi-v0": 15,
}
"""Horizons."""


def make_sampler(
    env_id: str, device: str, num_tasks: int = 3, num_trajectories: int = 4
) -> DeviceSampler:
    env: Any = gym.make(env_id)
    envs = DeviceEnvs(
        lambda num: make_device(env_id, num, torch.device(device), xp),
        num_tasks * num_trajectories,
        env.observation_space,
        env.action_space,
    )
    return DeviceSampler(
        envs, num_tasks=num_tasks, horizon=FAMILIES[env_id], discount=0.99, action_scale=1.0
    )


def make_policy(sampler: DeviceSampler, network: nn.Module | None = None) -> Any:
    space = sampler.env.single_action_space
    num = gym.spaces.flatdim(space)
    generator = torch.Generator().manual_seed(0)
    network = network or policy_network(sampler.observation_size, num, generator=generator)
    discrete = isinstance(space, gym.spaces.Discrete)
    return CategoricalPolicy(network, num) if discrete else GaussianPolicy(network, num)


def collect(sampler: DeviceSampler, policy: Any, seed: int = 0) -> Rollout:
    sampler.draw_tasks(np.random.default_rng(seed), "train")
    params = expand(parameters_of(policy), sampler.num_tasks)
    return sampler.collect(policy, params, Streams(seed, "training"))


def assert_same(ours: Rollout, theirs: Rollout, tolerance: float) -> None:
    ours, theirs = (rollout.to(torch.device("cpu")) for rollout in (ours, theirs))
    assert torch.equal(ours.mask, theirs.mask)
    keep = ours.mask
    for value, reference in zip(ours[:4], theirs[:4], strict=True):
        torch.testing.assert_close(value[keep], reference[keep], atol=tolerance, rtol=tolerance)
    ends = ours.final_observations, theirs.final_observations
    torch.testing.assert_close(*ends, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("env_id", FAMILIES)
def test_rollouts_are_those_of_the_cpu(env_id: str) -> None:
    found = []
    for device in ("cuda", "cpu"):
        sampler = make_sampler(env_id, device)
        policy = make_policy(sampler).to(device)
        collect(sampler, policy, 1)
        found.append(collect(sampler, policy, 2))
    assert_same(*found, tolerance=1e-4)


class InParts:
    """An environment whose steps have physics that nobody may capture, as robots have."""

    capturable = False

    def __init__(self, env: Any) -> None:
        self.env = env
        self.actions = torch.zeros(env.num_envs, 2, device="cuda")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.env, name)

    def begin(self, actions: Tensor) -> None:
        self.actions.copy_(actions)

    def simulate(self) -> None:
        self.env.step(self.actions)

    def finish(self) -> None:
        self.env.rewards.mul_(1.0)


@pytest.mark.parametrize("capturable", [True, False])
def test_graphs_do_what_launches_do(capturable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of whole steps, and those around an environment that has graphs of its own."""
    sampler = make_sampler("metarl/PointGoal-v0", "cuda")
    policy = make_policy(sampler).to("cuda")
    if not capturable:
        made: Any = InParts(sampler.env.env)
        sampler = sampler.over(replace(sampler.env, make=lambda num: made), sampler.num_tasks)
    captured = [collect(sampler, policy, seed) for seed in (1, 2)]
    monkeypatch.setattr("metarl.rl.device_rollout.captured", lambda work, device: work)
    launching = sampler.over(sampler.env, sampler.num_tasks)
    launched = [collect(launching, policy, seed) for seed in (1, 2)]
    for ours, theirs in zip(captured, launched, strict=True):
        assert_same(ours, theirs, tolerance=0.0)


@pytest.mark.parametrize("env_id", FAMILIES)
def test_nothing_is_waited_for_between_the_first_step_and_the_last(
    env_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler = make_sampler(env_id, "cuda")
    policy = make_policy(sampler).to("cuda")
    collect(sampler, policy)  # captures, which waits
    run = DeviceSteps.run

    def watched(self: DeviceSteps, params: Any, seeds: Tensor) -> None:
        with nothing_waits():
            run(self, params, seeds)

    monkeypatch.setattr(DeviceSteps, "run", watched)
    steps = sampler._steps
    collect(sampler, policy, 1)
    assert sampler._steps is steps  # and the graphs are those of the first rollout


def test_a_network_of_ones_own_is_captured() -> None:
    sampler = make_sampler("metarl/PointGoal-v0", "cuda")
    policy = make_policy(sampler, nn.Sequential(nn.Linear(2, 8), nn.ELU(), nn.Linear(8, 2)))
    assert collect(sampler, policy.to("cuda")).num_left_out() == 0


def make_learner(device: str, name: str = "maml-trpo") -> MAMLLearner:
    sampler = make_sampler("metarl/PointGoal-v0", device)
    policy = make_policy(sampler).to(device)
    return make_maml(replace(PRESETS[name].config), policy, sampler, seed=0)


@pytest.mark.parametrize("name", ["maml-vpg", "maml-trpo", "promp", "e-maml", "reptile"])
def test_meta_gradients_are_those_of_the_cpu(name: str) -> None:
    """Float32 on both: within a thousandth of the gradient's length."""
    gradients = []
    for device in ("cuda", "cpu"):
        learner = make_learner(device, name)
        gradients.append(learner.problem(learner.collect()).gradient().gradient.cpu())
    ours, theirs = gradients
    assert (ours - theirs).norm() < 1e-3 * theirs.norm()


def test_a_learner_trains_and_goes_on() -> None:
    learner, fresh = make_learner("cuda"), make_learner("cuda")
    metrics = learner.iterate()
    assert metrics["meta/skipped"] == 0.0
    fresh.load_state_dict(learner.state_dict())
    ours, theirs = (one.collect() for one in (fresh, learner))
    for value, reference in zip(ours.rollouts[0], theirs.rollouts[0], strict=True):
        assert torch.equal(value, reference)
    assert np.isfinite(list(learner.evaluate().values())).all()


def test_400_tasks_of_20_trajectories() -> None:
    sampler = make_sampler("metarl/PointGoal-v0", "cuda", 400, 20)
    policy = make_policy(sampler).to("cuda")
    learner = make_maml(PRESETS["maml-trpo"].config, policy, sampler, seed=0)
    metrics = learner.iterate()
    assert metrics["rollout/steps"] > 0
    assert metrics["meta/skipped"] == 0.0

"""Families sampled on a device: the rollouts of the cores, and learners that train on them."""

from dataclasses import replace
from typing import Any

import array_api_compat.torch as xp
import gymnasium as gym
import numpy as np
import pytest
import torch
from device_samples import RowCategoricalPolicy, RowGaussianPolicy, RowStreams
from device_tensors import NoHostCopies

from metarl.core import expand, parameters_of
from metarl.nn import policy_network
from metarl.rl import PRESETS, DeviceEnvs, DeviceSampler, MAMLLearner, Rollout, Sampler, make_maml
from metarl.rl.device_rollout import DeviceSteps
from metarl_envs.making import make_device

FAMILIES = {
    "metarl/PointGoal-v0": 60,
    "metarl/PointGoalSparse-v0": 20,
    "metarl/BernoulliBandit-v0": 1,
    "metarl/TabularMDP-v0": 10,
    "metarl/GridNavi-v0": 15,
}
"""Horizons. Trajectories of PointGoal end in some of the tasks."""


def device_envs(env_id: str, num_envs: int, **options: Any) -> DeviceEnvs:
    env: Any = gym.make(env_id, **options)
    return DeviceEnvs(
        lambda num: make_device(env_id, num, torch.device("cpu"), xp, **options),
        num_envs,
        env.observation_space,
        env.action_space,
    )


def samplers(env_id: str, **options: Any) -> list[Any]:
    """On the device and on the cores."""
    numbers: dict[str, Any] = {
        "num_tasks": 3,
        "horizon": FAMILIES[env_id],
        "discount": 0.99,
        "action_scale": 1.0,
    }
    on_cores: Any = gym.make_vec(env_id, num_envs=12, **options)
    return [
        DeviceSampler(device_envs(env_id, 12, **options), **numbers),
        Sampler(on_cores, **numbers),
    ]


def policy_of(sampler: Any, seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    space = sampler.env.single_action_space
    num = gym.spaces.flatdim(space)
    network = policy_network(sampler.observation_size, num, generator=generator)
    if isinstance(space, gym.spaces.Discrete):
        return RowCategoricalPolicy(network, num)
    return RowGaussianPolicy(network, num)


@pytest.mark.parametrize(
    ("env_id", "options"),
    [*((name, {}) for name in FAMILIES), ("metarl/GridNavi-v0", {"observation": "image"})],
)
def test_the_same_rollouts_as_on_the_cores(
    env_id: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same noise and seeds, to 1e-5; and nothing is read on the way."""
    run = DeviceSteps.run

    def watched(self: DeviceSteps, params: Any, seeds: torch.Tensor) -> None:
        with NoHostCopies():
            run(self, params, seeds)

    monkeypatch.setattr(DeviceSteps, "run", watched)
    found: list[Rollout] = []
    for sampler in samplers(env_id, **options):
        policy = policy_of(sampler)
        params = expand(parameters_of(policy), 3)
        params = {
            name: value + 0.1 * torch.arange(3.0).reshape(-1, *[1] * (value.ndim - 1))
            for name, value in params.items()
        }
        sampler.draw_tasks(np.random.default_rng(0), "train")
        if env_id == "metarl/PointGoal-v0":
            sampler.set_tasks(
                [{"goal": np.array(goal)} for goal in ([0.02, 0], [0.3, 0.1], [0.1, 0])]
            )
        found.append(sampler.collect(policy, params, RowStreams(4, "training"), 2))
    ours, theirs = found
    assert torch.equal(ours.mask, theirs.mask)
    assert not ours.diverged.any()
    torch.testing.assert_close(
        ours.final_observations, theirs.final_observations, atol=1e-5, rtol=1e-5
    )
    for value, reference in zip(ours[:4], theirs[:4], strict=True):
        torch.testing.assert_close(value[ours.mask], reference[ours.mask], atol=1e-5, rtol=1e-5)


def make_learner(name: str, **numbers: Any) -> MAMLLearner:
    on_device, _ = samplers("metarl/PointGoal-v0")
    config = replace(PRESETS[name].config, **numbers)
    return make_maml(config, policy_of(on_device), on_device, seed=0)


@pytest.mark.parametrize("name", ["maml-vpg", "maml-trpo", "promp", "e-maml", "reptile", "dice"])
def test_every_learner_by_gradients_trains_on_a_device(name: str) -> None:
    numbers = {"estimator": name} if name == "dice" else {}
    learner = make_learner("maml-trpo" if numbers else name, **numbers)
    metrics = learner.iterate()
    assert metrics["meta/skipped"] == 0.0
    assert np.isfinite(list(metrics.values())).all()
    assert np.isfinite(list(learner.evaluate().values())).all()


def test_iterations_go_on_as_if_never_interrupted() -> None:
    learner, fresh = make_learner("maml-trpo"), make_learner("maml-trpo")
    learner.iterate()
    fresh.load_state_dict(learner.state_dict())
    ours, theirs = (one.update(one.collect()) for one in (fresh, learner))
    assert ours == theirs

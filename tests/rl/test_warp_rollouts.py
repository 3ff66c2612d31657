"""Robots sampled by MuJoCo Warp on its CPU backend: the rollouts of the C engine."""

from typing import Any

import array_api_compat.torch as xp
import gymnasium as gym
import numpy as np
import pytest
import torch
from device_samples import RowGaussianPolicy, RowStreams

from metarl.core import expand, parameters_of
from metarl.nn import policy_network
from metarl.rl import DeviceEnvs, DeviceSampler, Sampler
from metarl_envs.making import make_device

pytestmark = pytest.mark.warp


@pytest.mark.parametrize("env_id", ["metarl/HalfCheetahDir-v0", "metarl/HopperRandParams-v0"])
def test_the_same_rollouts_as_on_the_cores(env_id: str) -> None:
    """Five steps of own tasks and bodies with the same noise and starts, within float32 errors."""
    on_cores: Any = gym.make_vec(env_id, num_envs=6)
    spaces = on_cores.single_observation_space, on_cores.single_action_space
    on_device = DeviceEnvs(
        lambda num: make_device(env_id, num, torch.device("cpu"), xp), 6, *spaces
    )
    numbers: dict[str, Any] = {"num_tasks": 2, "horizon": 5, "discount": 0.9, "action_scale": 10.0}
    size = spaces[1].shape[0]
    network = policy_network(spaces[0].shape[0], size, generator=torch.Generator().manual_seed(0))
    policy = RowGaussianPolicy(network, size)
    found = []
    for sampler in (DeviceSampler(on_device, **numbers), Sampler(on_cores, **numbers)):
        sampler.draw_tasks(np.random.default_rng(1), "train")
        params = expand(parameters_of(policy), 2)
        found.append(sampler.collect(policy, params, RowStreams(3, "training")))
    ours, theirs = found
    assert torch.equal(ours.mask, theirs.mask)
    keep = ours.mask
    torch.testing.assert_close(
        ours.observations[:, 0], theirs.observations[:, 0], atol=1e-6, rtol=0
    )
    for name in ("observations", "rewards"):
        value, reference = getattr(ours, name)[keep], getattr(theirs, name)[keep]
        torch.testing.assert_close(value, reference, atol=2e-3, rtol=2e-3)

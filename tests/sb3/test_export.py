"""Policies across the bridge: the same actions, and training that goes on."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO

import metarl_envs  # noqa: F401  # registers the ids
from metarl.core import expand, parameters_of
from metarl.nn import GaussianPolicy
from metarl.rl import Actor
from metarl.rl.actions import action_map
from metarl.rl.policy_spec import PolicySpec
from metarl.sb3 import TaskVecEnv, from_sb3, to_sb3
from metarl.sb3.policies import copy_actor

OBSERVATIONS = np.random.default_rng(0).normal(size=(1000, 2)).astype(np.float32)


def task_env(env_id: str) -> TaskVecEnv:
    env: Any = gym.make_vec(env_id, num_envs=4, autoreset_mode=AutoresetMode.DISABLED)
    return TaskVecEnv(env)


def make_actor(space: spaces.Space[Any], *, scale: float = 1.0, observation: int = 2) -> Actor:
    """With weights far from small, log σ of -2 beside a floor of -1, and 0.3."""
    categorical = isinstance(space, spaces.Discrete)
    size = spaces.flatdim(space)
    spec = PolicySpec(observation, size, (16, 8), "tanh", -1.0, categorical=categorical)
    policy = spec.build(generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for name, value in policy.named_parameters():
            value.add_(0.3 * torch.randn(value.shape, generator=torch.Generator().manual_seed(2)))
            if name == "log_std":
                value.copy_(torch.tensor([-2.0, 0.3]))
    return Actor(policy, spec, action_map(space, scale))


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_an_exported_policy_predicts_the_same(scale: float, tmp_path: Path) -> None:
    env = task_env("metarl/PointGoal-v0")
    actor = make_actor(env.action_space, scale=scale)
    to_sb3(actor, env).save(tmp_path / "model.zip")
    theirs = PPO.load(tmp_path / "model.zip", device="cpu")
    expected, _ = actor.predict(OBSERVATIONS, deterministic=True)
    predicted, _ = theirs.predict(OBSERVATIONS, deterministic=True)
    np.testing.assert_allclose(predicted, expected, atol=1e-6)
    assert np.ptp(expected) > 0.02  # and they are no constant
    std = theirs.policy.log_std.detach().exp().numpy()  # type: ignore[operator,union-attr]  # a parameter
    np.testing.assert_allclose(std, np.exp([-1.0, 0.3]) * 0.1 / scale, rtol=1e-5)


def test_a_ceiling_goes_into_the_export_and_bounds_of_theirs_come_along() -> None:
    """A collapsed policy of theirs acts as it did, below the usual floor of ours."""
    env = task_env("metarl/PointGoal-v0")
    ours = make_actor(env.action_space)
    assert isinstance(ours.policy, GaussianPolicy)
    ours.policy.max_log_std = 0.1
    theirs = to_sb3(ours, env)
    log_std: Any = theirs.policy.log_std
    np.testing.assert_allclose(log_std.detach().exp(), np.exp([-1.0, 0.1]) * 0.1, rtol=1e-5)
    with torch.no_grad():
        log_std.copy_(torch.tensor([-12.0, 0.5]))
    back = from_sb3(theirs)
    assert isinstance(back.policy, GaussianPolicy)
    std = back.policy.metrics()["meta/std"]
    assert std == pytest.approx(10 * np.exp([-12.0, 0.5]).mean(), rel=1e-5)
    acted = back.policy.distribution(expand(parameters_of(back.policy), 1), torch.zeros(1, 1, 2))
    np.testing.assert_allclose(
        acted.log_std.detach().flatten().exp(), 10 * np.exp([-12.0, 0.5]), rtol=1e-4
    )


def test_an_exported_policy_goes_on_training(tmp_path: Path) -> None:
    env = task_env("metarl/PointGoal-v0")
    actor = make_actor(env.action_space)
    to_sb3(actor, env, n_steps=16, batch_size=64, n_epochs=1, seed=0).save(tmp_path / "model.zip")
    theirs = PPO.load(tmp_path / "model.zip", env=env, device="cpu")
    before, _ = theirs.predict(OBSERVATIONS, deterministic=True)
    theirs.learn(64)
    after, _ = theirs.predict(OBSERVATIONS, deterministic=True)
    assert 0 < np.abs(after - before).max() < 0.1


def test_discrete_actions_are_exported_too() -> None:
    env = task_env("metarl/GridNavi-v0")
    actor = make_actor(env.action_space)
    expected, _ = actor.predict(OBSERVATIONS, deterministic=True)
    predicted, _ = to_sb3(actor, env).predict(OBSERVATIONS, deterministic=True)
    np.testing.assert_array_equal(predicted, expected)
    assert len(set(expected.tolist())) > 1


@pytest.mark.parametrize("scale", [1.0, 10.0])
@pytest.mark.parametrize("env_id", ["metarl/PointGoal-v0", "metarl/GridNavi-v0"])
def test_their_policy_becomes_ours(env_id: str, scale: float) -> None:
    env = task_env(env_id)
    model = PPO(
        "MlpPolicy",
        env,
        seed=0,
        device="cpu",
        policy_kwargs={"net_arch": [12, 6], "activation_fn": torch.nn.ReLU},
    )
    with torch.no_grad():
        model.policy.action_net.weight.mul_(10)  # type: ignore[operator,union-attr]  # a parameter
        model.policy.action_net.bias.add_(0.01)  # type: ignore[operator,union-attr]  # a parameter
    ours = from_sb3(model, action_scale=scale)
    expected, _ = model.predict(OBSERVATIONS, deterministic=True)
    predicted, _ = ours.predict(OBSERVATIONS, deterministic=True)
    np.testing.assert_allclose(predicted, expected, atol=1e-6)
    assert ours.spec.hidden_sizes == (12, 6)
    assert ours.spec.activation == "relu"


def test_what_cannot_cross_is_refused() -> None:
    env = task_env("metarl/PointGoal-v0")
    actor = make_actor(env.action_space)
    spec = actor.spec._replace(observation_size=(5, 5, 1))
    image = Actor(spec.build(), spec, actor.to_env)
    with pytest.raises(ValueError, match=r"only MLP policies .*, this one has a CNN and a context"):
        to_sb3(image, env)
    own = GaussianPolicy(torch.nn.Sequential(torch.nn.Linear(2, 2)), 2)
    foreign = Actor(own, PolicySpec.of(own, 2), actor.to_env)
    with pytest.raises(ValueError, match=r"only MLP policies .*, this one has a Sequential"):
        to_sb3(foreign, env)
    with pytest.raises(ValueError, match=r"only MLP policies .*, this one has a Sequential"):
        copy_actor(foreign, PPO("MlpPolicy", env, device="cpu").policy, env.action_space)
    model = PPO("MlpPolicy", env, device="cpu", policy_kwargs={"activation_fn": torch.nn.Sigmoid})
    with pytest.raises(ValueError, match="activations must be all tanh or all relu"):
        from_sb3(model)


class Blank(gym.Env[Any, Any]):
    """Spaces alone."""

    def __init__(self, size: int, actions: spaces.Space[Any]) -> None:
        self.observation_space = spaces.Box(-9.0, 9.0, (size,), np.float32)
        self.action_space = actions


@pytest.mark.parametrize("space", [spaces.MultiDiscrete([3, 2]), spaces.MultiBinary(3)])
def test_several_choices_and_switches_are_exported(space: spaces.Space[Any]) -> None:
    """The model takes what the actor takes, and with the same probability."""
    choices = tuple(map(int, space.nvec)) if isinstance(space, spaces.MultiDiscrete) else ()
    size = spaces.flatdim(space)
    spec = PolicySpec(4, size, (16, 8), "tanh", -1.0, choices=choices, switches=not choices)
    policy = spec.build(generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        policy.network.get_parameter("layers.2.bias").copy_(torch.linspace(-1, 1, size))
    actor = Actor(policy, spec, action_map(space, 1.0))
    model = to_sb3(actor, Blank(4, space))
    observations = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    ours = actor.predict(observations, deterministic=True)[0]
    np.testing.assert_array_equal(model.predict(observations, deterministic=True)[0], ours)
    acted = actor.act(observations, np.zeros((6, size)))
    theirs = model.policy.get_distribution(torch.from_numpy(observations))
    expected = theirs.log_prob(torch.from_numpy(acted.raw_action)).detach()
    np.testing.assert_allclose(acted.log_prob, expected, rtol=1e-5)


def test_actions_that_do_not_count_from_0_are_refused() -> None:
    space = spaces.MultiDiscrete([3, 2], start=[0, 1])
    spec = PolicySpec(4, 5, (8,), "tanh", -1.0, choices=(3, 2))
    with pytest.raises(ValueError, match=r"counts actions from 0, the environment from \[0 1\]"):
        to_sb3(Actor(spec.build(), spec, action_map(space, 1.0)), Blank(4, space))

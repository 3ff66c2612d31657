"""Policies around a network that is not of metarl.nn: meta-training, files, what is refused."""

import math
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from rl_samples import make_learner
from torch import Tensor, nn

import metarl_envs  # noqa: F401  # registers the ids
from metarl.core import NoSecondDerivativeError, Streams, expand, parameters_of
from metarl.nn import MLP, CategoricalPolicy, GaussianPolicy, policy_network
from metarl.rl import PRESETS, Actor, SimulatedTasks, load_policy
from metarl.rl.actions import action_map
from metarl.rl.policy_spec import PolicySpec

OBSERVATIONS = np.array([[0.1, -0.2], [0.3, 0.4], [-1.0, 2.0]], np.float32)


class Residual(nn.Module):
    """A skip connection and a normalisation, which no network of metarl.nn has."""

    def __init__(self, num_inputs: int = 2, width: int = 8) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.hidden = nn.Linear(num_inputs, width)
            self.norm = nn.LayerNorm(width)
            self.last = nn.Linear(width + num_inputs, 2)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.norm(self.hidden(x)))
        outputs: Tensor = self.last(torch.cat([hidden, x], -1))
        return outputs


@pytest.mark.parametrize(
    ("name", "adapted"),
    [
        ("maml-trpo", {"log_std", *(f"mean.{name}" for name, _ in Residual().named_parameters())}),
        ("anil", {"log_std", "mean.last.weight", "mean.last.bias"}),
        ("cavia", {"context"}),
    ],
)
def test_it_is_meta_trained(name: str, adapted: set[str]) -> None:
    network = Residual(2 + PRESETS[name].config.context_size)
    learner = make_learner(name, network=network, inner_lr=0.1)
    before = {name: p.clone() for name, p in learner.policy.named_parameters()}
    for _ in range(2):
        metrics = learner.update(learner.collect())
        assert all(math.isfinite(value) for value in metrics.values())
        assert metrics["meta/skipped"] == 0
    moved = {n for n, p in learner.policy.named_parameters() if not torch.equal(p, before[n])}
    assert moved == set(before) - {"context"}
    _, params = learner._adapt_on(learner.sampler, 1, Streams(0, "training"))
    start = expand(parameters_of(learner.policy), 3)
    assert {name for name in params if not torch.equal(params[name], start[name])} == adapted


@pytest.mark.parametrize("name", ["maml-trpo", "maml-ppo", "reptile", "meta-sgd"])
def test_what_is_frozen_neither_adapts_nor_is_meta_trained(name: str) -> None:
    network = Residual()
    network.hidden.requires_grad_(False)
    learner = make_learner(name, network=network, inner_lr=0.1)
    before = {name: p.clone() for name, p in learner.policy.named_parameters()}
    assert learner.update(learner.collect())["meta/skipped"] == 0
    _, params = learner._adapt_on(learner.sampler, 1, Streams(0, "training"))
    frozen = {"mean.hidden.weight", "mean.hidden.bias"}
    for name, value in learner.policy.named_parameters():
        assert torch.equal(value, before[name]) is (name in frozen)
        assert torch.equal(params[name], value.expand(3, *value.shape)) is (name in frozen)


@pytest.mark.parametrize("steps", [-1, 1.5])
def test_steps_of_adaptation_are_a_number_of_them(steps: Any) -> None:
    learner = make_learner("maml-vpg")
    source = SimulatedTasks(
        make_env=lambda num_envs: learner.sampler.env, num_tasks=3, num_trajectories=2, seed=0
    )
    with pytest.raises(ValueError, match=r"num_inner_steps must be (at least 0|a whole number)"):
        learner.adapt(source, steps)


class Centres(nn.Module):
    """Distances, of which torch has no second derivative."""

    def __init__(self) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.eye(2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cdist(x, self.centres)


def test_a_network_without_second_derivatives_is_named() -> None:
    learner = make_learner("maml-vpg", network=Centres())
    with pytest.raises(NoSecondDerivativeError, match="torch has no second derivative"):
        learner.update(learner.collect())


@pytest.fixture
def actor() -> Actor:
    policy = GaussianPolicy(Residual(), 2, initial_log_std=-0.5, min_log_std=-1.5)
    space = gym.make("metarl/PointGoal-v0").action_space
    return Actor(policy, PolicySpec.of(policy, 2), action_map(space, 10.0), seed=3)


def test_saved_and_loaded_it_predicts_the_same(actor: Actor, tmp_path: Path) -> None:
    actor.save(tmp_path / "policy.pt")
    network = Residual()
    nn.init.zeros_(network.last.weight)
    loaded = load_policy(tmp_path / "policy.pt", network=network, seed=3)
    for deterministic in (True, False):
        ours, _ = actor.predict(OBSERVATIONS, deterministic=deterministic)
        theirs, _ = loaded.predict(OBSERVATIONS, deterministic=deterministic)
        np.testing.assert_array_equal(ours, theirs)
    assert isinstance(loaded.policy, GaussianPolicy)
    assert loaded.policy.min_log_std == -1.5
    assert loaded.spec == actor.spec
    assert not network.training


def test_a_chooser_of_images_with_a_context_saved_and_loaded(tmp_path: Path) -> None:
    def network() -> nn.Module:
        return nn.Sequential(nn.Linear(12 + 1, 3), nn.BatchNorm1d(3))

    policy = CategoricalPolicy(network(), 3, context_size=1)
    policy.get_buffer("logits.1.running_mean").copy_(torch.tensor([0.0, -9.0, 0.0]))
    chooser = Actor(
        policy.eval(), PolicySpec.of(policy, (2, 3, 2)), action_map(spaces.Discrete(3), 1.0)
    )
    chooser.save(tmp_path / "policy.pt")
    loaded = load_policy(tmp_path / "policy.pt", network=network())
    images = np.zeros((4, 2, 3, 2), np.uint8)
    assert loaded.predict(images, deterministic=True)[0].tolist() == [1] * 4
    assert loaded.spec.context_size == 1


def test_without_the_network_its_class_is_named(actor: Actor, tmp_path: Path) -> None:
    actor.save(tmp_path / "policy.pt")
    message = (
        r"policy\.pt: the policy's network is one of your own, \S+\.Residual: give one as network="
    )
    with pytest.raises(ValueError, match=message):
        load_policy(tmp_path / "policy.pt")


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Residual(width=9), r"policy\.pt: .*size mismatch for mean.hidden.weight"),
        (nn.Linear(2, 2), r"policy\.pt: .*Missing key.*mean.hidden.weight"),
        (MLP([2, 3]), r"policy\.pt: the mean network gave outputs of shape \(2, 3\)"),
    ],
    ids=["width", "another", "outputs"],
)
def test_another_network_is_refused_in_one_line(
    network: nn.Module, message: str, actor: Actor, tmp_path: Path
) -> None:
    actor.save(tmp_path / "policy.pt")
    with pytest.raises(ValueError, match=message) as caught:
        load_policy(tmp_path / "policy.pt", network=network)
    assert "\n" not in str(caught.value)


def test_a_standard_policy_takes_no_network(actor: Actor, tmp_path: Path) -> None:
    spec = PolicySpec(2, 2, (8,), "tanh", -1.5)
    Actor(spec.build(), spec, actor.to_env).save(tmp_path / "policy.pt")
    with pytest.raises(ValueError, match=r"policy\.pt: .*standard one: leave network= away"):
        load_policy(tmp_path / "policy.pt", network=Residual())


@pytest.mark.parametrize("size", [4, (5, 4, 1)], ids=["vector", "image"])
def test_the_spec_of_a_standard_policy_builds_it_again(size: int | tuple[int, int, int]) -> None:
    network = policy_network(size, 3, hidden_sizes=(8, 6), activation="relu", context_size=2)
    policy = GaussianPolicy(network, 3, min_log_std=-2.0, context_size=2)
    spec = PolicySpec.of(policy, size)
    assert spec == PolicySpec(size, 3, (8, 6), "relu", -2.0, context_size=2)
    spec.build().load_state_dict(policy.state_dict())


def test_an_actor_is_checked_when_it_is_made(actor: Actor) -> None:
    with pytest.raises(ValueError, match=r"another network than Residual: take PolicySpec\.of"):
        Actor(actor.policy, PolicySpec(2, 2, (8,), "tanh", -1.5), actor.to_env)
    with pytest.raises(ValueError, match=r"cannot take \[B, 5\], observations of 5 numbers"):
        Actor(actor.policy, PolicySpec.of(actor.policy, 5), actor.to_env)

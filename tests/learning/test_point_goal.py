"""Meta-training on PointGoal makes one step of adaptation worth much, on held-out goals.

What a policy is worth without adaptation: about -38 standing still, the best there is for one that
does not know the goal.
"""

from dataclasses import replace
from typing import Any

import gymnasium as gym
import pytest
import torch

import metarl_envs  # noqa: F401  # registers the ids
from metarl.nn import GaussianPolicy, policy_network
from metarl.rl import PRESETS, MAMLConfig, Sampler, make_maml
from metarl.rl.configs import AdamConfig
from metarl.types import Metrics

ITERATIONS = 25


def train(config: MAMLConfig, seed: int) -> tuple[Metrics, Metrics]:
    """Held-out evaluation before and after 25 iterations of 20 tasks and 10 trajectories."""
    env: Any = gym.make_vec("metarl/PointGoal-v0", num_envs=200)
    sampler = Sampler(env, num_tasks=20, horizon=100, discount=0.99, action_scale=1.0)
    generator = torch.Generator().manual_seed(seed)
    policy = GaussianPolicy(
        policy_network(
            2, 2, hidden_sizes=(32, 32), context_size=config.context_size, generator=generator
        ),
        2,
        min_log_std=-1.0,
        context_size=config.context_size,
    )
    learner = make_maml(config, policy, sampler, seed=seed)
    before = learner.evaluate()
    for _ in range(ITERATIONS):
        learner.update(learner.collect())
    return before, learner.evaluate()


def preset(name: str) -> MAMLConfig:
    """With a larger step size of Adam, for so few iterations."""
    config: MAMLConfig = PRESETS[name].config
    return replace(config, outer_lr=0.01) if isinstance(config, AdamConfig) else config


@pytest.mark.learning
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", ["maml-trpo", "maml-vpg"])
def test_one_step_of_adaptation_is_worth_much(name: str, seed: int) -> None:
    """Standing still at the start is worth about -38; -20 means that the goal is found."""
    before, after = train(preset(name), seed)
    assert after["eval/adaptation_gain"] > 15
    assert after["eval/return_post"] > -20
    assert after["eval/return_post"] > before["eval/return_post"] + 30


@pytest.mark.learning
@pytest.mark.parametrize(
    "name", ["maml-ppo", "promp", "e-maml", "fomaml", "reptile", "anil", "cavia", "meta-sgd"]
)
def test_every_relative_improves_on_no_adaptation(name: str) -> None:
    config = preset(name)
    _, after = train(config, 0)
    _, control = train(replace(config, inner_lr=0.0, learned_lr=False), 0)
    assert after["eval/adaptation_gain"] > 3
    assert after["eval/return_post"] > control["eval/return_post"] + 3


@pytest.mark.learning
@pytest.mark.parametrize("seed", [0, 1])
def test_without_adaptation_nothing_is_gained(seed: int) -> None:
    """The negative control: α = 0, and training that still improves the policy as it stands."""
    before, after = train(replace(preset("maml-trpo"), inner_lr=0.0), seed)
    assert abs(after["eval/adaptation_gain"]) < 2
    assert after["eval/return_pre"] > before["eval/return_pre"] + 10

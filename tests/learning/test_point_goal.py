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
from metarl.rl import (
    MAMLPPO,
    MAMLTRPO,
    MAMLVPG,
    ANILConfig,
    CAVIAConfig,
    EMAMLConfig,
    FOMAMLConfig,
    MAMLConfig,
    MAMLPPOConfig,
    MAMLTRPOConfig,
    MAMLVPGConfig,
    MetaSGDConfig,
    ProMPConfig,
    Reptile,
    ReptileConfig,
    Sampler,
)
from metarl.rl.learner import MAMLLearner
from metarl.types import Metrics

ITERATIONS = 25


def train(kind: type[MAMLLearner], config: MAMLConfig, seed: int) -> tuple[Metrics, Metrics]:
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
    # the class of the config belongs to the class of the learner
    learner = kind(policy, sampler, config, seed=seed)  # type: ignore[arg-type]
    before = learner.evaluate()
    for _ in range(ITERATIONS):
        learner.update(learner.collect())
    return before, learner.evaluate()


LEARNERS = pytest.mark.parametrize(
    ("kind", "config"),
    [
        (MAMLTRPO, MAMLTRPOConfig(inner_lr=0.5)),
        (MAMLVPG, MAMLVPGConfig(inner_lr=0.5, outer_lr=0.01)),
    ],
    ids=["maml-trpo", "maml-vpg"],
)


@pytest.mark.learning
@pytest.mark.parametrize("seed", [0, 1])
@LEARNERS
def test_one_step_of_adaptation_is_worth_much(
    kind: type[MAMLLearner], config: MAMLConfig, seed: int
) -> None:
    """Standing still at the start is worth about -38; -20 means that the goal is found."""
    before, after = train(kind, config, seed)
    assert after["eval/adaptation_gain"] > 15
    assert after["eval/return_post"] > -20
    assert after["eval/return_post"] > before["eval/return_post"] + 30


RELATIVES: dict[str, tuple[type[MAMLLearner], MAMLConfig]] = {
    "maml-ppo": (MAMLPPO, MAMLPPOConfig(outer_lr=0.01)),
    "promp": (MAMLPPO, ProMPConfig(outer_lr=0.01)),
    "e-maml": (MAMLTRPO, EMAMLConfig()),
    "fomaml": (MAMLTRPO, FOMAMLConfig()),
    "reptile": (Reptile, ReptileConfig(outer_lr=0.01)),
    "anil": (MAMLTRPO, ANILConfig()),
    "cavia": (MAMLTRPO, CAVIAConfig()),
    "meta-sgd": (MAMLTRPO, MetaSGDConfig()),
}


@pytest.mark.learning
@pytest.mark.parametrize("name", RELATIVES)
def test_every_relative_improves_on_no_adaptation(name: str) -> None:
    kind, config = RELATIVES[name]
    _, after = train(kind, config, 0)
    switched_off = replace(config, inner_lr=0.0, learned_lr=False)
    _, control = train(kind, switched_off, 0)
    assert after["eval/adaptation_gain"] > 3
    assert after["eval/return_post"] > control["eval/return_post"] + 3


@pytest.mark.learning
@pytest.mark.parametrize("seed", [0, 1])
def test_without_adaptation_nothing_is_gained(seed: int) -> None:
    """The negative control: α = 0, and training that still improves the policy as it stands."""
    before, after = train(MAMLTRPO, MAMLTRPOConfig(inner_lr=0.0), seed)
    assert abs(after["eval/adaptation_gain"]) < 2
    assert after["eval/return_pre"] > before["eval/return_pre"] + 10

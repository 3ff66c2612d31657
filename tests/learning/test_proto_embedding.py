"""A policy that sees the prototype of its task finds held-out goals, one that sees others not."""

from typing import Any

import gymnasium as gym
import pytest
import torch
from gymnasium.vector import AutoresetMode

import metarl_envs  # noqa: F401  # registers the ids
from metarl.sb3 import CollectionSpec, InitialPolicy, ProtoEmbedding, ProtoEmbeddingConfig
from metarl.types import Metrics

NUM_TRIALS, HORIZON, ITERATIONS = 200, 100, 20


def train(**options: Any) -> Metrics:
    """Held-out evaluation after 20 iterations of 200 trials of two trajectories."""

    def make_env(num_envs: int) -> Any:
        return gym.make_vec(
            "metarl/PointGoal-v0", num_envs=num_envs, autoreset_mode=AutoresetMode.DISABLED
        )

    learner = ProtoEmbedding(
        ProtoEmbeddingConfig(**options),
        CollectionSpec(make_env, NUM_TRIALS, HORIZON, 0.99, 1.0),
        InitialPolicy((64, 64), "relu", 0.0),
        seed=0,
        device=torch.device("cpu"),
    )
    for _ in range(ITERATIONS):
        learner.iterate()
    return learner.evaluate()


@pytest.mark.learning
def test_prototypes_are_worth_much_and_those_of_other_tasks_nothing() -> None:
    """The best there is without knowing the goal, standing still, is worth about -38."""
    after, control = train(), train(shuffle=True)
    assert after["eval/return_last"] > -20
    assert after["eval/trial_gain"] > 2
    assert after["eval/embedding_accuracy"] > 0.6  # of 20 goals by chance 0.05
    assert control["eval/return_last"] < -30
    assert abs(control["eval/trial_gain"]) < 3

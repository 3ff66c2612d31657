"""Learners from parts: presets are nothing else, and parts that do not go together are refused."""

from dataclasses import replace
from typing import Any

import gymnasium as gym
import pytest
import torch
from rl_samples import make_learner, make_policy, make_sampler

from metarl.core import SGD, InnerRule, LearnedStepSizes, Momentum, Streams
from metarl.rl import (
    PRESETS,
    Adam,
    ClippedEpochs,
    ClippedSurrogate,
    MAMLLearner,
    NoStep,
    Objective,
    OuterStep,
    ReptileDirection,
    Sampler,
    Surrogate,
    TrustRegion,
    make_maml,
    maml_parts,
)
from metarl.rl.estimators import INNER_LOSSES, Estimator

FIRST_ORDER = SGD(0.1, first_order=True)


def compose(
    rule: InnerRule[Any], objective: Objective, outer_step: OuterStep, **numbers: Any
) -> MAMLLearner:
    policy = make_policy(0, numbers.pop("context_size", 0))
    return MAMLLearner(policy, make_sampler(), rule, objective, outer_step, **numbers)


def test_a_preset_is_its_parts() -> None:
    """By hand, the learner that the name gives, number for number."""
    by_hand = compose(
        SGD([0.5, 0.25]),
        ClippedSurrogate(
            estimator="lvc",
            gae_lambda=0.95,
            clip=0.3,
            inner_kl=5e-4,
            inner_importance_weights=True,
        ),
        ClippedEpochs(Adam(1e-3), 5),
        seed=3,
    )
    named = make_learner("promp", seed=3)
    by_hand.policy.load_state_dict(named.policy.state_dict())
    for _ in range(2):
        assert by_hand.update(by_hand.collect()) == named.update(named.collect())


@pytest.mark.parametrize(
    ("name", "objective", "outer_step"),
    [
        ("maml-trpo", Surrogate(), TrustRegion()),
        ("maml-vpg", Surrogate(), Adam()),
        ("maml-ppo", ClippedSurrogate(), ClippedEpochs(Adam())),
        (
            "promp",
            ClippedSurrogate(inner_kl=5e-4, inner_importance_weights=True),
            ClippedEpochs(Adam()),
        ),
        (
            "e-maml",
            Surrogate(estimator="log-likelihood", credit_weight=0.05),
            TrustRegion(),
        ),
        ("fomaml", Surrogate(estimator="first-order"), TrustRegion()),
        ("reptile", ReptileDirection(lr=0.5), Adam()),
        ("pretrained", Surrogate(), TrustRegion()),
        ("random-init", Surrogate(), NoStep()),
    ],
)
def test_named_learners(name: str, objective: Objective, outer_step: OuterStep) -> None:
    parts = maml_parts(PRESETS[name].config, make_policy())
    assert parts[1:] == (objective, outer_step)


def test_every_preset_can_be_put_together() -> None:
    assert {make_learner(name).outer_step.judged_by for name in PRESETS}


def test_momentum_is_a_rule_like_any_other() -> None:
    learner = compose(Momentum(0.3), Surrogate(), TrustRegion(), num_inner_steps=2)
    metrics = learner.update(learner.collect())
    assert metrics["meta/accepted"] == 1.0
    plain = compose(SGD(0.3), Surrogate(), TrustRegion(), num_inner_steps=2)
    assert plain.update(plain.collect())["meta/loss"] != metrics["meta/loss"]


def test_given_step_sizes_replace_those_of_the_rule() -> None:
    learner = compose(SGD(0.3, ["log_std"]), Surrogate(), NoStep())

    def adapted(steps: Any) -> tuple[int, torch.Tensor]:
        streams = Streams(0, "training")
        learner.sampler.draw_tasks(streams.numpy("tasks"), "train")
        experience, params = learner._adapt_on(learner.sampler, steps, streams)
        assert torch.equal(params["mean.layers.0.bias"][0], learner.policy.mean.layers[0].bias)
        return len(experience.supports), params["log_std"]

    (two, own), (same, given), (_, other), (none, still) = map(
        adapted, (2, [0.3, 0.3], [0.3, 0.1], [])
    )
    assert two == same == 2
    assert torch.equal(own, given)
    assert not torch.equal(own, other)
    assert none == 0
    assert torch.equal(still[0], learner.policy.log_std)


@pytest.mark.parametrize(
    ("parts", "numbers", "message"),
    [
        (
            (SGD(LearnedStepSizes(0.1)), Surrogate(), TrustRegion()),
            {"num_inner_steps": 0},
            "num_inner_steps must be at least 1 for this rule, got 0",
        ),
        (
            (SGD(0.1), Surrogate(), TrustRegion()),
            {"num_inner_steps": -1},
            "num_inner_steps must be at least 0 for this rule, got -1",
        ),
        (
            (SGD(0.1, ["context"]), Surrogate(), TrustRegion()),
            {},
            "context_size must be above 0 where the context alone adapts, and 0 elsewhere, got 0",
        ),
        (
            (SGD(0.1), Surrogate(), TrustRegion()),
            {"context_size": 3},
            "context_size must be above 0 where the context alone adapts, and 0 elsewhere, got 3",
        ),
        (
            (SGD(0.1, ["head"]), Surrogate(), TrustRegion()),
            {},
            r"mask names unknown parameters \['head'\]",
        ),
        (
            (FIRST_ORDER, ReptileDirection(), TrustRegion()),
            {},
            "TrustRegion needs a LossObjective, got ReptileDirection",
        ),
        (
            (FIRST_ORDER, ReptileDirection(), ClippedEpochs(Adam())),
            {},
            "ClippedEpochs needs a ClippedSurrogate, got ReptileDirection",
        ),
        (
            (SGD(0.1), Surrogate(), ClippedEpochs(Adam())),
            {},
            "ClippedEpochs needs a ClippedSurrogate, got Surrogate",
        ),
        (
            (SGD(0.1), ReptileDirection(estimator="dice"), Adam()),
            {},
            "Reptile needs a first-order inner rule",
        ),
        (
            (SGD(0.1), ReptileDirection(), Adam()),
            {},
            "got first-order and a rule whose first_order is False",
        ),
        (
            (FIRST_ORDER, Surrogate(estimator="dice"), Adam()),
            {},
            "got dice and a rule whose first_order is True",
        ),
        (
            (replace(FIRST_ORDER, mask=["log_std"]), ReptileDirection(), Adam()),
            {},
            "Reptile needs a first-order inner rule that moves all and learns nothing",
        ),
        (
            (replace(FIRST_ORDER, lr=LearnedStepSizes(0.1)), ReptileDirection(), Adam()),
            {},
            "Reptile needs a first-order inner rule that moves all and learns nothing",
        ),
    ],
)
def test_parts_that_do_not_go_together(
    parts: tuple[InnerRule[Any], Objective, OuterStep], numbers: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compose(*parts, **numbers)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("cavia", {"context_size": 0}, "context_size must be above 0"),
        ("maml-trpo", {"context_size": 3}, "context_size must be above 0"),
        ("meta-sgd", {"num_inner_steps": 0}, "num_inner_steps must be at least 1"),
    ],
)
def test_settings_that_do_not_go_together(name: str, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_learner(name, **change)


@pytest.mark.parametrize(
    ("name", "numbers", "batch", "message"),
    [
        ("maml-trpo", {"estimator": "dice"}, (2, 1, 9), "num_trajectories must be at least 2"),
        ("maml-vpg", {}, (2, 1, 1), "num_trajectories must be at least 2, got 1: advantages"),
        ("e-maml", {}, (1, 5, 9), "meta_batch_size must be at least 2, got 1: E-MAML's credit"),
    ],
)
def test_batches_in_which_nothing_can_be_compared_are_refused(
    name: str, numbers: dict[str, Any], batch: tuple[int, int, int], message: str
) -> None:
    """When the learner is put together: signals would all be 0, and nothing would adapt."""
    num_tasks, num_trajectories, horizon = batch
    env: Any = gym.make_vec("metarl/PointGoal-v0", num_envs=num_tasks * num_trajectories)
    sampler = Sampler(env, num_tasks=num_tasks, horizon=horizon, discount=0.99, action_scale=10.0)
    config = replace(PRESETS[name].config, **numbers)
    with pytest.raises(ValueError, match=message):
        make_maml(config, make_policy(), sampler, seed=0)


def test_dice_is_not_evaluated_with_one_trajectory() -> None:
    learner = make_learner(estimator="dice")
    env: Any = gym.make_vec("metarl/PointGoal-v0", num_envs=3)
    with pytest.raises(ValueError, match="num_trajectories must be at least 2"):
        learner._adapt_on(learner.sampler.over(env, 3), 1, Streams(0, "test"))


@pytest.mark.parametrize("estimator", INNER_LOSSES)
@pytest.mark.parametrize("batch", [(1, 1, 9), (1, 2, 1), (3, 1, 9)])
def test_the_smallest_batches_teach_something(
    estimator: Estimator, batch: tuple[int, int, int]
) -> None:
    """One task, one trajectory, one step; dice takes two trajectories."""
    num_tasks, num_trajectories, horizon = batch
    num_trajectories = max(num_trajectories, 2 if estimator == "dice" else 1)
    env: Any = gym.make_vec("metarl/PointGoal-v0", num_envs=num_tasks * num_trajectories)
    sampler = Sampler(env, num_tasks=num_tasks, horizon=horizon, discount=0.99, action_scale=10.0)
    config = replace(PRESETS["maml-vpg"].config, estimator=estimator)
    learner = make_maml(config, make_policy(), sampler, seed=0)
    streams = Streams(0, "training")
    sampler.draw_tasks(streams.numpy("tasks"), "train")
    experience, adapted = learner._adapt_on(sampler, 1, streams)
    start = learner.policy.get_parameter("log_std")
    assert (adapted["log_std"] - start).abs().min() > 1e-4
    assert learner.update(experience)["meta/gradient_norm"] > 1e-3

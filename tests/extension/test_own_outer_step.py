"""An outer step written by a user: gradient descent, with and without something to remember."""

from typing import Any

import gymnasium as gym
import pytest
import torch
from torch import Tensor

import metarl_envs  # noqa: F401  # registers the ids
from metarl.core import SGD, LearnedStepSizes
from metarl.nn import GaussianPolicy, policy_network
from metarl.rl import (
    MAMLLearner,
    MetaGradient,
    MetaProblem,
    Objective,
    OuterStep,
    ReptileDirection,
    Sampler,
    Surrogate,
)
from metarl.types import Metrics


class Descent(OuterStep):
    """θ ← θ - 0.1 ∇."""

    def step(
        self, problem: MetaProblem, meta: MetaGradient, state: dict[str, Any]
    ) -> tuple[Metrics, dict[str, Any]]:
        with torch.no_grad():
            directions = problem.theta.proposed(meta.gradient).tensors()
            for value, direction in zip(problem.theta.tensors(), directions, strict=True):
                value -= 0.1 * direction
        return {}, state


class SlowingDescent(OuterStep):
    """θ ← θ - 0.1 / n ∇ at the n-th step."""

    step_metrics = ("meta/outer_lr",)

    def init(self, theta: Any) -> dict[str, Any]:
        return {"steps": 0}

    def step(
        self, problem: MetaProblem, meta: MetaGradient, state: dict[str, Any]
    ) -> tuple[Metrics, dict[str, Any]]:
        steps = state["steps"] + 1
        Descent().step(problem, meta._replace(gradient=meta.gradient / steps), state)
        return {"meta/outer_lr": 0.1 / steps}, {"steps": steps}


def make_learner(
    outer_step: OuterStep, objective: Objective | None = None, rule: SGD | None = None
) -> MAMLLearner:
    env: Any = gym.make_vec("metarl/PointGoal-v0", num_envs=6)
    sampler = Sampler(env, num_tasks=3, horizon=10, discount=0.99, action_scale=10.0)
    network = policy_network(2, 2, hidden_sizes=(8,), generator=torch.Generator().manual_seed(0))
    policy = GaussianPolicy(network, 2)
    return MAMLLearner(policy, sampler, rule or SGD(0.3), objective or Surrogate(), outer_step)


def vector(learner: MAMLLearner) -> Tensor:
    return torch.cat([v.detach().reshape(-1).clone() for v in learner.meta_parameters().tensors()])


@pytest.mark.parametrize(
    ("objective", "rule"),
    [
        (Surrogate(), SGD(0.3)),
        (Surrogate(), SGD(LearnedStepSizes(0.3))),
        (ReptileDirection(lr=0.3), SGD(0.3, first_order=True)),
    ],
    ids=["maml", "meta-sgd", "reptile"],
)
def test_it_moves_along_the_gradient_of_any_objective(objective: Objective, rule: SGD) -> None:
    learner = make_learner(Descent(), objective, rule)
    experience, before = learner.collect(), vector(learner)
    gradient = learner.problem(experience).gradient().gradient
    assert learner.update(experience)["meta/skipped"] == 0.0
    torch.testing.assert_close(vector(learner), before - 0.1 * gradient)
    assert gradient.norm() > 1e-3


def test_what_it_remembers_is_in_the_state() -> None:
    learner, fresh = (make_learner(SlowingDescent()) for _ in range(2))
    rates = [learner.update(learner.collect())["meta/outer_lr"] for _ in range(2)]
    assert rates == pytest.approx([0.1, 0.05])
    fresh.load_state_dict(learner.state_dict())
    metrics = fresh.update(fresh.collect())
    assert metrics["meta/outer_lr"] == pytest.approx(0.1 / 3)
    assert metrics == learner.update(learner.collect())


def test_a_skipped_update_is_remembered_by_nobody() -> None:
    learner = make_learner(SlowingDescent())
    learner.update(learner.collect())
    experience = learner.collect()
    query = experience.query._replace(advantages=experience.query.advantages * float("nan"))
    metrics = learner.update(experience._replace(batches=[*experience.supports, query]))
    assert (metrics["meta/skipped"], metrics["meta/outer_lr"]) == (1.0, 0.0)
    assert learner.state_dict()["optimiser"] == {"steps": 1}

"""An inner rule written by a user: momentum once more, in policies, classifiers and any module."""

from typing import Any

import gymnasium as gym
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

import metarl_envs  # noqa: F401  # registers the ids
from metarl import MAML
from metarl.core import InnerRule, Momentum
from metarl.nn import GaussianPolicy, policy_network
from metarl.rl import Adam, MAMLLearner, Sampler, Surrogate, TrustRegion
from metarl.types import BatchT, LossFn, Params


class HeavyBall(InnerRule[Params]):
    """v' = 0.9 v + ∇ L, θ' = θ - 0.1 v', from the loss alone."""

    def init(self, params: Params) -> Params:
        return {name: torch.zeros_like(value) for name, value in params.items()}

    def step(
        self, loss_fn: LossFn[BatchT], params: Params, support: BatchT, state: Params
    ) -> tuple[Params, Params]:
        differentiable = torch.is_grad_enabled()
        with torch.enable_grad():
            if not differentiable:
                params = {name: v.detach().requires_grad_() for name, v in params.items()}
            total = loss_fn(params, support).sum()
            gradients = torch.autograd.grad(
                total, list(params.values()), create_graph=differentiable
            )
        named = zip(params, gradients, strict=True)
        velocity = {name: 0.9 * state[name] + gradient for name, gradient in named}
        return {name: value - 0.1 * velocity[name] for name, value in params.items()}, velocity


class LearnedHeavyBall(HeavyBall):
    """The same with a step size that is meta-learned, as a share of 0.1."""

    def __init__(self, share: Tensor | None = None) -> None:
        self.share = share

    def meta_parameters(self, params: Params) -> Params:
        return {"share": torch.ones(())}

    def at(self, values: Params) -> "LearnedHeavyBall":
        return LearnedHeavyBall(values["share"])

    def step(
        self, loss_fn: LossFn[BatchT], params: Params, support: BatchT, state: Params
    ) -> tuple[Params, Params]:
        assert self.share is not None
        moved, velocity = super().step(loss_fn, params, support, state)
        return {
            name: value + self.share * (moved[name] - value) for name, value in params.items()
        }, velocity


def make_learner(rule: InnerRule[Any], outer_step: Any) -> MAMLLearner:
    env: Any = gym.make_vec("metarl/PointGoal-v0", num_envs=6)
    sampler = Sampler(env, num_tasks=3, horizon=10, discount=0.99, action_scale=10.0)
    network = policy_network(2, 2, hidden_sizes=(8,), generator=torch.Generator().manual_seed(0))
    policy = GaussianPolicy(network, 2)
    return MAMLLearner(policy, sampler, rule, Surrogate(), outer_step, num_inner_steps=3)


def test_a_policy_learner_takes_it_as_ours() -> None:
    """Collection, meta-gradient, outer step, evaluation."""
    own, ours = (make_learner(rule, Adam(0.01)) for rule in (HeavyBall(), Momentum(0.1)))
    for _ in range(2):
        metrics, expected = (x.update(x.collect()) for x in (own, ours))
        assert metrics["meta/skipped"] == 0.0
        assert metrics == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert own.evaluate() == pytest.approx(ours.evaluate(), rel=1e-3)


def test_it_goes_with_a_trust_region() -> None:
    """Whose line search adapts at other parameters than those that collected."""
    learner = make_learner(HeavyBall(), TrustRegion())
    metrics = learner.update(learner.collect())
    assert metrics["meta/accepted"] == 1.0
    assert metrics["meta/improvement"] > 0


def test_what_it_wants_learned_is_learned_and_kept() -> None:
    learner, fresh = (make_learner(LearnedHeavyBall(), TrustRegion()) for _ in range(2))
    for _ in range(2):
        assert learner.update(learner.collect())["meta/accepted"] == 1.0
    assert learner.learned["share"].item() != 1.0
    fresh.load_state_dict(learner.state_dict())
    assert fresh.evaluate() == learner.evaluate()


def test_any_module_takes_it_as_ours() -> None:
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    x = torch.randn(4, 10, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = x.sum(-1, keepdim=True)
    outcomes = []
    for rule in (HeavyBall(), Momentum(0.1)):
        maml = MAML(model, num_inner_steps=3, rule=rule, loss=mse_loss)
        losses = maml.meta_loss(x, y, x, y)
        gradients = torch.autograd.grad(losses.mean(), list(model.parameters()))
        outcomes.append([losses.detach(), *gradients, maml.adapt(x, y)(x)])
    for own, ours in zip(*outcomes, strict=True):
        torch.testing.assert_close(own, ours)

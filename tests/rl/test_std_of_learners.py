"""Learners keep σ between its floor and its ceiling, and what they report is what acts."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from rl_samples import make_sampler

from metarl.core import SGD, Momentum, Streams
from metarl.nn import GaussianPolicy, policy_network
from metarl.rl import (
    Actor,
    Adam,
    ClippedEpochs,
    ClippedSurrogate,
    MAMLLearner,
    ReptileDirection,
    Surrogate,
    TrustRegion,
    load_policy,
)
from metarl.rl.trust_region import candidate

PARTS = {
    "trust region": (SGD(1.0), Surrogate(), TrustRegion()),
    "Adam": (Momentum(1.0), Surrogate(), Adam(0.05)),
    "epochs": (SGD(1.0), ClippedSurrogate(), ClippedEpochs(Adam(0.05), 3)),
    "Reptile": (
        SGD(1.0, first_order=True),
        ReptileDirection(lr=1.0),
        Adam(0.05),
    ),
}


def make_learner(
    parts: tuple[Any, Any, Any], *, low: float = -0.01, high: float | None = 0.01
) -> MAMLLearner:
    """Bounds so near that every step would leave them."""
    network = policy_network(2, 2, hidden_sizes=(8,), generator=torch.Generator().manual_seed(0))
    policy = GaussianPolicy(network, 2, min_log_std=low, max_log_std=high)
    return MAMLLearner(policy, make_sampler(), *parts, num_inner_steps=2)


@pytest.mark.parametrize("name", PARTS)
def test_steps_end_within_the_bounds(name: str) -> None:
    learner = make_learner(PARTS[name])
    for _ in range(3):
        _, params = learner._adapt_on(learner.sampler, 2, Streams(0, "training"))
        assert params["log_std"].abs().max() == pytest.approx(0.01)
        metrics = learner.update(learner.collect())
        assert metrics["meta/skipped"] == 0
        assert learner.policy.log_std.abs().max() <= 0.01
        assert metrics["meta/std"] == learner.policy.log_std.exp().mean().item()
    assert learner.policy.log_std.any()


def test_the_meta_gradient_adapts_as_collection_did() -> None:
    learner = make_learner(PARTS["trust region"])
    experience, params = learner._adapt_on(learner.sampler, 2, Streams(0, "training"))
    problem = learner.problem(experience)
    (adapted,) = problem.distributions(problem.theta, experience)
    torch.testing.assert_close(adapted.log_std[:, 0], params["log_std"])


def test_the_line_search_judges_what_the_step_leaves() -> None:
    learner, accepted, beyond = make_learner(PARTS["trust region"]), 0.0, 0.0
    for _ in range(4):
        problem = learner.problem(learner.collect())
        meta = problem.gradient()
        metrics, _ = learner.outer_step.step(problem, meta, {})
        beyond = max(beyond, learner.policy.log_std.abs().max().item())
        learner.policy.keep_within_bounds()
        found = candidate(torch.cat([t.flatten() for t in problem.theta.tensors()]), problem, meta)
        accepted += metrics["meta/accepted"]
        assert found.kl == pytest.approx(metrics["meta/kl"], rel=1e-4, abs=1e-7)
        assert meta.loss - found.loss == pytest.approx(metrics["meta/improvement"], abs=1e-6)
    assert accepted > 0
    assert beyond > 0.01


def test_from_below_its_floor_a_learner_comes_back() -> None:
    """As a step of Adam leaves it: the next update is at the floor, from which gradients lead."""
    learner = make_learner((SGD(0.01), Surrogate(), Adam(1e-3)), low=-0.5, high=None)
    policy = learner.policy
    assert isinstance(policy, GaussianPolicy)
    with torch.no_grad():
        policy.log_std.fill_(-0.501)
    assert policy.metrics()["meta/std"] == pytest.approx(math.exp(-0.5))
    gradient = learner.problem(learner.collect()).gradient()
    names = list(learner.meta_parameters().network)
    shares = learner.meta_parameters().proposed(gradient.gradient).network
    assert shares["log_std"].all(), names
    learner.update(learner.collect())
    assert (policy.log_std >= -0.5).all()


def test_an_actor_acts_within_the_bounds_that_its_file_keeps(tmp_path: Any) -> None:
    learner = make_learner(PARTS["Adam"])
    params = {name: value.detach() for name, value in learner.policy.named_parameters()}
    beyond, at = (
        learner.actor({**params, "log_std": torch.full((2,), value)}) for value in (5.0, 0.01)
    )
    assert isinstance(beyond, Actor)
    observations = np.zeros((4, 2), np.float32)
    beyond.save(tmp_path / "policy.pt")
    loaded = load_policy(tmp_path / "policy.pt")
    assert (loaded.spec.min_log_std, loaded.spec.max_log_std) == (-0.01, 0.01)
    expected = at.predict(observations)[0]
    for actor in (beyond, loaded):
        np.testing.assert_array_equal(actor.predict(observations)[0], expected)

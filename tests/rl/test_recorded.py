"""Adaptation to recorded trajectories: the same steps as on those of a simulator."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from rl_samples import make_learner

from metarl.core import Streams
from metarl.nn import ObservationNormaliser
from metarl.nn.distributions import Gaussian
from metarl.rl import MAMLLearner, RecordedTrajectories, Rollout, Trajectories
from metarl.rl.actions import ActionNumbering, ActionNumberings
from metarl.rl.recorded import (
    LARGEST_WEIGHT,
    RecordedSupport,
    effective_share,
    policy_actions,
)
from metarl.types import Params


def recorded(rollout: Rollout, task: int, **more: Any) -> Trajectories:
    """The trajectories of one task, as a file has them."""
    mask = rollout.mask[task]  # [T, E]
    whole = [torch.cat([rollout.observations[task, mask[:, e], e], last[None]])
             for e, last in enumerate(rollout.final_observations[task])]  # fmt: skip
    ended = (rollout.discounts[task] == 0) & mask

    def steps(values: torch.Tensor) -> Any:
        return torch.cat([values[task, mask[:, e], e] for e in range(mask.shape[1])]).numpy()

    actions = {"raw_actions": steps(rollout.actions)}
    return Trajectories(
        lengths=mask.sum(0).numpy(),
        observations=torch.cat(whole).numpy(),
        rewards=steps(rollout.rewards),
        terminated=ended.any(0).numpy(),
        truncated=~ended.any(0).numpy(),
        **actions | more,
    )


def simulated(learner: MAMLLearner, steps: int) -> tuple[list[Rollout], Params]:
    """Rollouts before, between and after the steps of adaptation to three tasks, and the end."""
    streams = Streams(5, "test")
    learner.sampler.draw_tasks(streams.numpy("tasks"), "train")
    experience, params = learner._adapt_on(learner.sampler, steps, streams)
    return experience.rollouts, params


def log_probs(learner: MAMLLearner, found: Trajectories, params: Params | None = None) -> Any:
    own = params or {k: v[None] for k, v in learner.policy.state_dict().items()}
    seen, acted = (torch.as_tensor(v)[None] for v in (found.before(), found.raw_actions))
    with torch.no_grad():
        return learner.policy.distribution(own, seen).log_prob(acted)[0].numpy()


def adapted(learner: MAMLLearner, *parts: Trajectories, steps: int, **options: Any) -> Any:
    return learner.adapt(RecordedTrajectories(parts=parts, **options), steps)


NAMES = ["maml-trpo", "maml-vpg", "meta-sgd", "cavia", "anil"]


@pytest.mark.parametrize("known", [True, False], ids=["log-probs", "none"])
@pytest.mark.parametrize("name", NAMES)
def test_steps_on_recordings_are_those_in_the_simulator(name: str, known: bool) -> None:
    """Two steps, each on data of the policy that came to it; γ, λ and the baseline included."""
    learner = make_learner(name, gae_lambda=0.9)
    rollouts, params = simulated(learner, 2)
    for task in range(2):
        parts = [recorded(rollout, task) for rollout in rollouts[:2]]
        if known:
            first = recorded(rollouts[0], task, log_probs=log_probs(learner, parts[0]))
            parts = [first, parts[1]]
        found = adapted(learner, *parts, steps=2)
        own = found.model(0, True).policy.state_dict()
        for key, value in params.items():
            torch.testing.assert_close(own[key], value[task], rtol=1e-4, atol=1e-5)
        told = [pytest.approx(1.0) if known else None, None]  # nothing tells of the second's policy
        assert found.figures["effective_sample_size"] == told
        returns = [rollout.mean_returns()[task] for rollout in rollouts[:2]]
        np.testing.assert_allclose(found.values[:, 0], returns, rtol=1e-5)


def test_observations_are_normalised_as_in_the_simulator() -> None:
    learner = make_learner()
    learner.policy.normaliser = ObservationNormaliser(2)
    learner.policy.normaliser.update(torch.randn(50, 2, generator=torch.Generator()) * 3 + 1)
    rollouts, params = simulated(learner, 1)
    own = adapted(learner, recorded(rollouts[0], 0), steps=1).model(0, True).policy
    for key, value in params.items():
        torch.testing.assert_close(own.state_dict()[key], value[0], rtol=1e-4, atol=1e-5)
    assert own.normaliser is not None


def test_the_policy_before_adaptation_is_the_own() -> None:
    learner = make_learner()
    rollouts, _ = simulated(learner, 1)
    found = adapted(learner, recorded(rollouts[0], 0), steps=1)
    before, own = found.model(0, False).policy.state_dict(), learner.policy.state_dict()
    assert all(torch.equal(before[name], own[name]) for name in own)


@pytest.mark.parametrize("estimator", ["log-likelihood", "lvc", "loaded-dice", "dice"])
def test_later_steps_on_the_same_data_are_weighted(estimator: str) -> None:
    """Their gradient is that of Σ w A log π with w = min(π / π_recorded, 10), a constant."""
    learner = make_learner(estimator=estimator, inner_lr=0.3)
    rollouts, _ = simulated(learner, 1)
    data = recorded(rollouts[0], 0)
    data = recorded(rollouts[0], 0, log_probs=log_probs(learner, data))
    once = adapted(learner, data, steps=1).model(0, True).policy.state_dict()
    found = adapted(learner, data, steps=2)
    shares = found.figures["effective_sample_size"]
    assert shares[0] == pytest.approx(1.0)
    assert shares[1] < 0.999
    if estimator in ("log-likelihood", "lvc"):
        now = log_probs(learner, data, {k: v[None] for k, v in once.items()})
        assert shares[1] == pytest.approx(
            effective_share(torch.from_numpy(now - data.log_probs)), rel=1e-4
        )
        weights = np.minimum(np.exp(now - data.log_probs), LARGEST_WEIGHT)
        other = make_learner(estimator=estimator, inner_lr=0.15)  # half, as the second step's
        other.policy.load_state_dict(once)
        ratios = now - np.log(weights)  # recorded by a policy with these ratios to the other
        expected = adapted(other, recorded(rollouts[0], 0, log_probs=ratios), steps=1)
        ours = found.model(0, True).policy.state_dict()
        for name, value in expected.model(0, True).policy.state_dict().items():
            torch.testing.assert_close(ours[name], value, rtol=1e-4, atol=1e-6)


def test_weights_are_clipped_and_counted() -> None:
    learner = make_learner()
    rollouts, _ = simulated(learner, 1)
    data = recorded(rollouts[0], 0)
    given = log_probs(learner, data)
    rare = np.where(np.arange(len(given)) < 5, given - math.log(50.0), given)
    found = adapted(learner, recorded(rollouts[0], 0, log_probs=rare), steps=1)
    assert found.figures["weights_clipped"] == pytest.approx([5 / 20])
    weights = np.where(np.arange(20) < 5, 50.0, 1.0)
    share = weights.sum() ** 2 / (20 * (weights**2).sum())
    assert found.figures["effective_sample_size"] == pytest.approx([share], rel=1e-3)
    ten = np.where(np.arange(len(given)) < 5, given - math.log(LARGEST_WEIGHT), given)
    as_ten = adapted(learner, recorded(rollouts[0], 0, log_probs=ten), steps=1)
    ours, theirs = (one.model(0, True).policy.state_dict() for one in (found, as_ten))
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-4, atol=1e-6)


def test_data_of_another_policy_are_refused_unless_forced() -> None:
    learner = make_learner()
    rollouts, _ = simulated(learner, 1)
    given = log_probs(learner, recorded(rollouts[0], 0))
    given[0] -= 30.0
    foreign = recorded(rollouts[0], 0, log_probs=given)
    forced = adapted(learner, foreign, steps=1, force=True)
    share = forced.figures["effective_sample_size"]
    assert share == pytest.approx([0.05])  # one of 20 steps: just enough
    longer = Trajectories.joined([foreign, recorded(rollouts[0], 1, log_probs=given * 0 - 3.0)])
    with pytest.raises(ValueError, match=r"at step 1: .* size is 1\.0 of 40 steps"):
        adapted(learner, longer, steps=1)
    assert adapted(learner, longer, steps=1, force=True).figures["weights_clipped"]


def test_log_probs_that_cannot_be() -> None:
    learner = make_learner()
    rollouts, _ = simulated(learner, 1)
    data = recorded(rollouts[0], 0)
    floor = replace(data, log_probs=np.full(20, 11.0))
    with pytest.raises(ValueError, match=r"log_probs has 11 in trajectory 0, step 0, above 10.16"):
        adapted(learner, floor, steps=1)  # log σ is at least -6: -2 (-6 + 0.919) is the most
    to_env = learner.sampler.to_env
    assert data.raw_actions is not None
    clipped = replace(data, raw_actions=None, actions=to_env(data.raw_actions))
    with pytest.raises(ValueError, match="log_probs are of raw_actions, which are missing"):
        adapted(learner, replace(clipped, log_probs=np.full(20, -3.0)), steps=1)
    assert adapted(learner, clipped, steps=1)


def test_clipped_actions_are_censored() -> None:
    """Within the bounds the likelihood is the density of the raw action, at them the mass."""
    learner = make_learner()
    rollouts, _ = simulated(learner, 1)
    data = recorded(rollouts[0], 0)
    assert data.raw_actions is not None
    wide = replace(data, raw_actions=data.raw_actions * 8.0)  # of ±10
    assert wide.raw_actions is not None
    clipped = replace(wide, raw_actions=None, actions=learner.sampler.to_env(wide.raw_actions))
    sides = (wide.raw_actions > 10).astype(np.float32) - (wide.raw_actions < -10)
    assert np.abs(sides).sum() > 3
    source = RecordedTrajectories(parts=[clipped])
    params = {k: v[None].requires_grad_() for k, v in learner.policy.state_dict().items()}
    batch = RecordedSupport(source, learner.policy, learner.sampler, learner.objective)(params)
    order = [t * 2 + e for e in range(2) for t in range(10)]  # rows of a batch are t E + e
    assert batch.censored is not None
    np.testing.assert_array_equal(batch.censored[0, order], sides)
    np.testing.assert_allclose(batch.actions[0, order], wide.raw_actions.clip(-10, 10), rtol=1e-5)
    acting = learner.policy.distribution(params, batch.observations)
    assert isinstance(acting, Gaussian)
    likelihood = acting.censored_log_prob(batch.actions, batch.censored)
    expected = -(likelihood * batch.advantages * batch.weights).sum()
    loss = learner.objective.inner_loss(learner.policy, params, batch).sum()
    for ours, theirs in zip(
        torch.autograd.grad(loss, list(params.values())),
        torch.autograd.grad(expected, list(params.values())),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("to_env", "shape"), [(ActionNumbering(1), ()), (ActionNumberings(np.array([[0, 4]])), (1, 2))]
)
def test_choices_lose_nothing(to_env: Any, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    given = Trajectories(
        lengths=np.array([5]),
        observations=np.zeros((6, 2)),
        rewards=np.zeros(5),
        terminated=np.array([False]),
        truncated=np.array([True]),
        actions=rng.integers(4, 7, (5, *shape)),
    )
    raw, sides = policy_actions(given, to_env)
    assert sides is None
    np.testing.assert_array_equal(to_env(raw), given.actions)

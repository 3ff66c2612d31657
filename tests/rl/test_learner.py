"""What MAML learners compute, keep and report."""

import io
import re
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from rl_samples import in_double, make_learner, step_size
from torch import Tensor
from torch.distributions import Independent, Normal
from torch.func import functional_call
from torch.testing import assert_close

from metarl.configs import complaint
from metarl.core import expand, parameters_of
from metarl.rl import (
    Experience,
    MAMLLearner,
    MAMLPPOConfig,
    MAMLTRPOConfig,
    MAMLVPGConfig,
)
from metarl.rl.estimators import INNER_LOSSES, Estimator
from metarl.rl.experience import outcome_scores
from metarl.rl.rollout import AdvantageBatch
from metarl.rl.trust_region import candidate

LEARNERS = pytest.mark.parametrize("kind", ["maml-trpo", "maml-vpg", "promp", "reptile"])


def snapshot(learner: MAMLLearner) -> dict[str, Any]:
    """The state as a checkpoint would keep it."""
    buffer = io.BytesIO()
    torch.save(learner.state_dict(), buffer)
    buffer.seek(0)
    state: dict[str, Any] = torch.load(buffer, weights_only=True)
    return state


def assert_same(ours: Any, theirs: Any) -> None:
    """Equal bit for bit, through dicts, lists and tensors."""
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for key, value in ours.items():
            assert_same(value, theirs[key])
    elif isinstance(ours, Tensor):
        assert torch.equal(ours, theirs)
    else:
        assert ours == theirs


def train(learner: MAMLLearner, iterations: int) -> list[dict[str, float]]:
    return [learner.update(learner.collect()) for _ in range(iterations)]


@pytest.mark.parametrize("num_inner_steps", [1, 2])
@pytest.mark.parametrize("task_chunk", [1, 2])
def test_chunks_give_the_gradient_of_the_whole(task_chunk: int, num_inner_steps: int) -> None:
    """Three tasks in chunks of 1 + 1 + 1 and of 2 + 1."""
    whole = make_learner(num_inner_steps=num_inner_steps, task_chunk=0)
    chunked = make_learner(num_inner_steps=num_inner_steps, task_chunk=task_chunk)
    experience = in_double(whole)
    chunked.policy.double()
    expected = whole.problem(experience).gradient()
    meta = chunked.problem(experience).gradient()
    assert len(expected.acting) == 1
    assert len(meta.acting) == -(-3 // task_chunk)
    assert_close(meta.gradient, expected.gradient)
    assert meta.loss == pytest.approx(expected.loss)


@pytest.mark.parametrize(("steps", "sizes"), [(2000, [4, 4, 2]), (1000, [8, 2]), (100, [10])])
def test_chunks_have_about_as_many_steps_as_a_cache_takes(steps: int, sizes: list[int]) -> None:
    """Of 8,000 steps and at least 4 tasks; ten tasks."""
    batch = make_learner().collect().query.tasks(slice(0, 1)).map(lambda value: value[:, :1])
    large = batch.map(lambda value: value.expand(10, steps, *value.shape[2:]))
    chunks = Experience([], [large], torch.zeros(10)).chunks()
    assert [len(chunk.query.weights) for chunk in chunks] == sizes


def one_task_loss(learner: MAMLLearner, experience: Experience, m: int) -> Tensor:
    """Finn et al. 2017, algorithm 3, for one task and without a task axis."""
    estimator = learner.objective.estimator
    policy, lr = learner.policy, step_size(learner, 0)
    theta = dict(policy.named_parameters())

    def log_prob(params: dict[str, Tensor], batch: AdvantageBatch) -> Tensor:
        layers = {k.removeprefix("mean."): v for k, v in params.items() if k.startswith("mean.")}
        mean = functional_call(policy.mean, layers, (batch.observations[m],))
        std = params["log_std"].exp().expand_as(mean)
        return Independent(Normal(mean, std), 1).log_prob(batch.actions[m])

    params = theta
    for batch in experience.supports:
        taken = log_prob(params, batch)
        if estimator == "lvc":
            taken = (taken - taken.detach()).exp()
        inner = -(taken * batch.advantages[m] * batch.weights[m]).sum()
        gradients = torch.autograd.grad(
            inner, list(params.values()), create_graph=estimator != "first-order"
        )
        params = {k: v - lr * g for (k, v), g in zip(params.items(), gradients, strict=True)}
    new = log_prob(params, experience.query)
    weighted = experience.query.advantages[m] * experience.query.weights[m]
    return -((new - new.detach()).exp() * weighted).sum()


@pytest.mark.parametrize("estimator", ["first-order", "log-likelihood", "lvc"])
def test_meta_gradient_is_that_of_a_loop_over_tasks(estimator: Estimator) -> None:
    learner = make_learner(num_inner_steps=2, estimator=estimator, task_chunk=2)
    experience = in_double(learner)
    loss = torch.stack([one_task_loss(learner, experience, m) for m in range(3)]).mean()
    expected = torch.autograd.grad(loss, list(learner.policy.parameters()))
    meta = learner.problem(experience).gradient()
    assert_close(meta.gradient, torch.cat([g.reshape(-1) for g in expected]))
    assert meta.loss == pytest.approx(loss.item(), abs=1e-12)


def test_every_estimator_has_a_meta_gradient_of_its_own() -> None:
    """A guard for the test above."""
    learners = [make_learner(estimator=estimator) for estimator in INNER_LOSSES]
    experience = learners[0].collect()
    gradients = [x.problem(experience).gradient().gradient for x in learners]
    for one, other in combinations(gradients, 2):
        assert (one - other).norm() > 0.01 * one.norm()


def test_trpo_candidate_at_the_old_parameters() -> None:
    """Loss of the meta-gradient, KL 0."""
    learner = make_learner(num_inner_steps=2)
    problem = learner.problem(learner.collect())
    meta = problem.gradient()
    vector = torch.cat([p.detach().reshape(-1) for p in learner.policy.parameters()])
    assert candidate(vector, problem, meta) == pytest.approx((meta.loss, 0.0), abs=1e-6)


def test_trpo_steps_lower_the_loss_within_the_trust_region() -> None:
    learner = make_learner(max_kl=0.02)
    before = torch.cat([p.detach().reshape(-1).clone() for p in learner.policy.parameters()])
    metrics = learner.update(learner.collect())
    after = torch.cat([p.detach().reshape(-1) for p in learner.policy.parameters()])
    assert metrics["meta/accepted"] == 1.0
    assert metrics["meta/improvement"] > 0
    assert 0 < metrics["meta/kl"] <= 0.02
    assert not torch.equal(before, after)


def test_vpg_step_is_adams_along_the_meta_gradient() -> None:
    """Adam's first step is β times the sign of the gradient, up to its epsilon."""
    learner = make_learner("maml-vpg", outer_lr=0.01)
    experience = learner.collect()
    gradient = learner.problem(experience).gradient().gradient
    before = torch.cat([p.detach().reshape(-1).clone() for p in learner.policy.parameters()])
    learner.update(experience)
    after = torch.cat([p.detach().reshape(-1) for p in learner.policy.parameters()])
    large = gradient.abs() > 1e-4
    assert large.sum() > 20
    assert_close((after - before)[large], -0.01 * gradient[large].sign(), rtol=1e-2, atol=1e-7)


def test_promp_with_one_epoch_is_the_policy_gradients_step() -> None:
    """At the old parameters the clip and the KL penalty have no gradient."""
    learners = [
        make_learner("maml-vpg", outer_lr=0.01),
        make_learner("promp", outer_lr=0.01, epochs=1, inner_kl=3.0),
    ]
    experience = learners[0].collect()
    for learner in learners:
        learner.update(experience)
    vpg, ppo = (torch.cat([p.reshape(-1) for p in x.policy.parameters()]) for x in learners)
    assert_close(vpg, ppo, rtol=0, atol=1e-6)


def test_ppo_improves_its_objective() -> None:
    learner = make_learner("promp", outer_lr=0.01, epochs=10, inner_kl=0.0)
    experience = learner.collect()
    problem = learner.problem(experience)
    old = problem.gradient().acting
    metrics = learner.update(experience)
    assert problem.gradient(old).loss < metrics["meta/loss"] - 0.01
    assert metrics["meta/kl"] > 0
    assert 0 < metrics["meta/clipped"] < 1


def test_the_inner_kl_holds_the_policy_back() -> None:
    moved = []
    for inner_kl in (1e-9, 100.0):
        learner = make_learner("promp", outer_lr=0.01, epochs=10, inner_kl=inner_kl)
        moved.append(learner.update(learner.collect())["meta/inner_kl"])
    assert 0 < moved[1] < 0.5 * moved[0]


def test_scores_are_outcomes_above_those_of_the_other_tasks() -> None:
    """Golden: outcomes 1, 2, 6 have other tasks' means 4, 3.5, 1.5; the scales are 1, 1, 2."""
    learner = make_learner()
    rollout = learner.collect().rollouts[-1]
    first = torch.zeros_like(rollout.rewards)
    first[:, 0] = torch.tensor([1.0, 2.0, 6.0])[:, None]
    batch = learner.collect().query._replace(scale=torch.tensor([[1.0], [1.0], [2.0]]))
    scores = outcome_scores(rollout._replace(rewards=first), batch)
    assert scores.tolist() == [-3.0, -1.5, 2.25]


@pytest.mark.parametrize(
    ("weight", "estimator"), [(1.0, "lvc"), (0.05, "lvc"), (1.0, "first-order")]
)
def test_the_sampling_credit_adds_its_gradient(weight: float, estimator: Estimator) -> None:
    """-w Σ_τ ∇log π_θ(τ) score / T of every task's support, here by hand for one inner step."""
    plain = make_learner(estimator=estimator)
    credited = make_learner(estimator=estimator, sampling_credit=True, credit_weight=weight)
    experience = in_double(plain)
    credited.policy.double()
    gradients = [x.problem(experience).gradient().gradient for x in (plain, credited)]
    support, query = experience.supports[0], experience.query
    theta = parameters_of(plain.policy)
    acted = plain.policy.distribution(expand(theta, 3), support.observations)
    total = (acted.log_prob(support.actions) * (support.weights > 0)).sum(1)
    steps = (query.weights > 0).sum(1) / query.num_trajectories
    expected = torch.autograd.grad(
        -weight * (total * experience.scores / steps).mean(), list(theta.values())
    )
    assert_close(gradients[1] - gradients[0], torch.cat([g.reshape(-1) for g in expected]))
    assert (gradients[1] - gradients[0]).norm() > 1e-3 * weight


def poisoned(experience: Experience, index: int) -> Experience:
    batches = list(experience.batches)
    batches[index] = batches[index]._replace(advantages=batches[index].advantages * float("nan"))
    return experience._replace(batches=batches)


@LEARNERS
@pytest.mark.parametrize("index", [0, -1], ids=["support", "query"])
def test_non_finite_gradients_skip_the_update(kind: str, index: int) -> None:
    learner = make_learner(kind)
    good = train(learner, 1)[0]
    experience = poisoned(learner.collect(), index)
    before = snapshot(learner)
    metrics = learner.update(experience)
    assert_same(snapshot(learner), before)
    assert metrics["meta/skipped"] == 1.0
    assert good["meta/skipped"] == 0.0
    assert metrics.keys() == good.keys()


def test_a_diverged_policy_skips_the_update() -> None:
    """NaN parameters: NaN actions and observations, which the baseline has to survive."""
    learner = make_learner()
    with torch.no_grad():
        learner.policy.log_std.fill_(float("nan"))
    assert learner.update(learner.collect())["meta/skipped"] == 1.0


@LEARNERS
def test_resumed_training_is_the_uninterrupted_one(kind: str) -> None:
    """Two iterations, save, two more: the same numbers bit for bit."""
    config = {"num_inner_steps": 2, "inner_lr": 0.1}
    learner, fresh = make_learner(kind, seed=1, **config), make_learner(kind, seed=1, **config)
    train(learner, 2)
    fresh.load_state_dict(snapshot(learner))
    assert_same(train(fresh, 2), train(learner, 2))
    assert_same(snapshot(fresh), snapshot(learner))
    assert fresh.evaluate() == learner.evaluate()


@LEARNERS
def test_training_depends_on_the_seed_alone(kind: str) -> None:
    first, same, other = (train(make_learner(kind, seed=s), 2) for s in (3, 3, 4))
    assert first == same
    assert first != other


def test_another_outer_steps_state_is_refused() -> None:
    learner = make_learner("maml-vpg")
    train(learner, 1)
    state = snapshot(learner)
    with pytest.raises(ValueError, match=r"state has \[\], not \['param_groups', 'state'\]"):
        make_learner("maml-trpo").load_state_dict(state)


@LEARNERS
def test_evaluation_changes_nothing_and_repeats(kind: str) -> None:
    learner, other = make_learner(kind), make_learner(kind)
    train(learner, 1), train(other, 1)
    before = snapshot(learner)
    first = learner.evaluate()
    assert_same(snapshot(learner), before)
    assert learner.evaluate() == first
    assert train(learner, 1) == train(other, 1)  # nor is anything outside the state moved


def test_training_draws_train_tasks_and_evaluation_held_out_ones() -> None:
    learner = make_learner()
    splits: list[str] = []
    draw = learner.sampler.draw_tasks

    def spy(rng: np.random.Generator, split: Any) -> None:
        splits.append(split)
        draw(rng, split)

    learner.sampler.draw_tasks = spy  # type: ignore[method-assign]  # a spy on one instance
    learner.collect()
    learner.evaluate()
    assert splits == ["train", "held_out", "train"]  # the last are validation tasks


@LEARNERS
def test_metrics(kind: str) -> None:
    learner = make_learner(kind)
    experience = learner.collect()
    metrics = learner.update(experience)
    returns = experience.returns().mean(1)
    assert metrics["rollout/return_pre"] == pytest.approx(returns[0].item())
    assert metrics["rollout/return_post"] == pytest.approx(returns[-1].item())
    assert metrics["adapt/gain"] == pytest.approx((returns[-1] - returns[0]).item())
    assert metrics["rollout/steps"] == experience.num_steps() == learner.env_steps
    assert metrics["rollout/diverged"] == 0
    assert set(learner.outer_step.step_metrics) <= set(metrics)
    learner.update(learner.collect())
    assert learner.env_steps > metrics["rollout/env_steps"]
    evaluation = learner.evaluate()
    gain = evaluation["eval/return_post"] - evaluation["eval/return_pre"]
    assert evaluation["eval/adaptation_gain"] == pytest.approx(gain, abs=1e-5)


@pytest.mark.parametrize(
    ("num_inner_steps", "expected"),
    [(0, [0.4, 0.2, 0.2]), (1, [0.4, 0.2, 0.2]), (2, [0.4, 0.4, 0.2]), (3, [0.4, 0.4, 0.4])],
)
def test_step_sizes_halve_beyond_the_trained_steps(
    num_inner_steps: int, expected: list[float]
) -> None:
    learner = make_learner(inner_lr=0.4, num_inner_steps=num_inner_steps)
    assert [step_size(learner, k) for k in range(3)] == expected


@pytest.mark.parametrize(
    ("config", "name", "value"),
    [
        (MAMLTRPOConfig, "inner_lr", -0.1),
        (MAMLTRPOConfig, "num_inner_steps", -1),
        (MAMLTRPOConfig, "gae_lambda", 1.5),
        (MAMLTRPOConfig, "gae_lambda", -0.5),
        (MAMLTRPOConfig, "task_chunk", -2),
        (MAMLTRPOConfig, "max_kl", 0.0),
        (MAMLTRPOConfig, "cg_iterations", 0),
        (MAMLTRPOConfig, "cg_damping", -1.0),
        (MAMLTRPOConfig, "fisher_stride", 0),
        (MAMLVPGConfig, "outer_lr", 0.0),
        (MAMLPPOConfig, "clip", 0.0),
        (MAMLPPOConfig, "epochs", 0),
        (MAMLPPOConfig, "inner_kl", -1.0),
        (MAMLVPGConfig, "inner_lr", -0.1),
    ],
)
def test_wrong_numbers_are_named(config: type[Any], name: str, value: float) -> None:
    with pytest.raises(ValidationError) as caught:
        config(**{name: value})
    assert re.fullmatch(rf"{name} must be .*, got {value}", complaint(caught.value))

"""What adapts and what is meta-learned: ANIL, CAVIA, Meta-SGD, Reptile and the controls."""

import io
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from rl_samples import in_double, make_learner, step_size
from torch import Tensor
from torch.testing import assert_close

from metarl.configs import complaint
from metarl.core import SGD, MetaParameters, Streams, expand, parameters_of
from metarl.rl import ControlConfig, MAMLLearner, ReptileConfig
from metarl.rl.objectives import LossObjective
from metarl.types import Params


def adapted(learner: MAMLLearner) -> tuple[Params, Params]:
    """Parameters of the three tasks before and after one step."""
    streams = Streams(0, "training")
    learner.sampler.draw_tasks(streams.numpy("tasks"), "train")
    _, after = learner._adapt_on(learner.sampler, 1, streams)
    return expand(parameters_of(learner.policy), 3), after


def flat(theta: MetaParameters) -> Tensor:
    return torch.cat([value.detach().reshape(-1) for value in theta.tensors()])


def moved(before: Params, after: Params) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_anil_adapts_the_head_alone() -> None:
    learner = make_learner("anil")
    assert moved(*adapted(learner)) == {"log_std", "mean.layers.1.weight", "mean.layers.1.bias"}


def test_cavia_adapts_its_context_alone_and_every_task_its_own() -> None:
    learner = make_learner("cavia", context_size=4)
    before, after = adapted(learner)
    assert moved(before, after) == {"context"}
    assert before["context"].tolist() == [[0.0] * 4] * 3
    assert not torch.equal(after["context"][0], after["context"][1])


@pytest.mark.parametrize("change", [{"adapted": "head"}, {"adapted": "context", "context_size": 4}])
def test_everything_but_the_context_is_meta_learned(change: dict[str, Any]) -> None:
    learner = make_learner("maml-vpg", **change)
    before = {name: value.clone() for name, value in learner.policy.state_dict().items()}
    learner.update(learner.collect())
    after = learner.policy.state_dict()
    assert moved(before, after) == set(before) - {"context"}


@pytest.mark.parametrize("name", ["anil", "cavia", "meta-sgd"])
def test_the_meta_gradient_is_that_of_the_adapted_loss(name: str) -> None:
    """Central differences in random directions: with the log-likelihood as inner objective the
    adapted loss is a plain function of the meta-parameters, learned step sizes among them."""
    learner = make_learner(name, estimator="log-likelihood", inner_lr=0.3)
    experience = in_double(learner)
    problem, objective = learner.problem(experience), learner.objective
    assert isinstance(objective, LossObjective)
    meta = problem.gradient()
    theta, old = flat(problem.theta), meta.acting[0]
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        direction = torch.randn(len(theta), generator=generator, dtype=torch.float64)
        size = 1e-5
        losses = []
        for sign in (1, -1):
            proposal = problem.theta.proposed(theta + sign * size * direction)
            new = problem.distributions(proposal, experience)
            losses.append(objective.losses(new, old, experience).mean().item())
        slope = (losses[0] - losses[1]) / (2 * size)
        assert (meta.gradient @ direction).item() == pytest.approx(slope, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("name", ["anil", "cavia"])
def test_the_update_adapts_what_collection_did(name: str) -> None:
    learner = make_learner(name, inner_lr=0.3)
    experience = learner.collect()
    start = expand(parameters_of(learner.policy), 3)
    rule = SGD(0.3, {"anil": learner.policy.head_names(), "cavia": ["context"]}[name])
    by_hand = learner.objective.adapt(learner.policy, rule, start, experience.supports)
    expected = learner.policy.distribution(by_hand, experience.query.observations)
    problem = learner.problem(experience)
    (shown,) = problem.distributions(problem.theta, experience)
    for ours, theirs in zip(shown, expected, strict=True):
        assert_close(ours, theirs)


def test_meta_sgd_steps_by_its_own_sizes_and_learns_them() -> None:
    learner = make_learner("meta-sgd", inner_lr=0.2)
    with torch.no_grad():
        learner.learned["log_std"].copy_(torch.tensor([0.0, 0.7]))
    experience = learner.collect()
    start = expand(parameters_of(learner.policy), 3)
    problem = learner.problem(experience)
    (shown,) = problem.distributions(problem.theta, experience)
    sizes = {name: value.detach() for name, value in learner.learned.items()}
    by_hand, unit = (
        learner.objective.adapt(learner.policy, SGD(lr), start, experience.supports)
        for lr in (sizes, 1.0)
    )
    expected = start["log_std"] + torch.tensor([0.0, 0.7]) * (unit["log_std"] - start["log_std"])
    assert_close(by_hand["log_std"], expected)
    assert_close(shown[1], by_hand["log_std"][:, None])
    before = {name: value.detach().clone() for name, value in learner.learned.items()}
    learner.update(experience)
    assert moved(before, dict(learner.learned)) == set(before) == set(start)


def test_learned_step_sizes_halve_beyond_the_trained_steps() -> None:
    learner = make_learner("meta-sgd", inner_lr=0.2)
    first, second = (step_size(learner, k) for k in range(2))
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    for name, value in first.items():
        assert_close(second[name], value / 2)


def test_learned_step_sizes_are_part_of_the_state() -> None:
    learner, fresh = (make_learner("meta-sgd", seed=1) for _ in range(2))
    learner.update(learner.collect())
    buffer = io.BytesIO()
    torch.save(learner.state_dict(), buffer)
    buffer.seek(0)
    fresh.load_state_dict(torch.load(buffer, weights_only=True))
    for name, value in learner.learned.items():
        assert torch.equal(fresh.learned[name], value)
    assert fresh.update(fresh.collect()) == learner.update(learner.collect())


def test_reptiles_gradient_is_the_sum_of_what_the_steps_descended() -> None:
    """θ - θ'_m after three policy-gradient steps, the last on the query, by one task at a time."""
    learner = make_learner("reptile", num_inner_steps=2, inner_lr=0.3, task_chunk=2)
    experience = in_double(learner)
    total = 0
    for m in range(3):
        params = {n: v.detach()[None] for n, v in learner.policy.named_parameters()}
        first = params
        for batch in experience.batches:
            step = learner.objective.adapt(
                learner.policy, SGD(0.3), params, [batch.tasks(slice(m, m + 1))]
            )
            params = {name: value.detach() for name, value in step.items()}
        total = total + torch.cat([((first[n] - params[n]) / 0.3).reshape(-1) for n in first])
    meta = learner.problem(experience).gradient()
    assert_close(meta.gradient, total / 3)


@pytest.mark.parametrize(
    "change", [{"estimator": "lvc"}, {"sampling_credit": True}, {"adapted": "head"}]
)
def test_reptile_refuses_what_means_nothing_to_it(change: dict[str, Any]) -> None:
    (name,) = change
    with pytest.raises(ValidationError) as caught:
        ReptileConfig(**change)
    assert complaint(caught.value).startswith(f"{name} must be ")


def test_an_untrained_policy_stays_untrained() -> None:
    learner = make_learner("random-init")
    before = {name: value.clone() for name, value in learner.policy.state_dict().items()}
    metrics = learner.update(learner.collect())
    assert not moved(before, learner.policy.state_dict())
    assert metrics["meta/gradient_norm"] > 0


def test_controls_are_not_adapted_in_training() -> None:
    assert ControlConfig().num_inner_steps == 0
    with pytest.raises(ValidationError) as caught:
        ControlConfig(num_inner_steps=1)  # type: ignore[arg-type]
    assert complaint(caught.value).startswith("num_inner_steps must be 0, got 1")

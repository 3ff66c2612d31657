"""What adapts and what is meta-learned: ANIL, CAVIA, Meta-SGD, Reptile and the controls."""

import io
from typing import Any

import pytest
import torch
from rl_samples import in_double, make_learner
from torch.testing import assert_close

from metarl.core import inner_step
from metarl.rl import (
    MAMLVPG,
    ANILConfig,
    CAVIAConfig,
    MAMLTRPOConfig,
    MetaSGDConfig,
    OracleConfig,
    PretrainedConfig,
    RandomInit,
    RandomInitConfig,
    Reptile,
    ReptileConfig,
)
from metarl.rl.adaptation import STEP_SIZE
from metarl.rl.learner import MAMLLearner
from metarl.types import Params


def adapted(learner: MAMLLearner) -> tuple[Params, Params]:
    """Parameters of the three tasks before and after one step."""
    generator = torch.Generator().manual_seed(0)
    learner.sampler.draw_tasks(learner._rng, "train")
    _, after = learner.adapt(learner.sampler, learner.adaptation.lr(1), learner._rng, generator)
    return learner.adaptation.start(3), after


def moved(before: Params, after: Params) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_anil_adapts_the_head_alone() -> None:
    learner = make_learner(config=ANILConfig)
    assert moved(*adapted(learner)) == {"log_std", "mean.layers.1.weight", "mean.layers.1.bias"}


def test_cavia_adapts_its_context_alone_and_every_task_its_own() -> None:
    learner = make_learner(config=CAVIAConfig, context_size=4)
    before, after = adapted(learner)
    assert moved(before, after) == {"context"}
    assert before["context"].tolist() == [[0.0] * 4] * 3
    assert not torch.equal(after["context"][0], after["context"][1])


@pytest.mark.parametrize("change", [{"adapted": "head"}, {"adapted": "context", "context_size": 4}])
def test_everything_but_the_context_is_meta_learned(change: dict[str, Any]) -> None:
    learner = make_learner(MAMLVPG, **change)
    before = {name: value.clone() for name, value in learner.policy.state_dict().items()}
    learner.update(learner.collect())
    after = learner.policy.state_dict()
    assert moved(before, after) == set(before) - {"context"}


@pytest.mark.parametrize("config", [ANILConfig, CAVIAConfig, MetaSGDConfig])
def test_the_meta_gradient_is_that_of_the_adapted_loss(config: Any) -> None:
    """Central differences in random directions: with the log-likelihood as inner objective the
    adapted loss is a plain function of the meta-parameters, learned step sizes among them."""
    learner = make_learner(config=config, estimator="log-likelihood", inner_lr=0.3)
    experience = in_double(learner)
    meta = learner._meta_gradient([experience])
    theta = learner.adaptation.meta_parameters()
    old = meta.acting[0]
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        direction = {
            name: torch.randn(value.shape, generator=generator, dtype=torch.float64)
            for name, value in theta.items()
        }
        size = 1e-5
        losses = []
        for sign in (1, -1):
            proposal = {n: v.detach() + sign * size * direction[n] for n, v in theta.items()}
            new = learner._distributions(proposal, experience)
            losses.append(learner._outer_losses(new, old, experience).mean().item())
        slope = (losses[0] - losses[1]) / (2 * size)
        flat = torch.cat([direction[name].reshape(-1) for name in theta])
        assert (meta.gradient @ flat).item() == pytest.approx(slope, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("config", [ANILConfig, CAVIAConfig])
def test_the_update_adapts_what_collection_did(config: Any) -> None:
    learner = make_learner(config=config, inner_lr=0.3)
    experience = learner.collect()
    own = learner.adaptation
    by_hand = inner_step(
        learner.inner_loss, own.start(3), experience.supports[0], lr=0.3, mask=own.mask
    )
    expected = learner.policy.distribution(by_hand, experience.query.observations)
    (shown,) = learner._distributions(dict(own.meta_parameters()), experience)
    for ours, theirs in zip(shown, expected, strict=True):
        assert_close(ours, theirs)


def test_meta_sgd_steps_by_its_own_sizes_and_learns_them() -> None:
    learner = make_learner(config=MetaSGDConfig, inner_lr=0.2)
    own = learner.adaptation
    with torch.no_grad():
        own.step_sizes["log_std"].copy_(torch.tensor([0.0, 0.7]))
    experience = learner.collect()
    start = own.start(3)
    sizes = {name: value.detach() for name, value in own.step_sizes.items()}
    by_hand = inner_step(learner.inner_loss, start, experience.supports[0], lr=sizes)
    unit = inner_step(learner.inner_loss, start, experience.supports[0], lr=1.0)
    expected = start["log_std"] + torch.tensor([0.0, 0.7]) * (unit["log_std"] - start["log_std"])
    assert_close(by_hand["log_std"], expected)
    before = {name: value.detach().clone() for name, value in own.meta_parameters().items()}
    learner.update(experience)
    changed = moved(before, dict(own.meta_parameters()))
    assert {STEP_SIZE + name for name in sizes} <= changed


def test_learned_step_sizes_halve_beyond_the_trained_steps() -> None:
    learner = make_learner(config=MetaSGDConfig, inner_lr=0.2)
    first, second = learner.adaptation.lr(2)
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    for name, value in first.items():
        assert_close(second[name], value / 2)


def test_learned_step_sizes_are_part_of_the_state() -> None:
    learner, fresh = (make_learner(config=MetaSGDConfig, seed=1) for _ in range(2))
    learner.update(learner.collect())
    buffer = io.BytesIO()
    torch.save(learner.state_dict(), buffer)
    buffer.seek(0)
    fresh.load_state_dict(torch.load(buffer, weights_only=True))
    for name, value in learner.adaptation.step_sizes.items():
        assert torch.equal(fresh.adaptation.step_sizes[name], value)
    assert fresh.update(fresh.collect()) == learner.update(learner.collect())


def test_reptiles_gradient_is_the_sum_of_what_the_steps_descended() -> None:
    """θ - θ'_m after three policy-gradient steps, the last on the query, by one task at a time."""
    learner = make_learner(Reptile, num_inner_steps=2, inner_lr=0.3, task_chunk=2)
    experience = in_double(learner)
    total = 0
    for m in range(3):
        params = {n: v.detach()[None] for n, v in learner.policy.named_parameters()}
        first = params
        for batch in experience.batches:
            step = inner_step(learner.inner_loss, params, batch.tasks(slice(m, m + 1)), lr=0.3)
            params = {name: value.detach() for name, value in step.items()}
        total = total + torch.cat([((first[n] - params[n]) / 0.3).reshape(-1) for n in first])
    meta = learner._meta_gradient(learner._chunks(experience))
    assert_close(meta.gradient, total / 3)


@pytest.mark.parametrize(
    "change", [{"estimator": "lvc"}, {"sampling_credit": True}, {"adapted": "head"}]
)
def test_reptile_refuses_what_means_nothing_to_it(change: dict[str, Any]) -> None:
    (name,) = change
    with pytest.raises(ValueError, match=f"{name} of reptile is .*, got "):
        ReptileConfig(**change)


def test_an_untrained_policy_stays_untrained() -> None:
    learner = make_learner(RandomInit, config=RandomInitConfig)
    before = {name: value.clone() for name, value in learner.policy.state_dict().items()}
    metrics = learner.update(learner.collect())
    assert not moved(before, learner.policy.state_dict())
    assert metrics["meta/gradient_norm"] > 0


@pytest.mark.parametrize("config", [PretrainedConfig, OracleConfig])
def test_controls_are_not_adapted_in_training(config: Any) -> None:
    assert config().num_inner_steps == 0
    with pytest.raises(ValueError, match="num_inner_steps must be 0 for this learner, got 1"):
        config(num_inner_steps=1)


@pytest.mark.parametrize(
    "change",
    [{"adapted": "context"}, {"context_size": 3}, {"adapted": "context", "context_size": -1}],
)
def test_a_context_needs_a_size_and_nothing_else_has_one(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="context_size must be above 0 where adapted is context"):
        MAMLTRPOConfig(**change)


def test_step_sizes_are_not_learned_from_no_steps() -> None:
    with pytest.raises(ValueError, match="learned_lr needs num_inner_steps of at least 1"):
        MetaSGDConfig(num_inner_steps=0)

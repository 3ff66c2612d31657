"""State of every few-shot learner: what resumes, what is skipped, what evaluation leaves alone."""

import copy
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from small_learners import CONV4, SHAPE, WAYS, make_small
from torch import Tensor

from metarl.fewshot import Episodes
from metarl.fewshot.classifier import Classifier, load_classifier
from metarl.fewshot.episodic_learner import FewShotLearner
from metarl.fewshot.presets import PRESETS

TRAINED = sorted(PRESETS)
every_learner = pytest.mark.parametrize("name", [*TRAINED, "knn on pixels"])
every_trained_learner = pytest.mark.parametrize("name", TRAINED)


def make(name: str, **settings: Any) -> FewShotLearner:
    if name == "knn on pixels":
        return make_small("knn", features="pixels", **settings)
    return make_small(name, **settings)


def train(learner: FewShotLearner, num_updates: int) -> list[dict[str, float]]:
    return [learner.update(learner.collect()) for _ in range(num_updates)]


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Where two states are not the same, bit for bit."""
    if isinstance(one, Mapping):
        if list(one) != list(other):
            return [path]
        return [p for key in one for p in differences(one[key], other[key], f"{path}/{key}")]
    if isinstance(one, list | tuple):
        if len(one) != len(other):
            return [path]
        pairs = enumerate(zip(one, other, strict=True))
        return [p for i, (a, b) in pairs for p in differences(a, b, f"{path}/{i}")]
    same = torch.equal(one, other) if isinstance(one, Tensor) else one == other
    return [] if same else [path]


@every_learner
def test_a_saved_state_goes_on_bit_for_bit(name: str) -> None:
    """The learner that goes on was made from another seed, so that all it has is the state.

    Augmentation is drawn, too.
    """
    whole, first, second = (make(name, seed=s, augmentation="flip-crop") for s in (0, 0, 1))
    expected = train(whole, 4)
    metrics = train(first, 2)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
    assert metrics + train(second, 2) == expected
    assert differences(second.state_dict(), whole.state_dict()) == []
    assert whole.state_dict()["iteration"] == 4


@every_trained_learner
def test_training_changes_the_state(name: str) -> None:
    """Otherwise the test above would say nothing."""
    learner = make(name)
    before = copy.deepcopy(learner.state_dict())
    train(learner, 1)
    changed = {path.split("/")[1] for path in differences(learner.state_dict(), before)}
    assert changed >= {"network", "iteration"}


def spoiled(batch: Episodes) -> Episodes:
    """The same episodes with an infinite pixel in every query image."""
    query_x = batch.query_x.float() / 255
    query_x[..., 0, 0] = torch.inf
    return batch._replace(query_x=query_x)


@every_trained_learner
def test_a_gradient_that_is_not_finite_changes_nothing(name: str) -> None:
    """Neither parameters nor step sizes, nor moments of the optimiser, nor running statistics."""
    learner = make(name)
    train(learner, 1)
    batches = [spoiled(batch) for batch in learner.collect()]
    before = copy.deepcopy(learner.state_dict())
    assert learner.update(batches)["meta/skipped"] == 1
    after = learner.state_dict()
    # the next update has the next step size
    kept = {key for key in before if key not in ("iteration", "optimiser")}
    for key in kept:
        assert differences(after[key], before[key]) == []
    assert differences(after["optimiser"]["state"], before["optimiser"]["state"]) == []
    (metrics,) = train(learner, 1)
    assert metrics["meta/skipped"] == 0
    assert all(map(math.isfinite, metrics.values()))


@every_learner
def test_evaluation_changes_nothing(name: str) -> None:
    learner, other = make(name), make(name)
    train(learner, 1)
    before = copy.deepcopy(learner.state_dict())
    metrics = learner.evaluate()
    assert differences(learner.state_dict(), before) == []
    assert learner.evaluate() == metrics
    train(other, 1)
    assert train(learner, 1) == train(other, 1)


@pytest.mark.parametrize("norm", ["transductive", "inductive"])
@every_learner
def test_a_saved_classifier_predicts_the_same(name: str, norm: str, tmp_path: Path) -> None:
    """A learner fitted to one support set, in a file of tensors and plain data."""
    learner = make(name, norm=norm)
    train(learner, 1)
    (batch,) = learner.samplers.train.sample(1, torch.Generator().manual_seed(0))
    learner.network.eval()
    with torch.no_grad():
        support = learner.prepared(batch).support_x
        fitted = learner.fit(support, batch.support_y, WAYS, learner.num_steps)[-1]
    kept = Classifier(learner, fitted, ["ant", "bee", "cat"], SHAPE, CONV4)
    kept.save(tmp_path / "classifier.pt")
    loaded = load_classifier(tmp_path / "classifier.pt")
    images = batch.query_x[0]
    assert torch.equal(loaded.probabilities(images), kept.probabilities(images))
    assert loaded.predict(images) == kept.predict(images)
    assert set(kept.predict(images)) <= {"ant", "bee", "cat"}
    probabilities = kept.probabilities(images)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(len(images)))


def test_the_step_size_falls_as_a_cosine() -> None:
    """To 0 at the 10 iterations that the learner was made for."""
    learner = make_small("protonet", lr=0.5)
    sizes = [metrics["meta/lr"] for metrics in train(learner, 12)]
    expected = [0.25 * (1 + math.cos(math.pi * i / 10)) for i in range(10)]
    assert sizes == pytest.approx([*expected, 0.0, 0.0])
    assert sizes[:1] + sizes[5:6] == pytest.approx([0.5, 0.25])


def test_the_step_size_stays_without_decay() -> None:
    learner = make_small("protonet", lr=0.5, lr_decay="none")
    assert [metrics["meta/lr"] for metrics in train(learner, 3)] == [0.5] * 3


@every_trained_learner
def test_bf16_trains_and_keeps_its_parameters_in_full(name: str) -> None:
    learner, full = make(name, precision="bf16"), make(name)
    batches = learner.collect()
    metrics, expected = learner.update(batches), full.update(batches)
    assert metrics["meta/skipped"] == 0
    assert all(map(math.isfinite, (*metrics.values(), *learner.evaluate().values())))
    assert metrics["meta/loss"] != expected["meta/loss"]
    assert metrics["meta/loss"] == pytest.approx(expected["meta/loss"], rel=0.2)
    assert {value.dtype for value in learner.parameters()} == {torch.float32}

"""Few-shot learners whose meta-batch several processes share: as though it were one.

Gradients are compared by the largest difference, as a share of the largest number of them. After
steps of Adam the parameters are compared in double precision: it divides gradients by their size,
also those that are nothing but rounding, such as that of the row that all classes start from.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from forked import on_ranks
from numpy.typing import NDArray
from torch import Tensor, nn

from metarl.core.collectives import ranks
from metarl.fewshot import Episodes
from metarl.fewshot.configs import BackboneConfig
from metarl.fewshot.episodic_learner import FewShotLearner
from metarl.fewshot.presets import PRESETS
from metarl.files import NonFiniteError
from metarl.types import Metrics
from tests.fewshot.small_learners import CONV4, MLP, make_small

POOLED: dict[str, Any] = {"task_chunk": 0}
"""Statistics of batch normalisation over the meta-batch; without, of each episode."""
BLOCKS: dict[str, Any] = {"num_validation": 70}
"""Three of validation episodes."""
RESNET = BackboneConfig(backbone="resnet12")
Numbers = NDArray[np.float64]


class Trained(NamedTuple):
    """What came of three iterations; tensors do not go from one process to another."""

    gradient: Numbers
    """Of the first."""
    parameters: Numbers
    """After the last."""
    buffers: Numbers
    metrics: list[Metrics]
    evaluation: Metrics


def make(name: str, dtype: torch.dtype, settings: dict[str, Any]) -> FewShotLearner:
    """A learner of five episodes a meta-batch, augmented each in its own way."""
    options = {"meta_batch_size": 5, "augmentation": "affine", **settings}
    num_validation = options.pop("num_validation", 3)
    learner = make_small(name, options.pop("backbone", CONV4), **options)
    for value in (*learner.parameters(), *learner.network.parameters(), *learner.network.buffers()):
        value.data = value.data.to(dtype)
    prepare = learner.inputs
    learner.inputs = lambda x: prepare(x).to(dtype)  # type: ignore[method-assign]
    learner.samplers = learner.samplers._replace(num_validation=num_validation)
    return learner


def trained(name: str, dtype: torch.dtype, settings: dict[str, Any], drift: float = 0.0) -> Trained:
    """Three iterations, by this process's part of every meta-batch.

    Args:
        name: of the learner.
        dtype: of everything.
        settings: of it.
        drift: of a parameter of the second process before the last iteration.
    """
    learner = make(name, dtype, settings)
    metrics, gradient = [], np.empty(0)
    for iteration in range(3):
        if drift and iteration == 2 and ranks().rank == 1:
            next(iter(learner.parameters())).data += drift
        metrics.append(learner.update(learner.collect()))
        if iteration == 0:
            gradient = flat(p.grad for p in learner.parameters() if p.grad is not None)
    states = (flat(values) for values in (learner.parameters(), learner.network.buffers()))
    return Trained(gradient, *states, metrics, learner.evaluate())


def flat(tensors: Iterable[Tensor]) -> Numbers:
    numbers: Numbers = np.concatenate(
        [np.empty(0), *(x.detach().double().flatten().numpy() for x in tensors)]
    )
    return numbers


def on_all(size: int, name: str, dtype: torch.dtype, settings: dict[str, Any]) -> Trained:
    """What all processes come to, bit for bit."""
    first, *others = on_ranks(size, trained, name, dtype, settings)
    for each in others:
        assert_alike(each, first)
    assert isinstance(first, Trained)
    return first


def assert_alike(one: Trained, other: Trained) -> None:
    for ours, theirs in zip(one[:3], other[:3], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert one[3:] == other[3:]


def difference(ours: Numbers, expected: Numbers) -> float:
    assert len(ours) == len(expected) > 50
    return float(np.abs(ours - expected).max() / np.abs(expected).max())


def assert_same_training(name: str, sizes: tuple[int, ...], **settings: Any) -> None:
    expected = trained(name, torch.double, settings)
    for size in sizes:
        ours = on_all(size, name, torch.double, settings)
        assert difference(ours.gradient, expected.gradient) < 1e-12
        np.testing.assert_allclose(ours.parameters, expected.parameters, atol=1e-5)
        np.testing.assert_allclose(ours.buffers, expected.buffers, atol=1e-5)
        for told, alone in zip(ours.metrics, expected.metrics, strict=True):
            assert told == pytest.approx(alone, rel=1e-5)
        assert ours.evaluation == pytest.approx(expected.evaluation, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("maml", {"meta_batch_size": 3}), ("protonet", {}), ("protonet", POOLED | BLOCKS)],
)
def test_two_processes_train_as_one(name: str, settings: dict[str, Any]) -> None:
    assert_same_training(name, (2,), **settings)


def test_a_process_that_drifts_is_seen() -> None:
    """By a rounding error of single precision: the sums are the same, what they move is not."""
    alike = {"backbone": MLP, "lr": 0.1}
    first, second = on_ranks(2, trained, "maml", torch.double, alike, 1e-7)
    assert first.metrics[:2] == second.metrics[:2]
    with pytest.raises(AssertionError):
        assert_alike(first, second)


def skipping(name: str, settings: dict[str, Any]) -> tuple[list[float], bool, bool]:
    """Updates of which the first has an infinite pixel in the last process's part."""
    learner = make(name, torch.double, {**settings, "augmentation": "none"})
    rank, size = ranks()
    before = flat([*learner.parameters(), *learner.network.buffers()])
    batches = [spoiled(b) if rank == size - 1 else b for b in learner.collect()]
    skipped = [learner.update(batches)["meta/skipped"]]
    kept = np.array_equal(flat([*learner.parameters(), *learner.network.buffers()]), before)
    skipped.append(learner.update(learner.collect())["meta/skipped"])
    after = flat([*learner.parameters(), *learner.network.buffers()])
    return skipped, kept, bool(np.isfinite(after).all())


def spoiled(batch: Episodes) -> Episodes:
    query_x = batch.query_x.double() / 255
    query_x[-1, 0, ..., 0] = torch.inf
    return batch._replace(query_x=query_x)


@pytest.mark.parametrize("settings", [POOLED, {}])
def test_all_skip_what_is_not_finite_in_one(settings: dict[str, Any]) -> None:
    assert on_ranks(2, skipping, "protonet", settings) == [([1.0, 0.0], True, True)] * 2


def refused(settings: dict[str, Any], name: str = "protonet") -> str:
    with pytest.raises(ValueError, match="processes") as error:
        make(name, torch.float32, settings)
    return str(error.value)


def refusals() -> list[str]:
    batch_norm = nn.Sequential(nn.Flatten(), nn.Linear(256, 4), nn.BatchNorm1d(4))
    own = {"backbone": BackboneConfig(backbone="own"), "own": batch_norm}
    return [
        refused({"meta_batch_size": 1}, "maml"),
        refused({"meta_batch_size": 4, "task_chunk": 4}),
        refused({"task_chunk": 1, **own}),
    ]


def test_what_cannot_be_shared_is_said_in_one_line() -> None:
    expected = [
        "meta_batch_size must be at least 2, so that each of the 2 processes has a part, got 1",
        "meta_batch_size must be at least 5 with task_chunk 4, so that each of the 2 processes has "
        "a part, got 4",
        "BatchNorm1d of the backbone has the statistics of one of the 2 processes: take "
        "nn.GroupNorm, conv4, resnet12 or one process",
    ]
    assert on_ranks(2, refusals) == [expected] * 2


def diverged() -> tuple[str, float]:
    """An evaluation whose second block is not finite; and pixels, of which nothing is shared."""
    learner = make("protonet", torch.float32, BLOCKS)
    sampler = learner.samplers.validation
    blocks = iter([False, True] if ranks().rank == 0 else [False])

    class Spoiling:
        def sample(self, num: int, generator: torch.Generator) -> list[Episodes]:
            drawn = sampler.sample(num, generator)
            return [spoiled(each) for each in drawn] if next(blocks) else drawn

    learner.samplers = learner.samplers._replace(validation=Spoiling())
    with pytest.raises(NonFiniteError) as error:
        learner.evaluate()
    pixels = make_small("knn", meta_batch_size=1, features="pixels")
    return str(error.value), pixels.update(pixels.collect())["meta/skipped"]


def test_all_stop_at_a_score_that_is_not_finite_in_one() -> None:
    (first, skipped), second = on_ranks(2, diverged)
    assert (first, skipped) == second
    assert skipped == 0


@pytest.mark.slow  # 2 and 4 processes for each learner, half a minute each
@pytest.mark.parametrize("name", [name for name in PRESETS if name != "knn"] + ["knn"])
def test_every_learner_trains_alike_whatever_the_number_of_processes(name: str) -> None:
    for settings in (POOLED, {}, {"backbone": MLP}):
        assert_same_training(name, (2, 4), **settings)


@pytest.mark.slow  # two minutes
def test_parts_may_be_unlike_and_pooled_batches_smaller_than_they_are() -> None:
    """Chunks of two episodes go to two processes as 2 + 2 and 1."""
    assert_same_training("protonet", (2, 3), task_chunk=2)
    assert_same_training("protonet", (2,), backbone=RESNET, meta_batch_size=2, **POOLED)
    assert_same_training("matching", (2,), backbone=replace(CONV4, downsample="stride"), **POOLED)


@pytest.mark.slow  # a minute
@pytest.mark.parametrize("size", [2, 4])
def test_gradients_in_single_precision(size: int) -> None:
    """Where statistics are pooled, one process's gradient is itself as wrong as 4e-6 here."""
    for name, settings, precision in (
        ("maml", {}, 1e-6),
        ("protonet", {}, 1e-6),
        ("protonet", POOLED, 2e-5),
    ):
        expected = trained(name, torch.float32, settings)
        ours = on_all(size, name, torch.float32, settings)
        assert difference(ours.gradient, expected.gradient) < precision

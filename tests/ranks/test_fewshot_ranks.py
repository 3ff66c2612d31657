"""Few-shot learners whose meta-batch several processes share: as though it were one.

The tolerances are those of sums in another order, of the largest number of a gradient.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from fewshot.small_learners import CONV4, MLP, make_small
from forked import on_ranks
from numpy.typing import NDArray
from torch import Tensor

from metarl.core.collectives import ranks
from metarl.fewshot.configs import PRESETS
from metarl.fewshot.episodic_learner import FewShotLearner
from metarl.types import Metrics

NAMES = [name for name in PRESETS if name != "knn"] + ["knn"]
POOLED: dict[str, Any] = {"task_chunk": 0}
"""Statistics of batch normalisation over the meta-batch; without, of each episode."""


Numbers = NDArray[np.float64]


class Trained(NamedTuple):
    """What came of three iterations."""

    gradient: Numbers
    """Of the first."""
    parameters: Numbers
    """After the last."""
    buffers: Numbers
    metrics: list[Metrics]
    evaluation: Metrics


def trained(name: str, dtype: torch.dtype, settings: dict[str, Any], drift: float = 0.0) -> Trained:
    """Three iterations, by this process's part of every meta-batch.

    Args:
        name: of the learner.
        dtype: of everything.
        settings: of it.
        drift: added to a parameter of the second process before the last iteration.
    """
    learner = make(name, dtype, settings)
    metrics, gradient = [], np.empty(0)
    for iteration in range(3):
        if drift and iteration == 2 and ranks().rank == 1:
            next(iter(learner.parameters())).data += drift
        metrics.append(learner.update(learner.collect()))
        if iteration == 0:
            gradient = flat(p.grad for p in learner.parameters() if p.grad is not None)
    return Trained(
        gradient,
        flat(learner.parameters()),
        flat(learner.network.buffers()),
        metrics,
        learner.evaluate(),
    )


def make(name: str, dtype: torch.dtype, settings: dict[str, Any]) -> FewShotLearner:
    """A learner of five episodes a meta-batch, augmented each in its own way."""
    options = {"meta_batch_size": 5, "augmentation": "affine", **settings}
    learner = make_small(name, options.pop("backbone", CONV4), **options)
    learner.network.to(dtype)
    for value in (
        *getattr(learner, "step_sizes", {}).values(),
        *getattr(learner, "head", {}).values(),
    ):
        value.data = value.data.to(dtype)
    prepare = learner.inputs
    learner.inputs = lambda x: prepare(x).to(dtype)  # type: ignore[method-assign]
    return learner


def flat(tensors: Iterable[Tensor]) -> Numbers:
    return torch.cat([torch.empty(0), *(x.detach().flatten() for x in tensors)]).double().numpy()


def assert_same_training(
    name: str, sizes: tuple[int, ...], dtype: torch.dtype, **settings: Any
) -> None:
    expected = trained(name, dtype, settings)
    for size in sizes:
        every = on_ranks(size, trained, name, dtype, settings)
        for each in every:
            assert each[3:] == every[0][3:]
            for ours, first in zip(each[:3], every[0][:3], strict=True):
                np.testing.assert_array_equal(ours, first)
        precision = 1e-12 if dtype is torch.double else 1e-6
        assert difference(every[0].gradient, expected.gradient) < precision
        for ours, others in zip(every[0][1:3], expected[1:3], strict=True):
            np.testing.assert_allclose(ours, others, rtol=1e-5, atol=1e-5)
        for told, alone in zip(every[0].metrics, expected.metrics, strict=True):
            assert told == pytest.approx(alone, rel=1e-5)
        assert every[0].evaluation == pytest.approx(expected.evaluation, abs=0.05)


def difference(ours: Numbers, expected: Numbers) -> float:
    """Largest, as a share of the largest number that is expected."""
    assert len(ours) == len(expected) > 50
    return float(abs(ours - expected).max() / abs(expected).max())


@pytest.mark.parametrize(("name", "settings"), [("maml", {}), ("protonet", POOLED)])
def test_two_processes_train_as_one(name: str, settings: dict[str, Any]) -> None:
    assert_same_training(name, (2,), torch.double, **settings)


@pytest.mark.slow  # 2 and 4 processes for each learner
@pytest.mark.parametrize("dtype", [torch.float32, torch.double])
@pytest.mark.parametrize("name", NAMES)
def test_every_learner_trains_alike_whatever_the_number_of_processes(
    name: str, dtype: torch.dtype
) -> None:
    for settings in (POOLED, {}, {"backbone": MLP}):
        assert_same_training(name, (2, 4), dtype, **settings)

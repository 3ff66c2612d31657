"""Few-shot learners of every kind are well above neighbours of raw pixels after half a minute."""

from pathlib import Path
from typing import Any

import pytest

import metarl

COMMON: dict[str, Any] = {"data": "glyphs", "filters": 32, "eval_tasks": 0, "eval_every": 500}
METRIC: dict[str, Any] = {"train_ways": 40, "train_queries": 5}
GRADIENT: dict[str, Any] = {"lr": 0.003, "train_queries": 5, "downsample": "stride"}


def accuracy(learner: str, iterations: int, output: Path, **options: Any) -> float:
    """Of 5-way one-shot episodes of test scripts."""
    run = metarl.train_fewshot(learner, iterations=iterations, output=output, **COMMON | options)
    return float(run.evaluate(tasks=200).mean[-1])


@pytest.mark.learning
@pytest.mark.parametrize(
    ("learner", "iterations", "options"),
    [("maml++", 200, GRADIENT), ("protonet", 150, METRIC), ("r2d2", 150, METRIC)],
)
def test_features_are_learned(
    learner: str, iterations: int, options: dict[str, Any], tmp_path: Path
) -> None:
    """The controls are neighbours of pixels, 45 %, and the same network before training."""
    control = accuracy("knn", 1, tmp_path)
    untrained = accuracy(learner, 1, tmp_path, **options | {"lr": 0.0})
    trained = accuracy(learner, iterations, tmp_path, **options)
    assert trained > max(control, untrained) + 0.25

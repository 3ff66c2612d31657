"""Few-shot learners of every kind are well above neighbours of raw pixels after half a minute."""

from pathlib import Path
from typing import Any

import pytest

import metarl

NETWORK: dict[str, Any] = {"data": "glyphs", "filters": 16, "downsample": "stride"}
EPISODES: dict[str, Any] = {"train_queries": 5, "eval_tasks": 0, "eval_every": 500}


def accuracy(learner: str, iterations: int, output: Path, **options: Any) -> float:
    """Of 20-way one-shot episodes of test scripts."""
    run = metarl.train_fewshot(learner, iterations=iterations, output=output, **NETWORK, **options)
    return float(run.evaluate(tasks=100, num_ways=20, num_shots=1).mean[-1])


@pytest.mark.learning
@pytest.mark.parametrize(
    ("learner", "iterations", "options"),
    [
        ("maml++", 100, {"num_ways": 20, "lr": 0.003}),
        ("protonet", 300, {"train_ways": 40}),
        ("r2d2", 300, {"train_ways": 40}),
    ],
)
def test_features_are_learned(
    learner: str, iterations: int, options: dict[str, Any], tmp_path: Path
) -> None:
    """The controls are neighbours of pixels, 26 %, and the same network before training."""
    control = accuracy("knn", 1, tmp_path, eval_tasks=0)
    untrained = accuracy(learner, 1, tmp_path, **EPISODES | options | {"lr": 0.0})
    trained = accuracy(learner, iterations, tmp_path, **EPISODES | options)
    assert trained > max(control, untrained) + 0.15

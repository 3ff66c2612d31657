"""What the HParams tab sorts by means what the same tag means in training."""

import numpy as np
import pytest

from metarl.report.curves import adaptation_curve
from metarl.runs.evaluate import final_scores
from metarl.types import Metrics

CURVE = adaptation_curve(np.array([[-40.0, -42.0], [-14.0, -16.0], [-9.0, -11.0]]), seed=0)


@pytest.mark.parametrize(
    ("measure", "num_steps", "scores"),
    [
        ("returns", 1, {"eval/return_pre": -41.0, "eval/return_post": -15.0}),
        ("returns", 5, {"eval/return_pre": -41.0, "eval/return_post": -10.0}),
        ("accuracy", 2, {"eval/score_pre": -41.0, "eval/score": -10.0}),
    ],
)
def test_scores_are_those_after_as_many_steps_as_in_training(
    measure: str, num_steps: int, scores: Metrics
) -> None:
    assert final_scores(CURVE, measure, num_steps) == scores


def test_learners_without_steps_have_one_score() -> None:
    curve = adaptation_curve(np.array([[0.5, 0.7]]), seed=0)
    assert final_scores(curve, "accuracy", 0) == {"eval/score": pytest.approx(0.6)}

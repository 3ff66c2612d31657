"""What rliable computes, too, comes out the same; its runs are our seeds."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from rliable import library, metrics

from metarl.report.comparison import aggregate, improvement, performance_profile

pytestmark = pytest.mark.slow  # pandas, seaborn and statsmodels, which it imports, take seconds


@pytest.mark.parametrize("shape", [(1, 8), (3, 40), (5, 7)])
def test_points_are_those_of_rliable(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    scores, others = rng.standard_normal(shape), rng.standard_normal((4, shape[1])) + 0.3
    found = aggregate(scores)
    assert_allclose(found.mean, metrics.aggregate_mean(scores))
    assert_allclose(found.iqm, metrics.aggregate_iqm(scores))
    better = improvement(scores, others)
    assert_allclose(better.probability, metrics.probability_of_improvement(scores, others))
    thresholds = np.linspace(-2, 2, 9)
    shares, _ = performance_profile(scores, thresholds)
    theirs = [library.run_score_deviation(scores, threshold) for threshold in thresholds]
    assert_allclose(shares, theirs)

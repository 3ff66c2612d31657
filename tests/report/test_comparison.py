"""Statistics of several runs against numbers by hand and by simulation."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from metarl.report import crossed_interval
from metarl.report.comparison import (
    aggregate,
    crossed_bootstrap,
    improvement,
    interquartile_mean,
    performance_profile,
)


def scores_of(num_seeds: int, num_tasks: int, seed: int = 0) -> Any:
    """Parts of seeds, of tasks, and of what only the pair has."""
    rng = np.random.default_rng(seed)
    by_seed, by_task = rng.standard_normal((num_seeds, 1)), rng.standard_normal(num_tasks)
    return by_seed + by_task + 0.5 * rng.standard_normal((num_seeds, num_tasks))


def test_the_bootstrap_of_the_mean_is_the_crossed_interval() -> None:
    """They differ by the noise of 2,000 resamples, about 3 % of a variance."""
    scores = scores_of(4, 30)
    ((low, high),) = crossed_bootstrap(lambda x: x.mean((-2, -1))[..., None], scores)
    assert_allclose(high - low, np.diff(crossed_interval(scores))[0], rtol=0.06)
    assert aggregate(scores).mean_ci95 == crossed_interval(scores)


def test_of_one_seed_the_interval_is_over_tasks() -> None:
    """The t of 19 degrees of freedom, 2.093024, times the standard error."""
    scores = scores_of(1, 20)
    found = aggregate(scores)
    half = 2.093024 * scores.std(ddof=1) / np.sqrt(20)
    assert_allclose(found.mean_ci95, (found.mean - half, found.mean + half), rtol=1e-6)
    assert found.iqm_ci95[0] < found.iqm < found.iqm_ci95[1]


@pytest.mark.slow  # 3 s each
@pytest.mark.parametrize("seeds_differ", [0.0, 1.0])
def test_intervals_of_the_iqm_cover_it(seeds_differ: float, monkeypatch: Any) -> None:
    """Of 300 draws of three seeds 92 to 98 %; as one sample of all scores, far fewer.

    Scores are normal around 0, where the interquartile mean is, too.
    """
    monkeypatch.setattr("metarl.report.comparison.RESAMPLES", 200)
    rng, covered, pooled = np.random.default_rng(5), 0, 0
    for _ in range(300):
        seeds = seeds_differ * rng.standard_normal((3, 1))
        scores = seeds + rng.standard_normal(20) + 0.5 * rng.standard_normal((3, 20))
        low, high = aggregate(scores, seed=int(rng.integers(99))).iqm_ci95
        covered += low <= 0 <= high
        pooled += abs(scores.mean()) <= 1.96 * scores.std(ddof=1) / np.sqrt(scores.size)
    assert 0.92 <= covered / 300 <= 0.985
    assert pooled / 300 < 0.82


def test_improvement_of_two_by_two() -> None:
    """Golden: on task 0 seeds 1 and 3 against 2 win once of two, on task 1 5 and 2 against 2 once
    and a half: (1 / 2 + 3 / 4) / 2. Differences are -1, 1, 3 and 0, mean 3 / 4.
    """
    found = improvement(np.array([[1.0, 5], [3, 2]]), np.array([[2.0, 2]]))
    assert found.probability == 0.625
    assert found.difference == 0.75
    assert found.probability_ci95 == (0.0, 1.0)


def test_improvement_is_antisymmetric() -> None:
    one, other = scores_of(3, 10), scores_of(2, 10, 1)
    there, back = improvement(one, other), improvement(other, one)
    assert_allclose(there.probability, 1 - back.probability)
    assert_allclose(there.difference_ci95, [-end for end in reversed(back.difference_ci95)])


def test_differences_are_task_by_task() -> None:
    """Tasks that are harder for both make no doubt: 1 more on each, whatever they are."""
    scores = 100.0 * np.arange(8.0)[None]
    assert improvement(scores + 1, scores).difference_ci95 == (1.0, 1.0)


@pytest.mark.slow  # 2 s
def test_intervals_of_differences_cover_them() -> None:
    """95 % or more: of 1,000 draws of three seeds each, none less than 93 %."""
    rng, covered = np.random.default_rng(0), 0
    for _ in range(1000):
        tasks = rng.standard_normal(20)
        one, other = (
            rng.standard_normal((3, 1)) + tasks + 0.5 * rng.standard_normal((3, 20))
            for _ in range(2)
        )
        low, high = improvement(one, other).difference_ci95
        covered += low <= 0 <= high
    assert covered >= 930


def test_a_profile_falls_from_one_to_none() -> None:
    scores = scores_of(3, 10)
    ends = np.array([scores.min() - 1, np.median(scores), scores.max()])
    shares, intervals = performance_profile(scores, ends)
    assert_allclose(shares, [1, 0.5, 0])
    assert_array_equal(intervals[[0, 2]], [[1, 1], [0, 0]])
    assert intervals[1, 0] < 0.5 < intervals[1, 1]


def test_an_interquartile_mean_of_all_scores() -> None:
    """Of 0 to 7 in two rows: 2, 3, 4 and 5."""
    assert_allclose(interquartile_mean(np.arange(8.0).reshape(2, 4)), [3.5])


@pytest.mark.parametrize("shape", [(3,), (0, 4), (3, 1)])
def test_other_shapes_of_scores_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"need \[num_seeds, num_tasks >= 2\] scores, got \("):
        aggregate(np.zeros(shape))


def test_scores_are_finite_and_of_the_same_tasks() -> None:
    with pytest.raises(ValueError, match="finite"):
        aggregate(np.array([[0.0, np.nan]]))
    with pytest.raises(ValueError, match="need the same tasks, got 3 and 4"):
        improvement(np.zeros((1, 3)), np.zeros((1, 4)))

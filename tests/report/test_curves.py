"""Adaptation curves against numbers computed by hand."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from metarl.report import adaptation_curve, crossed_interval


def normal(num_tasks: int) -> Any:
    return np.random.default_rng(0).normal(3.0, 1.0, (2, num_tasks))


def test_mean_and_interquartile_mean() -> None:
    """Golden, 8 tasks: the IQM drops 2 at either end.

    1 2 3 4 5 6 19 100 has mean 17.5 and IQM (3 + 4 + 5 + 6) / 4 = 4.5, where six of them would have
    6.5; of ten times as much, ten times as much. Order does not matter.
    """
    row = np.array([100.0, 4, 1, 3, 2, 19, 6, 5])
    curve = adaptation_curve(np.stack([row, 10 * row[::-1]]), seed=0)
    assert_allclose(curve.mean, [17.5, 175.0])
    assert_allclose(curve.iqm, [4.5, 45.0])
    assert_array_equal(curve.values[0], row)
    assert curve.num_steps == 1


@pytest.mark.parametrize(("point", "interval"), [("mean", "ci95"), ("iqm", "iqm_ci95")])
def test_intervals_hold_their_point_and_shrink_with_more_tasks(point: str, interval: str) -> None:
    """Four times the tasks: about half the width, here 16 times and a quarter."""
    widths = []
    for num_tasks in (20, 320):
        curve = adaptation_curve(normal(num_tasks), seed=0)
        low, high = getattr(curve, interval).T
        assert (low < getattr(curve, point)).all()
        assert (getattr(curve, point) < high).all()
        widths.append(high - low)
    assert_allclose(widths[1] / widths[0], 0.25, atol=0.12)


def test_the_interval_of_the_mean_is_the_normal_one() -> None:
    """Of many tasks: ± 1.96 standard errors, here 1 / sqrt(400)."""
    curve = adaptation_curve(normal(400), seed=0)
    half = (curve.ci95[:, 1] - curve.ci95[:, 0]) / 2
    assert_allclose(half, 1.96 * normal(400).std(1) / 20, rtol=0.1)


def test_equal_tasks_leave_no_doubt() -> None:
    curve = adaptation_curve(np.full((3, 5), 2.5), seed=0)
    assert_array_equal(curve.ci95, np.full((3, 2), 2.5))


def test_the_seed_decides() -> None:
    first, same, other = (adaptation_curve(normal(15), seed=seed) for seed in (1, 1, 2))
    assert_array_equal(first.ci95, same.ci95)
    assert_array_equal(first.iqm_ci95, same.iqm_ci95)
    assert (first.ci95 != other.ci95).any()


def test_the_global_generator_is_left_alone() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002  # its state
    adaptation_curve(normal(15), seed=1)
    assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002  # must not move


@pytest.mark.parametrize("shape", [(3, 1), (5,), (2, 3, 4)])
def test_other_shapes_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"need \[K \+ 1, num_tasks >= 2\] figures, got \("):
        adaptation_curve(np.zeros(shape), seed=0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_figures_are_an_error(bad: float) -> None:
    with pytest.raises(ValueError, match="non-finite returns; a smaller inner_lr may help"):
        adaptation_curve(np.array([[1.0, 2.0], [3.0, bad]]), seed=0)


def test_the_interval_of_two_crossed_seeds_and_tasks() -> None:
    """Golden. [[0, 2], [2, 8]]: means of seeds 1 and 5, of tasks 1 and 5, of all 3.

    The variance of either means is 8, over their number 4. What is left of each figure is 1 or -1,
    4 in squares over one degree of freedom, and 4 / 4 of that is in the seeds': 3 + 4 with the t of
    one degree of freedom, 12.706205.
    """
    low, high = crossed_interval(np.array([[0.0, 2], [2, 8]]))
    assert_allclose((low, high), 3 + np.array([-1, 1]) * 12.706205 * np.sqrt(7), rtol=1e-6)


def test_seeds_and_tasks_have_the_t_of_their_own_number() -> None:
    """Figures that are a seed's part plus a task's: variances 1 / 3 of seeds, (5 / 3) / 4 of tasks.

    t is 4.302653 of two degrees of freedom and 3.182446 of three.
    """
    low, high = crossed_interval(np.arange(3.0)[:, None] + np.arange(4.0))
    half = np.sqrt(4.302653**2 / 3 + 3.182446**2 * 5 / 12)
    assert_allclose((low, high), (2.5 - half, 2.5 + half), rtol=1e-6)


def test_without_any_spread_the_interval_is_the_mean() -> None:
    assert crossed_interval(np.full((3, 4), 2.0)) == (2.0, 2.0)


@pytest.mark.parametrize("values", [np.ones((1, 4)), np.ones((4, 1)), np.ones(4)])
def test_one_seed_or_one_task_has_no_crossed_interval(values: Any) -> None:
    with pytest.raises(ValueError, match="num_seeds >= 2"):
        crossed_interval(values)


def test_a_crossed_interval_needs_finite_figures() -> None:
    with pytest.raises(ValueError, match="finite"):
        crossed_interval(np.array([[0.0, np.nan], [1, 2]]))


def drawn(rng: np.random.Generator, num_seeds: int, seeds_differ: float) -> Any:
    """Figures with mean 0 of seeds on the same 40 tasks: seed + task + what only the pair has."""
    seeds = seeds_differ * rng.standard_normal((num_seeds, 1))
    return seeds + rng.standard_normal(40) + 0.5 * rng.standard_normal((num_seeds, 40))


@pytest.mark.parametrize("num_seeds", [3, 5])
@pytest.mark.parametrize("seeds_differ", [0.0, 0.6, 1.0, 4.0])
def test_crossed_intervals_cover_the_mean(num_seeds: int, seeds_differ: float) -> None:
    """Of 2,000 draws 93 to 97 %; where all figures are taken for as many tasks, far fewer."""
    rng = np.random.default_rng(10 * num_seeds)
    crossed = pooled = 0
    for _ in range(2000):
        values = drawn(rng, num_seeds, seeds_differ)
        low, high = crossed_interval(values)
        crossed += low <= 0 <= high
        pooled += abs(values.mean()) <= 1.96 * values.std(ddof=1) / np.sqrt(values.size)
    assert 0.93 <= crossed / 2000 <= 0.97
    assert pooled / 2000 < 0.8

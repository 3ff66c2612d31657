"""Statistics of several runs: crossed bootstrap, probability of improvement, profile.

Scores are ``[S, T]``: S training seeds, all tested on the same T tasks, the higher the better.
Seeds and tasks are crossed: both are samples, and neither is nested in the other.
"""

from collections.abc import Callable
from typing import NamedTuple

import lazy_loader
import numpy as np
from numpy.typing import NDArray

from metarl.report.curves import crossed_interval

stats = lazy_loader.load("scipy.stats", suppress_warning=True)
RESAMPLES = 2000
BATCH = 100  # resamples at a time, which bounds the memory of many tasks
Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]
"""Of scores ``[..., S, T]``, to ``[..., D]``."""
Interval = tuple[float, float]


class Aggregate(NamedTuple):
    """Scores of several seeds on the same tasks in one figure each, with 95 % intervals."""

    mean: float
    mean_ci95: Interval
    iqm: float
    """Mean of the middle half of all scores (Agarwal et al. 2021)."""
    iqm_ci95: Interval


def aggregate(scores: Array, *, seed: int = 0) -> Aggregate:
    """Mean and interquartile mean over seeds and tasks.

    Args:
        scores: ``[S, T]``; at least two tasks. Of a single seed the intervals are over tasks alone.
        seed: of the bootstrap.

    Raises:
        ValueError: for another shape or scores that are not finite.
    """
    scores = checked_scores(scores)
    (low, high), *_ = crossed_bootstrap(interquartile_mean, scores, seed=seed).tolist()
    mean, mean_ci95 = _of_pairs(scores[None]) if len(scores) == 1 else _crossed(scores)
    return Aggregate(mean, mean_ci95, float(interquartile_mean(scores)[0]), (low, high))


def _crossed(scores: Array) -> tuple[float, Interval]:
    return float(scores.mean()), crossed_interval(scores)


def checked_scores(scores: Array) -> Array:
    """Scores in double precision; :class:`ValueError` unless finite and ``[S >= 1, T >= 2]``."""
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or len(scores) < 1 or scores.shape[1] < 2:
        raise ValueError(f"need [num_seeds, num_tasks >= 2] scores, got {scores.shape}")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
    return scores


def interquartile_mean(scores: Array) -> Array:
    """Mean of the middle half of all scores ``[..., S, T]``, as ``[..., 1]``."""
    flat = scores.reshape(*scores.shape[:-2], -1)
    return np.asarray(stats.trim_mean(flat, 0.25, axis=-1))[..., None]


def crossed_bootstrap(statistic: Statistic, scores: Array, *, seed: int = 0) -> Array:
    """95 % intervals of a statistic of crossed seeds and tasks.

    Seeds alone are resampled, tasks alone, and both (Owen 2007). The variances of the first two are
    those of seeds and tasks, corrected for resampling so few; what the third adds is that of single
    scores, which both of them hold once and the statistic has once. Each part counts by its own t
    (Banerjee 1960), so that three seeds are worth what three are. Of the mean this is
    :func:`~metarl.report.curves.crossed_interval` but for the noise of the resampling.

    Args:
        statistic: what the intervals are of.
        scores: ``[S, T]``; of one seed the interval is over tasks alone.
        seed: of the resampling.

    Returns:
        Lower and upper ends, ``[D, 2]``.
    """
    num_seeds, num_tasks = scores.shape
    rng = np.random.default_rng(seed)
    of_tasks = _variance(statistic, scores, rng, tasks=True)
    squared = _t(num_tasks) ** 2 * of_tasks * num_tasks / (num_tasks - 1)
    if num_seeds > 1:
        of_seeds = _variance(statistic, scores, rng, seeds=True)
        of_both = _variance(statistic, scores, rng, seeds=True, tasks=True)
        degrees = (num_seeds - 1) * (num_tasks - 1)
        single = np.maximum(of_both - of_seeds - of_tasks, 0.0) * scores.size / degrees
        corrected = of_seeds * num_seeds / (num_seeds - 1)
        squared += _t(num_seeds) ** 2 * np.maximum(corrected - single, 0.0)
    at, half = statistic(scores), np.sqrt(squared)
    return np.stack([at - half, at + half], -1)


class Improvement(NamedTuple):
    """How one learner stands to another on the same tasks, with 95 % intervals."""

    probability: float
    """That a run of the one scores more than a run of the other on a task; ties count half."""
    probability_ci95: Interval
    difference: float
    """Of the mean scores."""
    difference_ci95: Interval


def improvement(scores: Array, others: Array) -> Improvement:
    """Probability of improvement (Agarwal et al. 2021) and mean difference, task by task.

    The variances of both sides' seeds and of tasks add up, each by its own t; single scores are
    counted in all of them, so that the intervals are rather too wide than too narrow.

    Args:
        scores: of the one ``[S, T]``.
        others: of the other ``[S', T]``, on the same tasks.

    Raises:
        ValueError: for other shapes or scores that are not finite.
    """
    scores, others = checked_scores(scores), checked_scores(others)
    if scores.shape[1] != others.shape[1]:
        raise ValueError(f"need the same tasks, got {scores.shape[1]} and {others.shape[1]}")
    differences = scores[:, None] - others
    share, (low, high) = _of_pairs((np.sign(differences) + 1) / 2)
    return Improvement(share, (max(low, 0.0), min(high, 1.0)), *_of_pairs(differences))


def _of_pairs(pairs: Array) -> tuple[float, Interval]:
    """Mean of ``[S, S', T]`` and its interval."""
    squared = 0.0
    for axis, size in enumerate(pairs.shape):
        if size > 1:
            others = tuple({0, 1, 2} - {axis})
            squared += _t(size) ** 2 * pairs.mean(others).var(ddof=1) / size
    mean, half = float(pairs.mean()), float(np.sqrt(squared))
    return mean, (mean - half, mean + half)


def performance_profile(scores: Array, thresholds: Array, *, seed: int = 0) -> tuple[Array, Array]:
    """Share of scores above thresholds (Agarwal et al. 2021), and its 95 % intervals.

    Args:
        scores: ``[S, T]``.
        thresholds: ``[D]``.
        seed: of the bootstrap.

    Returns:
        Shares ``[D]`` and their intervals ``[D, 2]``, both in [0, 1].
    """

    def above(values: Array) -> Array:
        shares = [(values > threshold).mean((-2, -1)) for threshold in thresholds]
        return np.stack(shares, -1)

    scores = checked_scores(scores)
    return above(scores), crossed_bootstrap(above, scores, seed=seed).clip(0.0, 1.0)


def _t(size: int) -> float:
    return float(stats.t.ppf(0.975, size - 1))


def _variance(
    statistic: Statistic,
    scores: Array,
    rng: np.random.Generator,
    *,
    seeds: bool = False,
    tasks: bool = False,
) -> Array:
    """Of the statistic when seeds, tasks or both are resampled."""
    found = []
    num_seeds, num_tasks = scores.shape
    for _ in range(0, RESAMPLES, BATCH):
        rows = rng.integers(num_seeds, size=(BATCH, num_seeds)) if seeds else None
        columns = rng.integers(num_tasks, size=(BATCH, num_tasks)) if tasks else None
        found.append(statistic(_resampled(scores, rows, columns)))
    variance: Array = np.concatenate(found).var(0)
    return variance


def _resampled(
    scores: Array, rows: NDArray[np.int64] | None, columns: NDArray[np.int64] | None
) -> Array:
    """Of every resample the scores ``[BATCH, S, T]``."""
    if rows is None:
        assert columns is not None
        return scores[:, columns].swapaxes(0, 1)
    chosen = scores[rows]
    return chosen if columns is None else np.take_along_axis(chosen, columns[:, None], 2)

"""Adaptation curves: return after 0..K steps over held-out tasks, with bootstrap intervals."""

from collections.abc import Callable
from typing import Any, NamedTuple

import lazy_loader
import numpy as np
from numpy.typing import NDArray

stats = lazy_loader.load("scipy.stats", suppress_warning=True)
RESAMPLES = 2000
BATCH = 100  # resamples at a time, which bounds the memory of many tasks
Array = NDArray[np.float64]


class AdaptationCurve(NamedTuple):
    """Statistics over tasks after 0..K adaptation steps."""

    values: Array
    """One figure a step and task, ``[K + 1, num_tasks]``."""
    mean: Array
    """``[K + 1]``."""
    ci95: Array
    """95 % interval of the mean, ``[K + 1, 2]``."""
    iqm: Array
    """Interquartile mean, ``[K + 1]``  (Agarwal et al. 2021)."""
    iqm_ci95: Array
    """95 % interval of the interquartile mean, ``[K + 1, 2]``."""

    @property
    def num_steps(self) -> int:
        """K."""
        return len(self.values) - 1


def adaptation_curve(values: Array, *, seed: int) -> AdaptationCurve:
    """Mean and IQM over tasks with percentile-bootstrap intervals, tasks resampled.

    Args:
        values: one figure a step and task, ``[K + 1, num_tasks]``; at least two tasks.
        seed: of the bootstrap.

    Raises:
        ValueError: for another shape or non-finite figures.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or values.shape[1] < 2:
        raise ValueError(f"need [K + 1, num_tasks >= 2] figures, got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("adaptation gave non-finite returns; a smaller inner_lr may help")
    return AdaptationCurve(
        values,
        values.mean(1),
        _interval(np.mean, values, seed),
        _interquartile_mean(values, axis=1),
        _interval(_interquartile_mean, values, seed),
    )


def crossed_interval(values: Array) -> tuple[float, float]:
    """95 % interval of the mean when every seed was tested on the same tasks.

    Seeds and tasks are crossed: what a seed has in common over tasks, and a task over seeds, does
    not average out. So the mean varies by the variance of the seeds' means over their number, less
    what single figures of a seed add to it, and by that of the tasks' means over theirs; the square
    of half the interval is the sum of both, each times the square of its own t (Banerjee 1960), so
    that three seeds are worth what three are. With three or five seeds and 40 tasks it covers the
    mean in 93 to 97 % of draws however much seeds differ (``tests/report/test_curves.py``); a
    bootstrap of so few seeds does not.

    Args:
        values: one figure a seed and task, ``[num_seeds, num_tasks]``; at least two of either.

    Raises:
        ValueError: for another shape or non-finite figures.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or min(values.shape) < 2:
        raise ValueError(f"need [num_seeds >= 2, num_tasks >= 2] figures, got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("an interval needs finite figures")
    by_seed, by_task, mean = values.mean(1, keepdims=True), values.mean(0), values.mean()
    sizes = np.array(values.shape)
    single = ((values - by_seed - by_task + mean) ** 2).sum() / np.prod(sizes - 1)
    of_seeds = max(by_seed.var(ddof=1) / sizes[0] - single / values.size, 0.0)
    of_tasks = by_task.var(ddof=1) / sizes[1]
    half = float(np.sqrt(stats.t.ppf(0.975, sizes - 1) ** 2 @ [of_seeds, of_tasks]))
    return float(mean) - half, float(mean) + half


def _interquartile_mean(values: Array, axis: int) -> Array:
    return np.asarray(stats.trim_mean(values, 0.25, axis=axis))


def _interval(statistic: Callable[..., Any], values: Array, seed: int) -> Array:
    interval = stats.bootstrap(
        (values,),
        statistic,
        axis=1,
        n_resamples=RESAMPLES,
        batch=BATCH,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return np.stack([interval.low, interval.high], 1)

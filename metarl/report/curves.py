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

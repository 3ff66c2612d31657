"""Adaptation curves: return after 0..K steps over held-out tasks, with bootstrap intervals."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
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
    # imported here: it takes as long as torch, and every command but evaluation starts without it
    from rliable import metrics

    mean, ci95 = _interval(metrics.aggregate_mean, values, seed)
    iqm, iqm_ci95 = _interval(metrics.aggregate_iqm, values, seed)
    return AdaptationCurve(values, mean, ci95, iqm, iqm_ci95)


def _interval(aggregate: Callable[[Array], Any], values: Array, seed: int) -> tuple[Array, Array]:
    from arch.bootstrap import IIDBootstrap

    # rliable's own get_interval_estimates ignores its random_state and draws from NumPy's global
    # generator. Tasks are the only thing resampled here, so arch's plain bootstrap is the same.
    points, intervals = [], []
    for row in values:
        bootstrap = IIDBootstrap(row[:, None], seed=np.random.default_rng(seed))
        intervals.append(bootstrap.conf_int(aggregate, RESAMPLES, method="percentile")[:, 0])
        points.append(aggregate(row[:, None]))
    return np.array(points), np.array(intervals)

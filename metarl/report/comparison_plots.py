"""Pictures of several learners beside one another."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from metarl.report.comparison import Aggregate, performance_profile
from metarl.report.plots import save

Array = NDArray[np.float64]
NUM_POINTS = 200
"""Of a learning curve's common axis."""


def draw_learning_curves(
    paths: Sequence[Path],
    curves: Mapping[str, Sequence[tuple[Array, Array]]],
    *,
    title: str,
    x_label: str,
    y_label: str,
) -> None:
    """Draw the mean over seeds, and the range of the seeds.

    Args:
        paths: the pictures to write, each by its ending a PNG or SVG.
        curves: by name, x and y of every seed. Where all seeds of a name have been, they are
            interpolated.
        title: of the picture.
        x_label: what x is.
        y_label: what y is.
    """

    def draw(axes: Axes, name: str) -> None:
        seeds = [(x, y) for x, y in curves[name] if len(x)]
        if not seeds:
            return
        ends = max(x[0] for x, _ in seeds), min(x[-1] for x, _ in seeds)
        grid = seeds[0][0] if len(seeds) == 1 else np.linspace(*ends, NUM_POINTS)
        values = np.stack([np.interp(grid, x, y) for x, y in seeds])
        _line(axes, name, grid, values.mean(0), np.stack([values.min(0), values.max(0)], 1))

    _draw(paths, curves, draw, title=title, x_label=x_label, y_label=y_label)


def draw_adaptation_curves(
    paths: Sequence[Path],
    curves: Mapping[str, Sequence[Aggregate]],
    *,
    title: str,
    x_label: str,
    y_label: str,
) -> None:
    """Draw means after every step of adaptation with their intervals.

    Args:
        paths: the pictures to write, each by its ending a PNG or SVG.
        curves: by name, after 0..K steps.
        title: of the picture.
        x_label: what a step is.
        y_label: what the figures are.
    """

    def draw(axes: Axes, name: str) -> None:
        means = np.array([point.mean for point in curves[name]])
        intervals = np.array([point.mean_ci95 for point in curves[name]])
        _line(axes, name, np.arange(len(means)), means, intervals, marker="o")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))

    _draw(paths, curves, draw, title=title, x_label=x_label, y_label=y_label)


def draw_profiles(
    paths: Sequence[Path], scores: Mapping[str, Array], *, title: str, x_label: str
) -> None:
    """Draw performance profiles with their intervals.

    Args:
        paths: the pictures to write, each by its ending a PNG or SVG.
        scores: by name, ``[S, T]``, the higher the better.
        title: of the picture.
        x_label: what scores are.
    """
    every = np.concatenate([values.ravel() for values in scores.values()])
    thresholds = np.linspace(every.min(), every.max(), 81)

    def draw(axes: Axes, name: str) -> None:
        shares, intervals = performance_profile(scores[name], thresholds)
        _line(axes, name, thresholds, shares, intervals)

    y_label = "share of seeds and tasks above"
    _draw(paths, scores, draw, title=title, x_label=x_label, y_label=y_label)


def _draw(
    paths: Sequence[Path],
    names: Mapping[str, Any],
    draw: Any,
    *,
    title: str,
    x_label: str,
    y_label: str,
) -> None:
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for name in names:
        draw(axes, name)
    axes.set(xlabel=x_label, ylabel=y_label, title=title)
    if axes.lines:
        axes.legend(loc="best", fontsize=8)
    axes.grid(alpha=0.3)
    for path in paths:
        save(figure, path)


def _line(
    axes: Axes,
    name: str,
    x: NDArray[Any],
    y: Array,
    intervals: Array,
    marker: str | None = None,
) -> None:
    (line,) = axes.plot(x, y, marker=marker, markersize=4, label=name)
    axes.fill_between(x, *intervals.T, color=line.get_color(), alpha=0.15, linewidth=0)

"""Pictures of adaptation. The only module that draws."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from metarl.files import replacing
from metarl.report.curves import AdaptationCurve

DPI = 130
MAX_LINES = 100  # single tasks drawn; more would be a blot
BEFORE, AFTER, GOAL = "#9aa5b1", "#1f77b4", "#d62728"


class Paths(NamedTuple):
    """Ways through the plane in one task, before and after adaptation."""

    goal: NDArray[np.float64]
    """``[2]``."""
    before: list[NDArray[Any]]
    """Positions of some trajectories of the unadapted policy, ``[T, 2]`` each."""
    after: list[NDArray[Any]]
    """The same of the adapted policy."""
    title: str
    """What to write above."""


def draw_adaptation(
    curve: AdaptationCurve,
    *,
    title: str,
    label: str = "return",
    steps: str = "gradient steps",
    paths: list[Paths] | None = None,
) -> bytes:
    """Draw the adaptation curve, and beside it the paths of some tasks where there are any.

    Args:
        curve: what to draw.
        title: of the picture.
        label: what the figures are.
        steps: what a step is.
        paths: of planar families, at most six are drawn.

    Returns:
        A PNG.
    """
    shown = (paths or [])[:6]
    columns = -(-len(shown) // 2)
    figure = Figure(figsize=(5.2 + 2.7 * columns, 5.4), layout="constrained")
    grid = figure.add_gridspec(2, 2 + columns)
    _draw_curve(figure.add_subplot(grid[:, :2]), curve, label, steps)
    reach = max((_reach(task) for task in shown), default=0.0)
    for index, task in enumerate(shown):
        axes = figure.add_subplot(grid[index // columns, 2 + index % columns])
        _draw_paths(axes, task, reach, labelled=index == 0)
    figure.suptitle(title)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DPI)
    return content.getvalue()


def draw_paths(path: Path, task: Paths) -> None:
    """Draw the paths of one task.

    Args:
        path: the PNG to write.
        task: what to draw.
    """
    figure = Figure(figsize=(4.6, 4.6), layout="constrained")
    _draw_paths(figure.add_subplot(), task, _reach(task), labelled=True)
    save(figure, path)


def draw_lines(
    path: Path,
    lines: Mapping[str, tuple[NDArray[Any], NDArray[Any]]],
    *,
    intervals: Mapping[str, NDArray[np.float64]] | None = None,
    title: str,
    x_label: str,
    y_label: str,
) -> None:
    """Draw lines by name, such as what runs reached along their training.

    Args:
        path: the picture to write, by its ending a PNG or SVG.
        lines: x and y of each; where y is NaN, the point is left out. Where all x are integers,
            so are the ticks.
        intervals: ends of the intervals of some of them, ``[num, 2]``.
        title: of the picture.
        x_label: what x is.
        y_label: what y is.
    """
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for name, (x, y) in lines.items():
        measured = np.isfinite(y)
        (line,) = axes.plot(x[measured], y[measured], label=name)
        if intervals and name in intervals:
            ends = intervals[name][measured].T
            axes.fill_between(x[measured], *ends, color=line.get_color(), alpha=0.15, linewidth=0)
    if all(np.issubdtype(x.dtype, np.integer) for x, _ in lines.values()):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel=x_label, ylabel=y_label, title=title)
    axes.legend(loc="best")
    axes.grid(alpha=0.3)
    save(figure, path)


def draw_embedding(
    path: Path,
    embeddings: NDArray[np.float32],
    parameters: NDArray[np.float32],
    names: Sequence[str],
    *,
    title: str,
) -> None:
    """Draw embeddings of tasks in the plane of their two main directions, coloured by task.

    Args:
        path: the PNG to write.
        embeddings: ``[num, D]``.
        parameters: of each one's task, ``[num, P]``; at most the first four are drawn.
        names: of the P parameters.
        title: of the picture.
    """
    centred = embeddings - embeddings.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    plane = centred @ directions[:2].T
    shown = names[:4]
    figure = Figure(figsize=(0.8 + 4.4 * len(shown), 4.4), layout="constrained")
    for index, name in enumerate(shown):
        axes = figure.add_subplot(1, len(shown), index + 1)
        points = axes.scatter(plane[:, 0], plane[:, 1], s=14, c=parameters[:, index])
        axes.set(xlabel="first principal component", ylabel="second", title=name)
        figure.colorbar(points, ax=axes)
    figure.suptitle(title)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a picture, by its ending a PNG or SVG."""
    with replacing(path) as file:
        figure.savefig(file, format=path.suffix.removeprefix("."), dpi=DPI)


def _draw_curve(axes: Axes, curve: AdaptationCurve, label: str, unit: str) -> None:
    steps = np.arange(curve.num_steps + 1)
    axes.plot(steps, curve.values[:, :MAX_LINES], color=BEFORE, linewidth=0.6, alpha=0.5)
    axes.plot([], [], color=BEFORE, linewidth=0.6, label="single tasks")
    axes.fill_between(
        steps, *curve.ci95.T, color=AFTER, alpha=0.25, label="95 % interval of the mean"
    )
    axes.plot(steps, curve.mean, "o-", color=AFTER, label="mean")
    axes.plot(steps, curve.iqm, "s--", color="#ff7f0e", label="IQM")
    axes.set(xlabel=unit, ylabel=label, xticks=steps)
    axes.legend(loc="best")
    axes.grid(alpha=0.3)


def _draw_paths(axes: Axes, task: Paths, reach: float, *, labelled: bool) -> None:
    for positions, colour, name in ((task.before, BEFORE, "before"), (task.after, AFTER, "after")):
        for index, way in enumerate(positions):
            label = name if index == 0 else None
            axes.plot(*way.T, color=colour, linewidth=0.9, alpha=0.8, label=label)
    axes.plot(*task.goal, "*", color=GOAL, markersize=11, label="goal")
    ticks = [-round(reach / 1.5, 1), 0.0, round(reach / 1.5, 1)]
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=ticks, yticks=ticks)
    axes.set_aspect("equal")
    axes.set_title(task.title, fontsize=9)
    axes.tick_params(labelsize=7)
    if labelled:
        axes.legend(fontsize=7, loc="best")


def _reach(task: Paths) -> float:
    """Half the side of the square to show: stray trajectories may leave it, the goal does not."""
    return 1.5 * max(float(np.abs(task.goal).max()), 0.2)

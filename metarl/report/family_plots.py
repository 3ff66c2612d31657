"""The picture of a task family: how it looks, and how its tasks are spread."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from metarl.report.plots import AFTER, GOAL, save

MOST_PARTS = 5  # of a task that are drawn
Draws = Mapping[str, NDArray[Any]]
"""Tasks by the names of their parts, ``[N, *shape]`` each."""


def draw_family(
    path: Path, title: str, training: Draws, held_out: Draws, frame: NDArray[np.uint8] | None = None
) -> None:
    """Draw tasks of training and held-out ones; points of the plane as such, numbers by how often.

    Args:
        path: the picture, in the format of its suffix.
        title: of the picture.
        training: tasks of training.
        held_out: tasks that training does not draw.
        frame: how the family looks, ``[height, width, 3]``; none where it draws nothing.
    """
    names = list(training)[:MOST_PARTS]
    panels = len(names) + (frame is not None)
    figure = Figure(figsize=(0.5 + 3.6 * panels, 3.8), layout="constrained")
    figure.suptitle(title)
    axes = list(figure.subplots(1, panels, squeeze=False)[0])
    if frame is not None:
        first = axes.pop(0)
        first.imshow(frame)
        first.axis("off")
    for panel, name in zip(axes, names, strict=True):
        _draw_part(panel, name, training[name], held_out[name])
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    save(figure, path)


def _draw_part(axes: Axes, name: str, training: NDArray[Any], held_out: NDArray[Any]) -> None:
    """One part of the tasks."""
    both = (("training", training, AFTER), ("held out", held_out, GOAL))
    axes.set_title(name, fontsize="medium")
    if training.shape[1:] == (2,):
        for label, points, color in both:
            axes.scatter(points[:, 0], points[:, 1], s=6, color=color, label=label)
        axes.set_aspect("equal")
        return
    numbers = [values.astype(np.float64).ravel() for _, values, _ in both]
    bins = np.histogram_bin_edges(np.concatenate(numbers), 30).tolist()
    for (label, _, color), values in zip(both, numbers, strict=True):
        axes.hist(values, bins, density=True, histtype="step", color=color, label=label)
    axes.set_yticks([])

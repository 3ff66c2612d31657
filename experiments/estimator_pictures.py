"""A picture of every meta-gradient estimator: docs/theory/estimators.svg.

    python experiments/estimator_pictures.py

Exact, as the numbers of ``estimators.py``: all trajectories of an MDP are enumerated. The policy
has two states and two actions, and a softmax has one direction less than numbers in each state, so
a gradient is a vector of the plane. Its x axis is the exact gradient, of length 1.
"""

from pathlib import Path

import torch
from enumerated_mdp import ENDING, FIXED, MDP, exact_maml_gradient, maml_estimates
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from torch import Tensor

from metarl.rl.estimators import INNER_LOSSES, Estimator

PICTURE = Path(__file__).parents[1] / "docs" / "theory" / "estimators.svg"
NUM_TRAJECTORIES = 20
"""Whose mean the ellipses are of."""
ARROW = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "lw": 2}


def draw(axes: Axes, mdp: MDP, estimator: Estimator) -> None:
    """One panel: the exact gradient, the estimator's mean, one standard deviation around it."""
    weights = mdp.probabilities(mdp.logits)
    vectors = in_the_plane(mdp, maml_estimates(mdp, estimator, baseline=0.0))
    mean = weights @ vectors
    covariance = ((vectors - mean).T * weights) @ (vectors - mean)
    variances, directions = torch.linalg.eigh(covariance / NUM_TRAJECTORIES)
    width, height = (2 * variances.clamp(min=0.0).sqrt()).tolist()
    angle = torch.rad2deg(torch.atan2(directions[1, 0], directions[0, 0])).item()
    axes.add_patch(Ellipse(mean.tolist(), width, height, angle=angle, color="C0", alpha=0.3))
    axes.annotate("", (1.0, 0.0), (0.0, 0.0), arrowprops=ARROW | {"color": "black"})
    axes.annotate("", mean.tolist(), (0.0, 0.0), arrowprops=ARROW | {"color": "C0"})
    bias, spread = float((mean - torch.tensor([1.0, 0.0])).norm()), float(covariance.trace().sqrt())
    axes.set_title(f"{estimator}: bias {bias:.2f}, spread {spread:.2f}", size="medium")
    axes.set(xlim=(0.0, 1.25), ylim=(-0.2, 0.25), aspect="equal")
    axes.grid(alpha=0.3)


def in_the_plane(mdp: MDP, gradients: Tensor) -> Tensor:
    """Gradients by logits ``[N, S, A]`` as vectors ``[N, 2]``, in lengths of the exact one."""
    exact, vectors = (
        (each[..., 1] - each[..., 0]) / 2**0.5 for each in (exact_maml_gradient(mdp), gradients)
    )
    x, y = exact / exact.norm()
    return vectors @ torch.stack([torch.stack([x, y]), torch.stack([-y, x])]).T / exact.norm()


def main() -> None:
    """Draw all of them."""
    figure = Figure(figsize=(7.4, 8.2), layout="constrained")
    panels = figure.subplots(len(INNER_LOSSES), 2, sharex=True, sharey=True)
    for row, estimator in zip(panels, INNER_LOSSES, strict=True):
        for axes, mdp in zip(row, (FIXED, ENDING), strict=True):
            draw(axes, mdp, estimator)
    for axes, name in zip(panels[-1], ("two steps", "one to three steps"), strict=True):
        axes.set_xlabel(f"{name}: along the exact gradient")
    figure.savefig(PICTURE, metadata={"Date": None})
    print(PICTURE)


if __name__ == "__main__":
    main()

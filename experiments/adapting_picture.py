"""The README's moving picture: ``python experiments/adapting_picture.py RUN [--output FILE.webp]``.

RUN is one on PointGoal, as ``make demo`` leaves it. Four goals that training does not draw, chosen
by their number alone; in each some trajectories of the policy before adaptation, and after one, two
and three gradient steps.
"""

import io
from pathlib import Path
from typing import NamedTuple

import gymnasium as gym
import numpy as np
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

import metarl
import metarl_envs  # noqa: F401, registers the ids

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "adapting.webp"
NUM_GOALS, NUM_STEPS = 4, 3
MOVING, STILL = 25, 10  # frames of each stage
FRAME_SECONDS = 0.06
COLOURS = ("#9aa5b1", "#7db3d8", "#3f8fc4", "#1f5f94")  # by gradient steps


class Stage(NamedTuple):
    """A goal, after some gradient steps towards it."""

    goal: NDArray[np.float64]
    """``[2]``."""
    paths: list[NDArray[np.float32]]
    """Positions of some trajectories, ``[T, 2]`` each."""
    mean_return: float


def adapted(run: metarl.Run, goal: NDArray[np.float64]) -> list[Stage]:
    """A goal after 0..NUM_STEPS gradient steps."""
    stages = []
    for steps in range(1, NUM_STEPS + 1):
        told = run.adapt(task={"goal": goal}, steps=steps).adaptation
        ((before, after),) = told.paths
        if steps == 1:
            stages.append(Stage(goal, list(before), float(told.values[0, 0])))
        stages.append(Stage(goal, list(after), float(told.values[-1, 0])))
    return stages


def draw_goal(axes: Axes, goal: NDArray[np.float64]) -> None:
    """A panel without any trajectories."""
    axes.add_patch(Rectangle((-0.5, -0.5), 1, 1, fill=False, color="#d0d5da", linewidth=0.8))
    axes.plot(*goal, "*", color="#d62728", markersize=13, zorder=3)
    axes.plot(0, 0, ".", color="black", zorder=3)
    axes.set(xlim=(-0.66, 0.66), ylim=(-0.66, 0.66), xticks=[], yticks=[], aspect="equal")
    axes.spines[:].set_visible(False)


def frame(stages: list[Stage], steps: int, share: float) -> Image.Image:
    """A picture of all goals, their trajectories until a share of the time."""
    figure = Figure(figsize=(8.4, 2.55), dpi=100, layout="constrained")
    for axes, stage in zip(figure.subplots(1, len(stages)), stages, strict=True):
        draw_goal(axes, stage.goal)
        length = max(len(path) for path in stage.paths)
        for path in stage.paths:
            way = path[: 1 + round(share * (length - 1))]
            axes.plot(*way.T, color=COLOURS[steps], linewidth=1.1)
            axes.plot(*way[-1], ".", color=COLOURS[steps], markersize=7)
        axes.set_title(f"return {stage.mean_return:.1f}", fontsize=10)
    what = f"after {steps} gradient step{'s' * (steps > 1)}" if steps else "before adaptation"
    figure.suptitle(f"goals not trained on: {what}", fontsize=12)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return Image.open(content).convert("RGB")


def main(run: Path, /, output: Path = PICTURE, seed: int = 0) -> None:
    """Write the picture of a run."""
    trained = metarl.load_run(run)
    family = gym.make("metarl/PointGoal-v0").get_wrapper_attr("task_distribution")
    goals = family.sample(np.random.default_rng(seed), NUM_GOALS, "held_out")["goal"]
    by_goal = [adapted(trained, goal) for goal in goals]
    frames = []
    for steps in range(NUM_STEPS + 1):
        shares = [*np.linspace(0, 1, MOVING), *[1.0] * STILL]
        frames += [frame([stages[steps] for stages in by_goal], steps, s) for s in shares]
    output.parent.mkdir(parents=True, exist_ok=True)
    milliseconds = round(1000 * FRAME_SECONDS)
    frames[0].save(
        output, save_all=True, append_images=frames[1:], duration=milliseconds, loop=0, quality=60
    )
    print(f"{output}: {output.stat().st_size / 1e6:.2f} MB, {len(frames)} frames")


if __name__ == "__main__":
    tyro.cli(main)

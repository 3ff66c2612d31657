"""How time and memory of a MAML-TRPO update grow with tasks, trajectories and inner steps.

HalfCheetahDir's sizes, random data, two threads; one of the three grows at a time, up to 160 tasks
of 20 trajectories of 200 steps and 3 inner steps. Writes ``experiments/pictures/update_growth.png``
and rows whose ratio is the growth that linear would give divided by ours. Linux only.
"""

import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import harness
import numpy as np
import torch
from policy_learners import make_learner
from policy_update import THREADS

from metarl.report import draw_lines
from metarl.rl import Experience
from metarl.rl.rollout import AdvantageBatch

PICTURE = Path(__file__).parents[1] / "pictures" / "update_growth.png"
OBSERVATION, ACTION = 17, 6


class Size(NamedTuple):
    """Of a meta-batch."""

    tasks: int
    trajectories: int
    inner_steps: int
    horizon: int = 200


LARGEST = Size(160, 20, 3)
GROWTH = {
    "tasks": [Size(n, 5, 1) for n in (20, 40, 80, 160)],
    "trajectories": [Size(20, n, 1) for n in (5, 10, 20, 40)],
    "inner_steps": [Size(20, 5, n) for n in (1, 2, 3, 4)],
}


def random_experience(size: Size) -> Experience:
    """Batches of standard normal numbers."""
    generator = torch.Generator().manual_seed(0)
    rows = size.horizon * size.trajectories

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(size.tasks, *shape, generator=generator)

    def batch() -> AdvantageBatch:
        return AdvantageBatch(
            observations=draw(rows, OBSERVATION),
            actions=draw(rows, ACTION),
            advantages=draw(rows),
            weights=torch.full((size.tasks, rows), 1 / rows),
            rewards=draw(rows),
            scale=torch.ones(size.tasks, 1),
            num_trajectories=size.trajectories,
        )

    batches = [batch() for _ in range(size.inner_steps + 1)]
    return Experience([], batches, torch.zeros(size.tasks))


def make_update(size: Size) -> Any:
    """A whole update without its report, to be called."""
    learner = make_learner(
        "maml-trpo",
        "metarl/HalfCheetahDir-v0",
        num_tasks=1,
        num_trajectories=size.trajectories,
        inner_lr=0.1,
        num_inner_steps=size.inner_steps,
    )
    data = random_experience(size)

    def update() -> None:
        problem = learner.problem(data)
        learner.outer_step.step(problem, problem.gradient(), {})

    return update


def seconds(size: Size, repeats: int) -> float:
    """The fastest of some updates."""
    update, taken = make_update(size), []
    for _ in range(repeats):
        start = time.perf_counter()
        update()
        taken.append(time.perf_counter() - start)
    return min(taken)


def main() -> None:
    """Grow one thing at a time, then the largest."""
    quick = harness.quick_asked(__doc__)
    torch.set_num_threads(THREADS)
    repeats = 1 if quick else 3
    rows, lines, curves = [], [], {}
    for name, sizes in GROWTH.items():
        shown = sizes[:2] if quick else sizes
        times = [seconds(size, repeats) for size in shown]
        memory = [harness.added_megabytes(partial(make_update, size)) for size in shown]
        factors = [getattr(size, name) / getattr(shown[0], name) for size in shown]
        # linear in the tasks and trajectories; n inner steps are n + 1 batches
        work = [(size.inner_steps + 1) / 2 for size in shown] if name == "inner_steps" else factors
        rows += [
            harness.Row(
                name=f"update-{what}-by-{name}",
                against="linear",
                unit=unit,
                ours=[measured[-1]],
                theirs=[measured[0] * work[-1]],
            )
            for what, unit, measured in (
                ("time", "seconds", times),
                ("memory", "megabytes", memory),
            )
        ]
        for what, measured in (("time", times), ("memory", memory)):
            curves[f"{what}, more {name.replace('_', ' ')}"] = (
                np.array(work),
                np.array(measured) / measured[0],
            )
        lines += [
            [name, str(getattr(size, name)), f"{t:.2f}", f"{m:.0f}"]
            for size, t, m in zip(shown, times, memory, strict=True)
        ]
    if not quick:
        most = max(float(x[-1]) for x, _ in curves.values())
        curves["linear"] = np.array([1.0, most]), np.array([1.0, most])
        draw_lines(
            PICTURE,
            curves,
            title="A MAML-TRPO update as its meta-batch grows",
            x_label="steps of the meta-batch, times those of 20 tasks x 5 x 200",
            y_label="time or memory, times that of the smallest",
        )
        largest = harness.added_megabytes(partial(make_update, LARGEST))
        lines.append(
            ["largest", str(tuple(LARGEST)), f"{seconds(LARGEST, 1):.2f}", f"{largest:.0f}"]
        )
    harness.print_table(("what grows", "to", "seconds", "megabytes"), lines)
    harness.report(rows)


if __name__ == "__main__":
    main()

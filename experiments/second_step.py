"""Why the second gradient step overshoots on PointGoal, and what training with more of them does.

    python experiments/second_step.py [--only 1 2 3] [--seeds 0 1 2]

``maml-trpo`` of the MAML paper's 2-D navigation (``maml-navigation``), trained for one, two or
three inner steps, each of 20 fresh trajectories, on 8 million environment steps; tested with the
step size of training in every step, and halved after the first one, as the authors test.
"""

from dataclasses import dataclass

import tyro
from maml_families import FAMILIES
from seeded_rows import Budget, Plan, make_row

FAMILY = FAMILIES["maml-navigation"]
STEPS = 8_000_000
SAMPLED = 20 * 20 * 100
"""Environment steps before each inner step, and after the last."""
SIZES = {"constant": (1.0, 1.0, 1.0), "halved": (1.0, 0.5, 0.5)}
"""In units of the step size of training."""


@dataclass(frozen=True)
class Options(Budget):
    """Train for so many steps, test both ways."""

    only: tuple[int, ...] = (1, 2, 3)
    """Inner steps of training."""


def plan_of(num_steps: int, sizes: str) -> Plan:
    """A training, and one of its tests."""
    name = f"trained for {num_steps}, step size {sizes}"
    tested = [str(FAMILY.inner_lr * factor) for factor in SIZES[sizes]]
    return Plan(
        experiment="point-goal-second-step",
        learner=name,
        command=[*FAMILY.training("maml-trpo"), "--num-inner-steps", str(num_steps)],
        iterations=round(STEPS / (SAMPLED * (num_steps + 1))),
        test=["--tasks", "40", "--trajectories", "40", "--steps", "3", "--inner-lr", *tested],
        script=f"python experiments/second_step.py --only {num_steps}",
        threshold=FAMILY.threshold,
        runs_of=None if sizes == "constant" else plan_of(num_steps, "constant").learner,
    )


def experiment(options: Options) -> None:
    """All of it."""
    for num_steps in options.only:
        for sizes in SIZES:
            make_row(plan_of(num_steps, sizes), options)


if __name__ == "__main__":
    experiment(tyro.cli(Options))

"""Sinusoid regression of the MAML paper: squared error after 0 to 10 steps over 600 tasks.

    python experiments/sinusoid.py [--output runs/sinusoid] [--iterations 70000]

10 shots, one inner step of 0.01 in training, a 1-40-40-1 network, 25 tasks a meta-batch: the
authors' numbers, but for Adam's step size, which falls from 1e-3 as a cosine: where it stays, the
network becomes so sharp that one task in hundreds diverges within ten steps.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro
from results import fewshot_row, save
from runner import evaluated, trained

SHAPE = ["--backbone", "mlp", "--hidden-sizes", "40", "40", "--num-shots", "10"]
TRAINING = ["--num-queries", "10", "--meta-batch-size", "25", "--task-chunk", "0"]
SCHEDULE = ["--eval-every", "5000", "--checkpoint-every", "5000"]
LEARNERS = {
    "maml": ["--inner-lr", "0.01", "--num-inner-steps", "1"],
    "meta-sgd": ["--inner-lr", "0.01"],
    "fomaml": ["--inner-lr", "0.01", "--num-inner-steps", "1"],
}
STEPS = {"maml": "10", "meta-sgd": "1", "fomaml": "10"}
"""Of the evaluation; step sizes learned for one step are not for more."""


@dataclass(frozen=True)
class Options:
    """Train and evaluate every learner."""

    output: Path = Path("runs/sinusoid")
    """Where the run folders go; a finished run there is not repeated."""
    iterations: int = 70_000
    """Meta-iterations a run."""


def experiment(options: Options) -> None:
    """All learners, then the results."""
    rows = []
    for learner, extra in LEARNERS.items():
        command = ["fewshot", learner, "--data", "sinusoid", *SHAPE, *TRAINING, *SCHEDULE, *extra]
        run = trained(options.output / learner, command, options.iterations)
        figures = evaluated(run, ["--tasks", "600", "--steps", STEPS[learner]], run / "steps.json")
        shown = " ".join(["metarl", *command, "--iterations", str(options.iterations)])
        rows.append(fewshot_row("sinusoid-10shot", learner, [figures], command=shown))
    save(rows)


if __name__ == "__main__":
    experiment(tyro.cli(Options))

"""ProMP beside MAML-TRPO and MAML-VPG on HalfCheetahDir, at equal steps: three curves, one picture.

    python experiments/promp.py [--output runs/promp] [--iterations 250]

Horizon 100 and action scale 10, as ProMP has them; 20 tasks of 20 trajectories, inner step size
0.1, one seed. ProMP with its own numbers: Adam of 1e-3, 5 epochs, clip 0.3, inner KL 5e-4.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro
from results import FOLDER, NO_REFERENCE, collect, save
from runner import evaluated, trained, training_curve

from metarl.report import draw_lines

COMMAND = ["--env", "metarl/HalfCheetahDir-v0", "--action-scale", "10", "--inner-lr", "0.1"]
COMMAND += ["--gae-lambda", "1.0"]
LEARNERS = ("promp", "maml-trpo", "maml-vpg")


@dataclass(frozen=True)
class Options:
    """Train the three, or go on with them."""

    output: Path = Path("runs/promp")
    """Where the run folders go."""
    iterations: int = 250
    """Meta-iterations, of 80,000 environment steps each."""


def experiment(options: Options) -> None:
    """The runs, their rows of the results and the picture."""
    rows, curves = [], {}
    for learner in LEARNERS:
        run = trained(options.output / learner, ["train", learner, *COMMAND], options.iterations)
        target = run / "40-tasks.json"
        evaluated(run, ["--tasks", "40", "--steps", "3"], target)
        curves[learner] = training_curve(run, "eval/return_post")
        row = collect(
            [target],
            experiment="half-cheetah-dir-equal-steps",
            learner=learner,
            command=f"python experiments/promp.py --iterations {options.iterations}",
            reference=NO_REFERENCE,
            training_seeds=[0],
        )
        rows.append(row)
    save(rows)
    draw_lines(
        FOLDER / "pictures" / "promp.png",
        curves,
        title="HalfCheetahDir, one seed",
        x_label="environment steps, millions",
        y_label="return after one step, both directions",
    )


if __name__ == "__main__":
    experiment(tyro.cli(Options))

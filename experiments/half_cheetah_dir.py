"""HalfCheetahDir: run forwards or backwards, whichever the rewards of a few trajectories ask for.

    python experiments/half_cheetah_dir.py [--output runs/half_cheetah_dir] [--iterations 700]

Horizon 100 and action scale 10, as ProMP and RLlib have them; 20 tasks of 20 trajectories, inner
step size 0.1. Both directions are all the tasks there are, so none is held out; what each of them
reaches is printed.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from results import FOLDER, collect, reference, save
from runner import evaluated, trained, training_curve

from metarl.report import draw_lines

COMMAND = ["train", "maml-trpo", "--env", "metarl/HalfCheetahDir-v0", "--horizon", "100"]
COMMAND += ["--action-scale", "10", "--inner-lr", "0.1", "--gae-lambda", "1.0"]
REFERENCE = reference(
    "RLlib (rl-experiments/maml), 211 M steps",
    [-14.0, 262.0],
    "read off a curve of training, a learned value function, meta-batches of 31 or 32 tasks, "
    "an earlier MuJoCo",
)


@dataclass(frozen=True)
class Options:
    """Train and evaluate one run."""

    output: Path = Path("runs/half_cheetah_dir")
    """Where the run folder goes; a run there is gone on with."""
    iterations: int = 700
    """Meta-iterations, of 80,000 environment steps each."""


def experiment(options: Options) -> None:
    """The run, then its row of the results."""
    run = trained(options.output, COMMAND, options.iterations)
    target = run / "40-tasks.json"
    figures = evaluated(run, ["--tasks", "40", "--steps", "3"], target)
    directions = np.array([task["direction"] for task in figures["tasks"]])
    for direction in (1, -1):
        means = np.asarray(figures["returns"])[:, directions == direction].mean(1)
        print(f"direction {direction:+d}: {', '.join(f'{mean:.1f}' for mean in means)}")
    command = " ".join(["metarl", *COMMAND, "--iterations", str(options.iterations)])
    row = collect(
        [target],
        experiment="half-cheetah-dir",
        learner="maml-trpo",
        command=command,
        reference=REFERENCE,
        training_seeds=[0],
    )
    save([row])
    draw_lines(
        FOLDER / "pictures" / "half_cheetah_dir.png",
        {
            "before adaptation": training_curve(run, "eval/return_pre"),
            "after one step": training_curve(run, "eval/return_post"),
        },
        title="HalfCheetahDir, horizon 100, action scale 10, one seed",
        x_label="environment steps, millions",
        y_label="return, both directions",
    )


if __name__ == "__main__":
    experiment(tyro.cli(Options))

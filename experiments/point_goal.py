"""2-D navigation of the MAML paper at full budget: three seeds, and the control without adaptation.

    python experiments/point_goal.py [--output runs/point_goal] [--iterations 300]

Evaluated as the authors do: 40 tasks, 40 trajectories a step, the trained step size first and half
of it after. Writes experiments/results.json and the table of experiments/README.md.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from results import collect, save

from metarl.cli import main

ENV = "metarl/PointGoal-v0"
SEEDS = [0, 1, 2]
REFERENCE = {
    "source": "MAML authors, cbfinn/maml_rl icml/*.pkl, one seed",
    "mean": [-40.4, -11.7, -3.3, -3.2],
}
VARIANTS = {
    "maml-trpo": [],
    "maml-trpo --inner-lr 0": ["--inner-lr", "0"],
}


@dataclass(frozen=True)
class Options:
    """Train and evaluate every variant over three seeds."""

    output: Path = Path("runs/point_goal")
    """Where the run folders go; a finished run there is not repeated."""
    iterations: int = 300
    """Meta-iterations a run."""


def run(options: Options, extra: list[str], seed: int) -> Path:
    """Train one seed (or go on with it), evaluate it; its run folder."""
    folder = options.output / ("_".join(extra).strip("-") or "default") / str(seed)
    made = sorted(folder.glob("*/config.json"))
    if made:
        train = ["resume", str(made[-1].parent), "--iterations", str(options.iterations)]
    else:
        train = [
            "train", "maml-trpo", "--env", ENV, "--seed", str(seed), *extra,
            "--iterations", str(options.iterations), "--output", str(folder),
        ]  # fmt: skip
    if (status := main(train)) != 0:
        sys.exit(status)
    (config,) = folder.glob("*/config.json")
    evaluate = ["evaluate", str(config.parent), "--tasks", "40", "--steps", "3"]
    if (status := main(evaluate)) != 0:
        sys.exit(status)
    return config.parent


def experiment(options: Options) -> None:
    """All variants and seeds, then the results."""
    rows = []
    for learner, extra in VARIANTS.items():
        folders = [run(options, extra, seed) for seed in SEEDS]
        rows.append(
            collect(
                [folder / "evaluation.json" for folder in folders],
                experiment="point-goal",
                learner=learner,
                command=f"python experiments/point_goal.py --iterations {options.iterations}",
                reference=REFERENCE,
                training_seeds=SEEDS,
            )
        )
    save(rows)


if __name__ == "__main__":
    experiment(tyro.cli(Options))

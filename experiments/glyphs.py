"""Every few-shot learner on the built-in glyphs, beside nearest neighbours on raw pixels.

    python experiments/glyphs.py [--output runs/glyphs] [--only NAME ...] [--scale 1.0]

Printed letters, 600 test episodes, train scripts Latin, Cyrillic and Greek, test scripts Georgian,
Armenian and Lao. Budgets are small on purpose: minutes a run on one CPU core.
"""

from dataclasses import dataclass, field
from pathlib import Path

import tyro
from results import fewshot_row, save
from runner import evaluated, trained

from metarl.fewshot.build import FEWSHOT_LEARNERS

SETTINGS = {"5w1s": (5, 1), "5w5s": (5, 5), "20w1s": (20, 1)}
METRIC = (["--train-ways", "40", "--train-queries", "5"], 500)
GRADIENT = (["--filters", "32", "--train-queries", "5", "--lr", "0.002"], 1200)
PRETRAINED = ([], 1500)
BUDGETS = {
    "protonet": METRIC,
    "matching": METRIC,
    "maml": GRADIENT,
    "fomaml": GRADIENT,
    "anil": GRADIENT,
    "maml++": GRADIENT,
    "meta-sgd": GRADIENT,
    "proto-maml": GRADIENT,
    "reptile": (["--filters", "32"], 1200),
    "baseline": PRETRAINED,
    "baseline++": PRETRAINED,
    "knn": ([], 1),
}
"""Learner to its options and iterations."""


@dataclass(frozen=True)
class Options:
    """Train and evaluate every learner in every setting."""

    output: Path = Path("runs/glyphs")
    """Where the run folders go; a finished run there is not repeated."""
    only: tuple[str, ...] = field(default=tuple(FEWSHOT_LEARNERS))
    """Names of the learners."""
    scale: float = 1.0
    """All iterations times this."""


def experiment(options: Options) -> None:
    """The learners that were asked for, then their rows of the results."""
    rows = []
    for learner in options.only:
        extra, iterations = BUDGETS[learner]
        budget = max(1, round(iterations * options.scale))
        for setting, (ways, shots) in SETTINGS.items():
            task = ["--num-ways", str(ways), "--num-shots", str(shots)]
            command = ["fewshot", learner, "--data", "glyphs", *task, *extra]
            run = trained(options.output / learner / setting, command, budget)
            figures = evaluated(run, ["--tasks", "600"], run / f"{setting}.json")
            shown = " ".join(["metarl", *command, "--iterations", str(budget)])
            rows.append(
                fewshot_row(f"glyphs-{setting}", learner, figures, references=[], command=shown)
            )
    save(rows)


if __name__ == "__main__":
    experiment(tyro.cli(Options))

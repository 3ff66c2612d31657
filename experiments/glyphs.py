"""Every few-shot learner on the built-in glyphs, beside nearest neighbours on raw pixels.

    python experiments/glyphs.py [--output runs/glyphs] [--only NAME ...] [--scale 1.0]

Printed letters, 600 test episodes, train scripts Latin, Cyrillic and Greek, test scripts Georgian,
Armenian and Lao. Budgets are small on purpose: a few minutes a run on one CPU core. Gradient
learners have a smaller, strided network (MAML's for Omniglot) for the same reason.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import tyro
from results import fewshot_row, save
from runner import evaluated, trained

from metarl.fewshot.presets import PRESETS

SETTINGS = {"5w1s": (5, 1), "5w5s": (5, 5), "20w1s": (20, 1)}


class Plan(NamedTuple):
    """How a learner is trained."""

    options: list[str]
    iterations: dict[str, int]
    """Of the run for each setting; a setting that has none is evaluated on the run for 5w1s: its
    training would be the same or, of Reptile at 20 ways, needs a larger budget to be better."""


METRIC = Plan(["--train-ways", "40", "--train-queries", "5"], {"5w1s": 500, "5w5s": 300})
SMALL = ["--filters", "32", "--downsample", "stride"]
FAST = ["--train-queries", "5", "--lr", "0.003"]
GRADIENT = Plan(
    [*SMALL, *FAST, "--num-inner-steps", "3", "--num-test-steps", "5"],
    {"5w1s": 600, "5w5s": 300, "20w1s": 300},
)
ONE_STEP = GRADIENT._replace(options=[*SMALL, *FAST])
PRETRAINED = Plan([], {"5w1s": 1500})
PLANS = {
    "protonet": METRIC,
    "matching": METRIC,
    "r2d2": METRIC,
    "maml": GRADIENT,
    "fomaml": GRADIENT,
    "anil": GRADIENT,
    "maml++": GRADIENT,
    "meta-sgd": ONE_STEP,
    "proto-maml": GRADIENT,
    "reptile": Plan(
        [*SMALL, "--train-shots", "10", "--train-queries", "5", "--inner-batch-size", "20"],
        {"5w1s": 800},
    ),
    "baseline": PRETRAINED,
    "baseline++": PRETRAINED,
    "knn": Plan([], {"5w1s": 1}),
}


@dataclass(frozen=True)
class Options:
    """Train and evaluate every learner in every setting."""

    output: Path = Path("runs/glyphs")
    """Where the run folders go; a finished run there is not repeated."""
    only: tuple[str, ...] = field(default=tuple(PRESETS))
    """Names of the learners."""
    scale: float = 1.0
    """All iterations times this."""


def task(setting: str) -> list[str]:
    """Options of a setting's episodes."""
    ways, shots = SETTINGS[setting]
    return ["--num-ways", str(ways), "--num-shots", str(shots)]


def experiment(options: Options) -> None:
    """The learners that were asked for, then their rows of the results."""
    rows = []
    for learner in options.only:
        plan = PLANS[learner]
        for setting in SETTINGS:
            trained_for = setting if setting in plan.iterations else "5w1s"
            budget = max(1, round(plan.iterations[trained_for] * options.scale))
            command = ["fewshot", learner, "--data", "glyphs", *task(trained_for), *plan.options]
            run = trained(options.output / learner / trained_for, command, budget)
            test = ["--tasks", "600", *task(setting)]
            figures = evaluated(run, test, run / f"{setting}.json")
            shown = " ".join(["metarl", *command, "--iterations", str(budget)])
            rows.append(
                fewshot_row(f"glyphs-{setting}", learner, figures, references=[], command=shown)
            )
    save(rows)


if __name__ == "__main__":
    experiment(tyro.cli(Options))

"""Heads on one trained backbone: every one on the same test episodes of the built-in glyphs.

    python experiments/heads.py [--output runs/heads] [--only baseline ...] [--seeds 0 1 2]

A backbone is trained for a minute or two on one CPU core. 200 test episodes with 10 queries a
class; those of transductive heads are classified jointly, and balanced, as their papers have it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import tyro
from results import NO_REFERENCE, commit, read_rows, save, write_table
from runner import evaluated, trained

from metarl.fewshot.heads.configs import HEADS
from metarl.report import crossed_interval

Learner = Literal["baseline", "protonet", "r2d2"]
SETTINGS = {"5w1s": ["--num-shots", "1"], "5w5s": ["--num-shots", "5"]}
FILTERS = ["--filters", "32"]
METRIC = [*FILTERS, "--train-ways", "20", "--train-queries", "5"]
PLANS: dict[Learner, tuple[list[str], int]] = {
    "baseline": (FILTERS, 400),
    "protonet": (METRIC, 300),
    "r2d2": (METRIC, 300),
}
"""Options and iterations."""
OWN = "own"


@dataclass(frozen=True)
class Options:
    """Train backbones, and evaluate every head on them."""

    output: Path = Path("runs/heads")
    """Where the run folders go; a finished run there is not repeated, nor is an evaluation."""
    only: tuple[Learner, ...] = get_args(Learner)
    """What trains the backbones."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of training."""
    tasks: int = 200
    """Test episodes."""
    scale: float = 1.0
    """All iterations times this."""
    small: bool = False
    """Next to nothing of everything: a test of the script."""


def experiment(options: Options) -> None:
    """Backbones, heads on them, rows of the results."""
    for learner in options.only:
        extra, iterations = PLANS[learner]
        command = ["fewshot", learner, "--data", "glyphs", "--eval-tasks", "0", *extra]
        command += ["--backbone", "mlp", "--hidden-sizes", "8"] if options.small else []
        budget = max(1, round(iterations * options.scale))
        runs = [
            trained(options.output / learner / str(seed), [*command, "--seed", str(seed)], budget)
            for seed in options.seeds
        ]
        shown = " ".join(["metarl", *command, "--iterations", str(budget)])
        for setting in SETTINGS:
            save([row_of(runs, learner, head, setting, shown, options) for head in (OWN, *HEADS)])
    write_table("heads", table())


def row_of(
    runs: list[Path], learner: str, head: str, setting: str, command: str, options: Options
) -> dict[str, Any]:
    """A row of the results: one head on the backbones of all seeds."""
    test = ["--tasks", str(options.tasks), *SETTINGS[setting]]
    test += [] if head == OWN else ["--head", head]
    test += ["--head-options", '{"num_steps": 2}'] if options.small and head == "tim" else []
    figures = [evaluated(run, test, run / f"{setting}-{head}.json") for run in runs]
    accuracy = np.stack([one["accuracy"][-1] for one in figures])  # [num_seeds, num_episodes]
    return {
        "experiment": f"heads-{setting}",
        "learner": f"{learner}, {head}",
        "env": figures[0]["env"],
        "seeds": [one["training_seed"] for one in figures],
        "env_steps": 0,
        "hours": round(float(np.mean([one["hours"] for one in figures])), 3),
        "steps": [0],
        "mean": [round(float(accuracy.mean()), 4)],
        "ci95": [np.round(crossed_interval(accuracy), 4).tolist()],
        "mean_per_seed": accuracy.mean(1, keepdims=True).round(4).tolist(),
        "num_episodes": accuracy.shape[1],
        "norm": figures[0]["norm"],
        "head": head,
        "transductive": figures[0]["transductive"],
        "head_options": figures[0].get("head_options", {}),
        "reference": NO_REFERENCE,
        "command": command,
        "commit": commit(),
    }


def table() -> str:
    """All rows there are, as Markdown: settings beside one another."""
    rows = [row for row in read_rows() if "head" in row]
    found = {(row["learner"], row["experiment"].removeprefix("heads-")): row for row in rows}
    head = ["backbone", "head", "queries", *(f"{name}, %" for name in SETTINGS), "batch norm"]
    head += ["episodes", "seeds", "hours", "commit"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for learner in PLANS:
        for name in (OWN, *HEADS):
            beside = [found.get((f"{learner}, {name}", setting)) for setting in SETTINGS]
            if (row := beside[0]) is None:
                continue
            together = "jointly (transductive)" if row["transductive"] else "one by one"
            cells = [learner, name, together, *map(_figure, beside), row["norm"]]
            cells += [str(row["num_episodes"]), ", ".join(map(str, row["seeds"]))]
            cells += [f"{row['hours']:.2f}", row["commit"]]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _figure(row: dict[str, Any] | None) -> str:
    """Accuracy with its 95 % interval, in percent."""
    if row is None:
        return ""
    (mean,), ((low, high),) = row["mean"], row["ci95"]
    return f"{100 * mean:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


if __name__ == "__main__":
    experiment(tyro.cli(Options))

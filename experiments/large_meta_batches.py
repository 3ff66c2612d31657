"""Which step sizes large meta-batches want, measured on a family that is cheap to simulate.

    python experiments/large_meta_batches.py [--learners maml-trpo promp] [--seeds 0 1 2]

2-D navigation, 20 steps, 5 trajectories a task, so that the meta-gradient of 20 tasks is soon as
much noise as signal (``noise_scale.py``). Meta-batches of 20, 100 and 400 tasks, by trust regions
of five sizes and by ProMP with four step sizes, 20 iterations each: after how many the return after
one step had come to -4.5, from -8, and what it was in the last five. Writes large_meta_batches.json
and the tables of experiments/README.md; what is there is not repeated. docs/gpu-physics.md says
what follows.
"""

import json
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from results import commit, write_table
from runner import trained, training_curve

PROBLEM = ["--env", "metarl/PointGoal-v0", "--horizon", "20", "--num-trajectories", "5"]
PROBLEM += ["--min-log-std", "-1.5", "--eval-tasks", "0", "--eval-every", "1000", "--quiet"]
ITERATIONS, LEVEL, WINDOW = 20, -4.5, 5
"""Of every run; the return to be reached by the mean of so many iterations."""
META_BATCHES = (20, 100, 400)
SETTINGS = {
    "maml-trpo": ("--max-kl", ("0.01", "0.02", "0.04", "0.08", "0.16")),
    "promp": ("--outer-lr", ("0.001", "0.002", "0.004", "0.008")),
}
"""Of a learner what is varied, and over what."""
RESULTS = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class Options:
    """Which runs."""

    learners: tuple[str, ...] = tuple(SETTINGS)
    """Keys of the settings."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of training."""
    output: Path = Path("runs/large_meta_batches")
    """Where the run folders go; a run there is gone on with."""


def row(learner: str, seed: int, num_tasks: int, setting: str, output: Path) -> dict[str, Any]:
    """Train one run; how soon it was good, and how good it was at the end."""
    option, _ = SETTINGS[learner]
    command = ["train", learner, *PROBLEM, "--meta-batch-size", str(num_tasks)]
    command += [option, setting, "--seed", str(seed)]
    run = trained(output / learner / f"{num_tasks}_{setting}_{seed}", command, ITERATIONS)
    _, returns = training_curve(run, "rollout/return_post")
    means = np.convolve(returns[:ITERATIONS], np.full(WINDOW, 1 / WINDOW), "valid")
    reached = np.flatnonzero(means >= LEVEL)
    return {
        "learner": learner,
        "tasks": num_tasks,
        "setting": setting,
        "seed": seed,
        "iterations": int(reached[0]) + WINDOW if len(reached) else None,
        "return": round(float(means[-1]), 3),
        "command": " ".join(["metarl", *command, "--iterations", str(ITERATIONS)]),
        "commit": commit(),
    }


def table(rows: list[dict[str, Any]], learner: str) -> str:
    """Iterations until the level was reached, and the return at the end, by meta-batch."""
    option, settings = SETTINGS[learner]
    heads = " | ".join(f"`{option} {setting}`" for setting in settings)
    lines = [f"| `{learner}` | {heads} |", "|---" * (len(settings) + 1) + "|"]
    for num_tasks in META_BATCHES:
        found: dict[str, list[dict[str, Any]]] = {setting: [] for setting in settings}
        for one in rows:
            if (one["learner"], one["tasks"]) == (learner, num_tasks):
                found[one["setting"]].append(one)
        lines.append(f"| {num_tasks} tasks | {' | '.join(map(_cell, found.values()))} |")
    return "\n".join(lines) + "\n"


def _cell(seeds: list[dict[str, Any]]) -> str:
    counts = ", ".join(str(one["iterations"] or f"> {ITERATIONS}") for one in seeds)
    returns = ", ".join(f"{one['return']:.2f}" for one in seeds)
    return f"{counts} ({returns})" if seeds else ""


def main(options: Options) -> None:
    """All runs of a learner and seed, then the next; what is done is kept."""
    rows: list[dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    known = {(r["learner"], r["seed"], r["tasks"], r["setting"]) for r in rows}
    for learner, seed in product(options.learners, options.seeds):
        for num_tasks, setting in product(META_BATCHES, SETTINGS[learner][1]):
            if (learner, seed, num_tasks, setting) not in known:
                rows.append(row(learner, seed, num_tasks, setting, options.output))
                RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    there = [name for name in SETTINGS if any(r["learner"] == name for r in rows)]
    tables = [table(rows, learner) for learner in there]
    write_table("large-meta-batches", "\n".join(tables))


if __name__ == "__main__":
    main(tyro.cli(Options))

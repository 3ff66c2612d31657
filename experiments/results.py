"""Results of experiments: collected from evaluation.json files into results.json and the table.

``experiments/results.json`` and the table in ``experiments/README.md`` are written here and never
by hand.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from metarl.report import adaptation_curve

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results.json"
README = FOLDER / "README.md"
BEGIN, END = "<!-- results begin -->", "<!-- results end -->"


def collect(
    evaluations: list[Path],
    *,
    experiment: str,
    learner: str,
    command: str,
    reference: dict[str, Any],
    training_seeds: list[int],
) -> dict[str, Any]:
    """One row of the results: several seeds' evaluations as one.

    The interval resamples single tasks of all seeds.
    """
    figures = [json.loads(path.read_text()) for path in evaluations]
    returns = np.concatenate([np.asarray(one["returns"]) for one in figures], axis=1)
    curve = adaptation_curve(returns, seed=0)
    return {
        "experiment": experiment,
        "learner": learner,
        "env": figures[0]["env"],
        "seeds": training_seeds,
        "env_steps": round(float(np.mean([one["env_steps"] for one in figures]))),
        "hours": round(float(np.mean([one["hours"] for one in figures])), 3),
        "steps": figures[0]["steps"],
        "mean": curve.mean.round(2).tolist(),
        "ci95": curve.ci95.round(2).tolist(),
        "mean_per_seed": [np.round(one["mean"], 2).tolist() for one in figures],
        "reference": reference,
        "command": command,
        "commit": commit(),
    }


def commit() -> str:
    """The commit that produced the results, with -dirty if metarl or envs differ from it."""
    run = ["git", "-C", str(FOLDER.parent)]
    dirty = subprocess.run(
        [*run, "status", "--porcelain", "metarl", "envs"],
        capture_output=True,
        text=True,
        check=True,
    )
    head = subprocess.run([*run, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    return head.stdout.strip()[:12] + ("-dirty" if dirty.stdout else "")


def save(rows: list[dict[str, Any]]) -> None:
    """Replace the rows of the same experiment and learner, then write the table again."""
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    new = {(row["experiment"], row["learner"]) for row in rows}
    kept = [row for row in kept if (row["experiment"], row["learner"]) not in new]
    everything = sorted([*kept, *rows], key=lambda row: (row["experiment"], row["learner"]))
    RESULTS.write_text(json.dumps(everything, indent=1) + "\n")
    text = README.read_text()
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    README.write_text(f"{head}{BEGIN}\n{table(everything)}{END}{tail}")


def table(rows: list[dict[str, Any]]) -> str:
    """The results as a Markdown table."""
    lines = [
        "| experiment | learner | after 0, 1, 2, 3 steps: mean [95 % interval] | reference "
        "| seeds | env steps | hours | commit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = zip(row["mean"], row["ci95"], strict=True)
        ours = "; ".join(f"{mean:.1f} [{low:.1f}, {high:.1f}]" for mean, (low, high) in cells)
        theirs = row["reference"]
        reference = f"{' / '.join(map(str, theirs['mean']))} ({theirs['source']})"
        seeds = ", ".join(map(str, row["seeds"]))
        lines.append(
            f"| {row['experiment']} | {row['learner']} | {ours} | {reference} | {seeds} "
            f"| {row['env_steps'] / 1e6:.1f} M | {row['hours']:.2f} | {row['commit']} |"
        )
    return "\n".join(lines) + "\n"

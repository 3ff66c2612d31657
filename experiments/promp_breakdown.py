"""Why ``promp`` breaks down on HalfCheetahDir where ``maml-trpo`` does not: one change at a time.

    python experiments/promp_breakdown.py [--only NAME ...] [--seeds 0] [--time-limit 900]

The setting is that of ``gradient_learners.py``, 20 million steps: horizon 100, action scale 10, 20
tasks of 20 trajectories, inner step size 0.1, Adam of 1e-3, 5 epochs, clip 0.3, inner KL 5e-4. Each
variant differs from it in what its name says and in nothing else, at equal environment steps.
``promp_breakdown.json`` and the table of the README have, per run, the best return after one step
of 10 iterations' mean, where it first fell below half of that, and what KL, inner KL, clip share, σ
and gradient norm were in the 5 iterations before, beside their medians until then; the picture has
all of them by iteration.

A run takes 30 minutes of one core. ``as-it-is`` beside ``old-denominator`` shows that the breakdown
was that of the older rows; the other variants are for what is slow in it, or breaks it down again.
"""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from gradient_learners import COMMAND
from matplotlib.figure import Figure
from numpy.typing import NDArray
from results import FOLDER, write_table
from runner import trained

VARIANTS = {
    "as-it-is": "",
    "old-denominator": "--no-inner-importance-weights",
    "kl-stop": "--kl-stop 0.02",
    "1-epoch": "--epochs 1",
    "2-epochs": "--epochs 2",
    "outer-lr-3e-4": "--outer-lr 3e-4",
    "outer-lr-2e-3": "--outer-lr 2e-3",
    "40-tasks": "--meta-batch-size 40",
    "authors": "--meta-batch-size 40 --min-log-std -13.8",
    "inner-kl-0.01": "--inner-kl 0.01",
    "no-inner-kl": "--inner-kl 0",
    "sigma-floor-0.22": "--min-log-std -1.5",
    "sigma-floor-1e-6": "--min-log-std -13.8",
}
FIGURES = {
    "rollout/return_post": "return after one step",
    "meta/kl": "KL",
    "meta/inner_kl": "inner KL",
    "meta/clipped": "clip share",
    "meta/std": "σ",
    "meta/gradient_norm": "gradient norm",
}
BEFORE, SMOOTH = 5, 10
RESULTS = FOLDER / "promp_breakdown.json"


@dataclass(frozen=True)
class Options:
    """Train variants and look at where they break down."""

    only: tuple[str, ...] = tuple(VARIANTS)
    """Which variants."""
    seeds: tuple[int, ...] = (0,)
    """Of training."""
    steps: float = 20e6
    """Environment steps of a run."""
    time_limit: float | None = None
    """Seconds of each training in this call; one that is not over is gone on with in the next."""
    output: Path = Path("runs/promp_breakdown")
    """Where the run folders go."""
    results: Path = RESULTS
    """Where the figures go."""


def experiment(options: Options) -> None:
    """The runs; then the figures, the table and the picture of all that there are."""
    for name in options.only:
        if name not in VARIANTS:
            raise SystemExit(f"--only must be of {', '.join(VARIANTS)}, got {name}")
        for seed in options.seeds:
            train(options, name, seed)
    found = sorted(options.output.glob("*/*/*/metrics.csv"))
    runs = {f"{path.parents[2].name}, seed {path.parents[1].name}": read(path) for path in found}
    options.results.write_text(
        json.dumps({n: figures(r) for n, r in runs.items()}, indent=1) + "\n"
    )
    if options.results == RESULTS:
        write_table("promp-breakdown", table(json.loads(RESULTS.read_text())))
        draw(runs, FOLDER / "pictures" / "promp_breakdown.png")


def train(options: Options, name: str, seed: int) -> None:
    """Train one variant, or go on with it."""
    changed = VARIANTS[name].split()
    tasks = 40 if "--meta-batch-size" in changed else 20
    iterations = round(options.steps / (2 * 20 * 100 * tasks))
    command = ["train", "promp", *COMMAND, *changed, "--seed", str(seed), "--eval-tasks", "0"]
    trained(options.output / name / str(seed), command, iterations, options.time_limit)


def read(path: Path) -> dict[str, NDArray[np.float64]]:
    """Columns of ``metrics.csv`` that tell of a breakdown, and millions of environment steps."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    columns = {name: np.array([float(row[name] or "nan") for row in rows]) for name in FIGURES}
    steps = np.array([float(row["rollout/env_steps"]) for row in rows])
    return {**columns, "steps": steps / 1e6}


def breakdown(returns: NDArray[np.float64]) -> tuple[float, int | None]:
    """Best mean return of 10 iterations, and the first one after it that is below half of that.

    Iterations count from 0; a mean is of an iteration and those before. A best return of 20 or
    less is none to break down from.
    """
    if len(returns) < SMOOTH:
        return float(returns.mean()), None
    means = np.convolve(returns, np.full(SMOOTH, 1 / SMOOTH), "valid")
    best = np.maximum.accumulate(means)
    fallen = np.flatnonzero((best > 20) & (means < best / 2))
    if len(fallen) == 0:
        return float(best[-1]), None
    return float(best[fallen[0]]), int(fallen[0]) + SMOOTH - 1


def figures(run: dict[str, NDArray[np.float64]]) -> dict[str, Any]:
    """What is kept of a run: before its breakdown, or at its end where it has none."""
    best, broken = breakdown(run["rollout/return_post"])
    # a mean falls up to 10 iterations after the returns
    end = len(run["steps"]) if broken is None else max(broken - SMOOTH + 1, 1)
    just = slice(max(end - BEFORE, 0), end)
    return {
        "best": round(best, 1),
        "last": round(float(run["rollout/return_post"][-SMOOTH:].mean()), 1),
        "steps": round(float(run["steps"][-1]), 2),
        "broken_at": None if broken is None else round(float(run["steps"][broken]), 2),
        "largest": {n: float(f"{run[n].max():.3g}") for n in ("meta/kl", "meta/clipped")},
        "before": {n: float(f"{run[n][just].mean():.3g}") for n in FIGURES},
        "until_then": {n: float(f"{np.median(run[n][:end]):.3g}") for n in FIGURES},
    }


def table(runs: dict[str, dict[str, Any]]) -> str:
    """All runs as Markdown; figures just before the breakdown, or the end, beside their medians."""
    shown = list(FIGURES)[1:]
    names = " | ".join([*(FIGURES[name] for name in shown), "largest KL, clip share"])
    lines = [f"| variant | best return | last | M steps | broken at | {names} |"]
    lines.append("|" + "---|" * (6 + len(shown)))
    for name, run in runs.items():
        cells = [f"{run['before'][f]:g} ({run['until_then'][f]:g})" for f in shown]
        broken = "-" if run["broken_at"] is None else f"{run['broken_at']:g}"
        cells.append(f"{run['largest']['meta/kl']:g}, {run['largest']['meta/clipped']:g}")
        head = [name, f"{run['best']:g}", f"{run['last']:g}", f"{run['steps']:g}", broken]
        lines.append(f"| {' | '.join([*head, *cells])} |")
    return "\n".join(lines) + "\n"


def draw(runs: dict[str, dict[str, NDArray[np.float64]]], path: Path) -> None:
    """Every figure over environment steps, a line a run."""
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    for axes, (name, label) in zip(figure.subplots(2, 3).flat, FIGURES.items(), strict=True):
        for run, columns in runs.items():
            axes.plot(columns["steps"], columns[name], linewidth=0.9, label=run)
        axes.set(title=label, xlabel="environment steps, millions")
        if name in ("meta/kl", "meta/inner_kl", "meta/gradient_norm"):
            axes.set_yscale("symlog", linthresh=1e-4)
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize="x-small")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    experiment(tyro.cli(Options))

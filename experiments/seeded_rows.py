"""Rows of several seeds, for the scripts of tables: training, evaluation, row, learning curves.

A run whose time is over before its iterations goes on when the script is called again; only then is
it evaluated and has its seed in the row, and its curve in ``curves``.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from results import FOLDER, NO_REFERENCE, collect, read_rows, save, write_table
from runner import evaluated, finished, trained, training_curve

from metarl.report import draw_lines

Array = NDArray[np.float64]
RETURNS = ("rollout/return_post", "rollout/return_last")
"""Of the tasks of training after adaptation, by gradients and without."""
SMOOTH, POINTS = 5, 100
"""Iterations of a mean, and points of a curve that is kept."""
CURVES = FOLDER / "curves"


class Plan(NamedTuple):
    """A learner of a table, and its budget, which is said before it runs."""

    experiment: str
    learner: str
    command: list[str]
    """Of a training, without seed, iterations and folder."""
    iterations: int
    test: list[str]
    """Options of the evaluation."""
    script: str
    """What makes the row again."""
    threshold: float
    """Return in training that stands for having learned, of all learners of the experiment."""
    reference: dict[str, Any] = NO_REFERENCE
    runs_of: str | None = None
    """The learner whose runs these are, where only the test is another one."""


@dataclass(frozen=True)
class Budget:
    """How much of a table is made."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Of training, one after the other."""
    iterations: int | None = None
    """Meta-iterations instead of each learner's own."""
    time_limit: float | None = None
    """Seconds of each training in this call; one that is not over is gone on with in the next."""
    output: Path = Path("runs")
    """Where the run folders go; a run there is gone on with."""


def make_row(plan: Plan, budget: Budget) -> None:
    """Train and evaluate the seeds, or go on with that; the row of those that are there."""
    iterations = budget.iterations or plan.iterations
    name = plan.learner.replace(" ", "_")
    folder = budget.output / plan.experiment / (plan.runs_of or name).replace(" ", "_")
    file = f"{'test' if plan.runs_of is None else name}-{iterations}.json"
    for seed in budget.seeds:
        command = [*plan.command, "--seed", str(seed)]
        run = trained(folder / str(seed), command, iterations, budget.time_limit)
        if not finished(run, iterations):
            print(f"{run}: not over after this call's time; the next one goes on")
            continue
        evaluated(run, plan.test, run / file)
        tests = sorted(folder.glob(f"*/*/{file}"), key=lambda path: int(path.parents[1].name))
        save([row_of(plan, tests, iterations)])
        write_table("speed-of-learning", speed_table(read_rows()))
        if plan.runs_of is None:
            keep_curves(plan, [path.parent for path in tests])


def row_of(plan: Plan, tests: list[Path], iterations: int) -> dict[str, Any]:
    """The row of the seeds that there are, which says how much of its budget it has."""
    theirs = plan.reference
    if iterations < plan.iterations:
        short = f"{iterations} of {plan.iterations} iterations"
        differs = "; ".join(part for part in (theirs["differs"], short) if part)
        theirs = {**theirs, "differs": differs, "same_protocol": False}
    row = collect(
        tests,
        experiment=plan.experiment,
        learner=plan.learner,
        command=plan.script,
        reference=theirs,
        training_seeds=[int(path.parents[1].name) for path in tests],
    )
    found = [crossing(path.parent, plan.threshold) for path in tests]
    return {
        **row,
        "training": " ".join([*plan.command, "--iterations", str(iterations)]),
        "threshold": plan.threshold,
        "steps_to_threshold": [None if one is None else one[0] for one in found],
        "hours_to_threshold": [None if one is None else one[1] for one in found],
    }


def smoothed(run: Path) -> tuple[Array, Array, Array]:
    """Environment steps in millions, hours and mean return in training of the last iterations."""
    steps, hours = training_curve(run, "time/seconds")
    header = (run / "metrics.csv").read_text().partition("\n")[0].split(",")
    (name,) = (name for name in RETURNS if name in header)
    returns = training_curve(run, name)[1]
    window = min(SMOOTH, len(returns))
    means = np.convolve(returns, np.full(window, 1 / window), "valid")
    return steps[window - 1 :], hours[window - 1 :] / 3600, means


def crossing(run: Path, threshold: float) -> tuple[float, float] | None:
    """Millions of steps and hours until the mean return of five iterations is there, if ever."""
    steps, hours, means = smoothed(run)
    there = np.flatnonzero(means >= threshold)
    if len(there) == 0:
        return None
    return _short(steps[there[0]]), _short(hours[there[0]])


def keep_curves(plan: Plan, runs: list[Path]) -> None:
    """Returns in training of a learner's seeds, to the experiment's file, and its picture."""
    path = CURVES / f"{plan.experiment}.json"
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    known[plan.learner] = [kept(run) for run in runs]
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(known, sort_keys=True, separators=(",", ":")) + "\n")
    draw_lines(
        FOLDER / "pictures" / f"{plan.experiment.replace('-', '_')}.png",
        {name: mean_curve(curves) for name, curves in known.items()},
        title=f"{plan.experiment}: mean of seeds, tasks of training",
        x_label="environment steps, millions",
        y_label="return after adaptation",
    )


def kept(run: Path) -> dict[str, list[float]]:
    """Of one seed, a point for some of the iterations."""
    steps, _, means = smoothed(run)
    chosen = np.unique(np.linspace(0, len(steps) - 1, POINTS).round().astype(int))
    return {
        "steps": [_short(each) for each in steps[chosen]],
        "return": [_short(each) for each in means[chosen]],
    }


def _short(value: float) -> float:
    """Four digits of it, which are enough for a curve."""
    return float(f"{value:.4g}")


def mean_curve(curves: list[dict[str, list[float]]]) -> tuple[Array, Array]:
    """Of several seeds, at the steps of the first, as far as the shortest goes."""
    last = min(curve["steps"][-1] for curve in curves)
    steps = np.array(curves[0]["steps"])
    steps = steps[steps <= last]
    returns = [np.interp(steps, curve["steps"], curve["return"]) for curve in curves]
    return steps, np.mean(returns, axis=0)


def speed_table(rows: list[dict[str, Any]]) -> str:
    """Rows with a threshold, as Markdown: when each seed had come to it."""
    head = ("experiment", "learner", "return", "seeds there", "million steps", "minutes", "in all")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows:
        if "threshold" not in row:
            continue
        steps = [each for each in row["steps_to_threshold"] if each is not None]
        minutes = [60 * each for each in row["hours_to_threshold"] if each is not None]
        cells = [row["experiment"], row["learner"], f"{row['threshold']:g}"]
        cells += [f"{len(steps)} of {len(row['seeds'])}"]
        cells += [", ".join(f"{each:.2f}" for each in steps) or "-"]
        cells += [", ".join(f"{each:.1f}" for each in minutes) or "-"]
        cells += [f"{row['env_steps'] / 1e6:.1f} M, {60 * row['hours']:.0f} min"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"

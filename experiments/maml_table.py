"""The RL table of the MAML paper: MAML beside one policy for all tasks, none, an oracle.

    python experiments/maml_table.py --family maml-half-cheetah-vel [--learner maml-trpo]
    python experiments/maml_table.py --family maml-ant-vel --seeds 0 1 2 --time-limit 3600

Families named ``maml-…`` have the authors' own physics, networks and budgets (cbfinn/maml_rl):
horizon 200, action scale 1, two relu layers of 100, log σ from 0, no floor of it that is ever
reached, inner step size 0.1, 40 tasks a meta-batch. Trajectories a task, trust region and
iterations are those of the runs whose figures the paper shows, as ``maml_examples/test_maml_*.py``
name their files. Evaluated like them: 40 tasks, 4,000 steps (20 trajectories) of adaptation a
gradient step, the step size halved after the first; the controls' step sizes are those that the
authors chose for them. What remains different every row says.

The other families have the same tasks in gymnasium's physics, where the authors' figures are not to
be reached or missed: control steps of their half-cheetah are a fifth as long. There log σ has a
floor, since noise costs more than it finds, and the half-cheetahs start with log σ = -1 and half
the inner step size: from σ = 1, which is cut off at the bounds of the actions, HalfCheetahVel took
four times the steps and HalfCheetahDir found nothing in 180 iterations.

A run whose time is over before its iterations goes on when the script is called again; only then
is it evaluated and has its seed in a row.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import tyro
from maml_families import FAMILIES, SOURCE, FamilyName, Learner
from numpy.typing import NDArray
from results import FOLDER, NO_REFERENCE, collect, reference, save
from runner import evaluated, finished, trained, training_curve

from metarl.report import draw_lines


@dataclass(frozen=True)
class Table:
    """Train and evaluate one learner on one family."""

    family: FamilyName = "maml-half-cheetah-vel"
    """Row of the table."""
    learner: Learner = "maml-trpo"
    """Column of the table."""
    seeds: tuple[int, ...] = (0,)
    """Of training, one after the other."""
    output: Path = Path("runs/maml_table")
    """Where the run folders go; a run there is gone on with."""
    iterations: int | None = None
    """Meta-iterations instead of the family's own."""
    time_limit: float | None = None
    """Seconds of each training in this call; one that is not over is gone on with in the next."""


def experiment(options: Table) -> None:
    """The runs, then their row of the results and the picture."""
    family, learner = FAMILIES[options.family], options.learner
    iterations = options.iterations or family.iterations
    folder = options.output / options.family / learner
    number = 1 if learner == "random-init" else iterations
    file = f"40-tasks-{number}.json"
    for seed in options.seeds:
        command = [*family.training(learner), "--seed", str(seed)]
        run = trained(folder / str(seed), command, number, options.time_limit)
        if not finished(run, number):
            print(f"{run}: not over after this call's time; the next one goes on")
            continue
        evaluated(run, family.test(learner), run / file)
        save([row(options, sorted(folder.glob(f"*/*/{file}")), iterations)])
    draw_curves(options.output / options.family, options.family)


def row(options: Table, evaluations: list[Path], iterations: int) -> dict[str, Any]:
    """The row of the seeds that there are; what it lacks in training it says."""
    family, learner = FAMILIES[options.family], options.learner
    short = learner != "random-init" and iterations < family.iterations
    budget = f"; {iterations} of {family.iterations} iterations" if short else ""
    theirs = family.reference[learner]
    return collect(
        evaluations,
        experiment=options.family,
        learner=learner,
        command=f"python experiments/maml_table.py --family {options.family} --learner {learner} "
        f"--iterations {iterations}",
        reference=reference(SOURCE, theirs, family.differs + budget) if theirs else NO_REFERENCE,
        training_seeds=[int(path.parents[1].name) for path in evaluations],
    )


def draw_curves(folder: Path, family: FamilyName) -> None:
    """The mean training curves of all learners that have runs there."""
    runs = {name: sorted((folder / name).glob("*/*/metrics.csv")) for name in get_args(Learner)}
    draw_lines(
        FOLDER / "pictures" / f"{family.replace('-', '_')}.png",
        {
            name: mean_curve([found.parent for found in there])
            for name, there in runs.items()
            if there and name != "random-init"
        },
        title=family,
        x_label="environment steps, millions",
        y_label="held-out return after training's inner steps",
    )


def mean_curve(runs: list[Path]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of several seeds, as far as the shortest goes."""
    curves = [np.stack(training_curve(run, "eval/return_post")) for run in runs]
    shortest = min(curve.shape[1] for curve in curves)
    steps, returns = np.mean([curve[:, :shortest] for curve in curves], axis=0)
    return steps, returns


if __name__ == "__main__":
    experiment(tyro.cli(Table))

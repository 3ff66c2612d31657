"""Rows of several seeds, for the scripts of few-shot tables: training, tests, row.

All learners of a table have one network and see as many train images, in as many iterations as that
takes. A run whose time is over before that goes on when the script is called again; only then is it
evaluated and has its seed in the row.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from results import fewshot_row, save
from runner import evaluated, finished, trained

from metarl.cli import _parse
from metarl.fewshot.configs import PretrainingConfig


class Plan(NamedTuple):
    """How a learner is trained."""

    options: list[str]
    settings: tuple[str, ...] = ("5w1s",)
    """Settings that it is trained for; see :func:`trained_for`."""


class Table(NamedTuple):
    """What all learners of a table have in common."""

    name: str
    data: list[str]
    """Options, but for where the data are."""
    network: list[str]
    """Options."""
    backbone: str
    """The network, as the table names it."""
    images: int
    """Train images, support and query together."""
    settings: dict[str, tuple[int, int]]
    """Ways and shots."""
    plans: dict[str, Plan]
    test: list[str]
    """Options of the evaluation."""
    norms: tuple[str, ...] = ()
    """Of the test, a row each; each learner's own one where there are none."""
    references: Callable[[str, str, str], tuple[dict[str, Any], ...]] = lambda *_: ()
    """Somebody's figures for learner, setting and norm."""


@dataclass(frozen=True)
class Budget:
    """How much of a table is made."""

    only: tuple[str, ...] = ()
    """Names of the learners; all by default."""
    settings: tuple[str, ...] = ()
    """Which ways and shots; all by default."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of training."""
    images: int | None = None
    """Train images instead of the table's."""
    time_limit: float | None = None
    """Seconds of each training in this call; one that is not over is gone on with in the next."""
    output: Path = Path("runs")
    """Where the run folders go; a run there is gone on with."""


def task(table: Table, setting: str) -> list[str]:
    """Options of a setting's episodes."""
    ways, shots = table.settings[setting]
    return ["--num-ways", str(ways), "--num-shots", str(shots)]


def training(table: Table, learner: str, setting: str) -> list[str]:
    """The command, without seed, iterations and folders."""
    options = [*table.data, *task(table, setting), *table.network, *table.plans[learner].options]
    return ["fewshot", learner, *options]


def trained_for(table: Table, learner: str, setting: str) -> str:
    """The setting of training, for a test: itself, the first with as many shots, or the first."""
    known = table.plans[learner].settings
    shots = [each for each in known if table.settings[each][1] == table.settings[setting][1]]
    return setting if setting in known else (shots or known)[0]


def images_an_iteration(command: list[str]) -> int:
    """Support and query of all episodes of an iteration, or the batch of a classifier."""
    problem: Any = _parse([*command, "--iterations", "1"]).problem
    algorithm, episodes = problem.algorithm, problem.episodes
    if isinstance(algorithm, PretrainingConfig):
        return int(algorithm.batch_size)
    ways = episodes.train_ways or episodes.num_ways
    shots = episodes.train_shots or episodes.num_shots
    queries = episodes.train_queries or episodes.num_queries
    return int(algorithm.meta_batch_size * ways * (shots + queries))


def make_table(table: Table, budget: Budget, where: tuple[str, ...] = ()) -> None:
    """The rows that were asked for, setting by setting; see :func:`make_rows`."""
    for setting in budget.settings or table.settings:
        for learner in budget.only or table.plans:
            make_rows(table, learner, setting, budget, where)


def make_rows(
    table: Table, learner: str, setting: str, budget: Budget, where: tuple[str, ...] = ()
) -> None:
    """Train and evaluate one learner in one setting; the rows of the seeds that there are.

    Args:
        table: which one.
        learner: of its plans.
        setting: of the test.
        budget: how much of it.
        where: options that say where the data are.
    """
    start = trained_for(table, learner, setting)
    command = training(table, learner, start)
    each = 0 if learner == "knn" else images_an_iteration(command)
    iterations = max(1, round((budget.images or table.images) / each)) if each else 1
    schedule = ["--eval-every", str(max(1, iterations // 10)), "--eval-tasks", "0"]
    found: dict[str, list[dict[str, Any]]] = {}
    runs = budget.output / table.name / learner / start
    last = runs.glob(f"*/*/checkpoints/iteration_{iterations:08d}.pt")
    for seed in sorted({*budget.seeds, *(int(path.parents[2].name) for path in last)}):
        folder = runs / str(seed)
        arguments = [*command, *where, *schedule, "--seed", str(seed)]
        run = trained(folder, arguments, iterations, budget.time_limit)
        if not finished(run, iterations):
            print(f"{run}: not over after this call's time; the next one goes on")
            continue
        for norm in table.norms or ("",):
            test = [*table.test, *task(table, setting), *(["--norm", norm] if norm else [])]
            name = "-".join(
                [setting, norm, str(iterations)] if norm else [setting, str(iterations)]
            )
            found.setdefault(norm, []).append(evaluated(run, test, run / f"{name}.json"))
    shown = ["metarl", *command, "--iterations", str(iterations)]
    for norm, figures in found.items():
        row = fewshot_row(
            f"{table.name}-{setting}",
            learner,
            figures,
            references=table.references(learner, setting, norm),
            command=" ".join(shown),
            trained_with={
                "backbone": table.backbone if each else "none",
                "iterations": iterations if each else 0,
                "train_images": iterations * each,
            },
        )
        save([row])

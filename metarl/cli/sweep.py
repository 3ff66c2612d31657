"""``metarl sweep``."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import tyro
from pydantic.dataclasses import dataclass
from rich.console import Console
from rich.table import Table

from metarl import runs
from metarl.cli.progress import say
from metarl.configs import STRICT, Count, Positive
from metarl.runs.evaluate import MEASURES
from metarl.runs.json_option import JsonObject
from metarl.runs.sweeps.rows import DONE


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Sweep:
    """Many runs of one config; called again, what is missing. Ends with a table of them."""

    config: tyro.conf.Positional[Path]
    """A config.json, a run folder, or the folder of a sweep that goes on."""
    seeds: str | None = None
    """Such as 0-4 or 0,1,7; the config's own by default."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE,VALUE")] = ()
    """Options of the config and the values that each takes, such as inner_lr=0.05,0.1 or
    hidden_sizes=[64,64],[8]; all combinations are run."""
    output: Path | None = None
    """Folder of the sweep; by default one under runs that says learner, subject and what is set."""
    jobs: Count | None = None
    """Runs at once; by default as many as there are processors for, or GPUs."""
    time_limit: Positive | None = None
    """Seconds of training of each run in this call."""
    slurm: JsonObject | None = None
    """Submit to Slurm (extra sweep) with these parameters of sbatch, such as {"partition": "gpu",
    "time": 600, "gpus_per_node": 1}; time is in minutes, and what needs more is queued again."""
    allow_code: bool = False
    """Import modules that the config names from the current folder, too."""
    status: bool = False
    """Print the table alone."""


def sweep(options: Sweep) -> int:
    """Run ``metarl sweep``: 0 if no run has failed, 1 if one has, 130 if it was interrupted."""
    told = runs.open_sweep(
        options.config,
        seeds=None if options.seeds is None else runs.parse_seeds(options.seeds),
        settings=runs.parse_settings(options.set),
        output=options.output,
    )
    if not options.status:
        runs.run_sweep(
            told,
            jobs=options.jobs,
            time_limit=options.time_limit,
            slurm=options.slurm,
            allow_code=options.allow_code,
            say=say,
        )
    print_table(told)
    states = {row.state for row in told.rows.values()}
    if "failed" in states:
        return 1
    return 0 if options.status or states <= {*DONE, "time limit"} else 130


def print_table(told: "runs.Sweep") -> None:
    """A row a run; below it why some have failed."""
    console = Console(width=None if Console().is_terminal else 120)
    rows = told.rows.values()
    table = Table(title=str(told.folder), caption=caption(rows))
    for name in ("run", "state"):
        table.add_column(name, overflow="fold")
    for name in ("iterations", "before", "after", "seconds"):
        table.add_column(name, justify="right")
    for row in rows:
        iterations = f"{row.iteration} of {row.iterations}"
        table.add_row(row.run, row.state, iterations, *figures(row))
    console.print(table)
    for row in rows:
        if row.error:
            console.print(f"{row.run}: {row.error}", soft_wrap=True, markup=False)
    console.print(f"figures: {told.folder / 'sweep.json'}", soft_wrap=True, markup=False)


def caption(rows: Iterable["runs.Row"]) -> str | None:
    """What the figures of a table of runs are."""
    measures = sorted({MEASURES[row.measure] for row in rows if row.measure})
    told = f"before and after adaptation to held-out tasks: {', '.join(measures)}"
    return told if measures else None


def figures(row: "runs.Row") -> list[str]:
    """Before and after adaptation, accuracies in percent as everywhere, and seconds."""
    factor, unit = (100.0, " %") if row.measure == "accuracy" else (1.0, "")
    scores = (row.before, row.after)
    told = [shown(None if score is None else factor * score) for score in scores]
    return [*(text and f"{text}{unit}" for text in told), shown(row.seconds, 0)]


def shown(figure: float | None, digits: int = 2) -> str:
    """A figure; empty where there is none."""
    return "" if figure is None or math.isnan(figure) else f"{figure:.{digits}f}"

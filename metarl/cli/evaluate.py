"""``metarl evaluate``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass
from rich.console import Console
from rich.table import Table
from rich.text import Text

from metarl import runs
from metarl.cli.options import TrainedRun
from metarl.cli.progress import TasksDisplay, quiet
from metarl.configs import STRICT
from metarl.runs.evaluate import MEASURES, Evaluation, EvaluationOptions, write_json


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Evaluate(EvaluationOptions, TrainedRun):
    """Measure adaptation on held-out tasks: table, evaluation.json and adaptation.png."""

    json: Path | None = None
    """Write the figures to this file too."""


def evaluate(options: Evaluate) -> int:
    """Run ``metarl evaluate``."""
    # what is said of older checkpoints does not matter here
    run, _ = runs.load(
        options.run, options.device, options.objects, quiet, which=options.checkpoint
    )
    with TasksDisplay() as tasks:
        evaluation = run.measure(options, tasks)
    if options.json is not None:
        write_json(options.json, evaluation.record)
    print_evaluation(evaluation)
    return 0


def print_evaluation(evaluation: Evaluation) -> None:
    """The adaptation table, and where pictures are."""
    console = Console(width=None if Console().is_terminal else 100)
    table = Table(title=Text(evaluation.test.title))
    adaptation = evaluation.test.adaptation
    percent = adaptation.measure == "accuracy"
    figure = "accuracy, %" if percent else MEASURES[adaptation.measure]
    success = shares_of(evaluation.record)
    columns = (adaptation.unit, figure, "95 % interval", "IQM", "95 % interval of IQM")
    for column in filter(None, (*columns, "success, %" if success else "")):
        table.add_column(column, justify="right")
    curve, factor = evaluation.curve, 100.0 if percent else 1.0
    rows = zip(curve.mean, curve.ci95, curve.iqm, curve.iqm_ci95, strict=True)
    for step, (mean, interval, iqm, iqm_interval) in enumerate(rows):
        figures = (mean * factor, interval * factor, iqm * factor, iqm_interval * factor)
        number = [str(step)] if adaptation.unit else []
        table.add_row(*number, *map(_shown, figures), *success[step : step + 1])
    console.print(table)
    for picture in evaluation.pictures:
        console.print(f"picture: {picture}", soft_wrap=True, markup=False)


def shares_of(record: Mapping[str, Any]) -> list[str]:
    """Success after every step with its interval, in percent; none where nothing tells of it."""
    return [
        f"{100 * mean:.0f} [{100 * low:.0f}, {100 * high:.0f}]"
        for mean, (low, high) in zip(
            record.get("success_mean", ()), record.get("success_ci95", ()), strict=True
        )
    ]


def _shown(figure: Any) -> str:
    """A number, or an interval."""
    if figure.ndim:
        return f"[{figure[0]:.2f}, {figure[1]:.2f}]"
    return f"{figure:.2f}"

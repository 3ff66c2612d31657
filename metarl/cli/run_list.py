"""``metarl runs``."""

from pathlib import Path

import tyro
from pydantic.dataclasses import dataclass
from rich.console import Console
from rich.table import Table
from rich.text import Text

from metarl import runs
from metarl.cli.sweep import caption, figures
from metarl.configs import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Runs:
    """List the runs in a folder: what, how far, how good, how to go on."""

    folder: tyro.conf.Positional[Path] = Path("runs")
    """Where to look, folders within it included."""


def list_runs(options: Runs) -> int:
    """Run ``metarl runs``."""
    found = runs.listed(options.folder)
    console = Console(width=None if Console().is_terminal else 170)
    table = Table(title=Text(str(options.folder)), caption=caption(run.row for run in found))
    for name in ("run", "learner", "environment or data", "state"):
        table.add_column(name, overflow="fold")
    for name in ("iterations", "before", "after", "seconds"):
        table.add_column(name, justify="right")
    for run in found:
        row = run.row
        cells = [str(run.folder.relative_to(options.folder)), run.learner, run.subject, row.state]
        table.add_row(*map(Text, cells), f"{row.iteration} of {row.iterations}", *figures(row))
    console.print(table)
    for run in found:
        if line := f"to go on: {run.to_go_on}" if run.to_go_on else run.row.error:
            console.print(line, soft_wrap=True, markup=False, highlight=False)
    return 0

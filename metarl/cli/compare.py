"""``metarl compare``."""

from pathlib import Path

import tyro
from pydantic.dataclasses import dataclass
from rich.console import Console
from rich.table import Table
from rich.text import Text

from metarl import runs
from metarl.configs import STRICT
from metarl.runs.comparison_files import COLUMNS, shown, table_of, title_of


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Compare:
    """Learners beside one another, over seeds and held-out tasks: tables, curves, a page."""

    run_folders: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders, each evaluated. Those of one configuration are its seeds."""
    output: Path | None = None
    """Folder for a page (index.html), tables (CSV, LaTeX) and pictures (SVG, PNG)."""


def compare(options: Compare) -> int:
    """Run ``metarl compare``."""
    comparison = runs.compare(options.run_folders, output=options.output)
    console = Console(width=None if Console().is_terminal else 170)
    for section in comparison.sections:
        table = Table(title=Text(title_of(section)))
        for index, name in enumerate(COLUMNS):
            table.add_column(name, justify="right" if index else "left")
        for row in table_of(section):
            table.add_row(*map(Text, row))
        console.print(table)
        for (one, other), found in section.improvements.items():
            share = shown(found.probability, found.probability_ci95)
            line = f"{one} scores more than {other} on a task with probability {share}"
            console.print(line, soft_wrap=True, markup=False, highlight=False)
    for path in comparison.files:
        console.print(f"written: {path}", soft_wrap=True, markup=False)
    return 0

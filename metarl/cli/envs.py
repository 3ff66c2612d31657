"""``metarl envs``."""

from pydantic.dataclasses import dataclass
from rich.console import Console
from rich.table import Table

from metarl import runs
from metarl.configs import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Envs:
    """Table of the task families."""


def envs(options: Envs) -> int:
    """Run ``metarl envs``."""
    table = Table(title="Task families")
    for column in runs.COLUMNS:
        table.add_column(column, overflow="fold")
    for row in runs.families():
        table.add_row(*row)
    Console(width=None if Console().is_terminal else 140).print(table)
    return 0

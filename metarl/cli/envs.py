"""``metarl envs``."""

from pathlib import Path

import tyro
from pydantic.dataclasses import dataclass
from rich.console import Console
from rich.table import Table

from metarl import runs
from metarl.configs import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Envs:
    """Table of the task families, or all that is known of one."""

    env: tyro.conf.Positional[str | None] = None
    """Id of one of them, such as metarl/PointGoal-v0, or ``module:Id`` of your own."""
    picture: Path | None = None
    """Draw how that family looks, and how its tasks are spread, to this file."""

    def __post_init__(self) -> None:
        if self.picture is not None and self.env is None:
            raise ValueError("picture is of one family: give its id")


def envs(options: Envs) -> int:
    """Run ``metarl envs``."""
    if options.env is not None:
        return _one(options.env, options.picture)
    table = Table(title="Task families")
    for column in runs.COLUMNS:
        table.add_column(column, overflow="fold")
    for row in runs.families():
        table.add_row(*row)
    Console(width=None if Console().is_terminal else 140).print(table)
    return 0


def _one(env_id: str, picture: Path | None) -> int:
    family, console = runs.family_of(env_id), Console(soft_wrap=True, highlight=False, markup=False)
    console.print(f"{env_id}: {family.specification}\n")
    for name, value in family.facts.items():
        console.print(f"{name}: {value}")
    given = ", ".join(
        f"{name} ({value})" if value else name for name, value in family.options.items()
    )
    console.print(f"options, by --env-kwargs: {given or 'none'}")
    if picture is not None:
        runs.draw_family(env_id, picture)
        console.print(f"picture: {picture}")
    return 0

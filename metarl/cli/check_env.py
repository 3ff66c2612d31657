"""``metarl check-env``."""

from dataclasses import field

import tyro
from pydantic.dataclasses import dataclass
from rich.console import Console

from metarl import runs
from metarl.configs import STRICT, Count, Seed
from metarl.runs.json_option import JsonObject


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CheckEnv:
    """Check that an environment is a task family: a line for everything that is found."""

    env: tyro.conf.Positional[str]
    """Id of a task family; ``module:Id`` imports the module first."""
    env_kwargs: JsonObject = field(default_factory=dict)
    """Options of the family as a JSON object."""
    steps: Count = 1000
    """Of a long look."""
    seed: Seed = 0
    """Of tasks, starts and actions."""


def check_env(options: CheckEnv) -> int:
    """Run ``metarl check-env``."""
    report = runs.check_env(
        options.env, env_kwargs=options.env_kwargs, steps=options.steps, seed=options.seed
    )
    verdict = "is a task family" if report.good else "is not the task family it should be"
    summary = "; ".join(filter(None, (f"{report.name} {verdict}", report.speed)))
    lines = [*map(str, report.findings), summary]
    Console(soft_wrap=True, markup=False, highlight=False).print(*lines, sep="\n")
    return 0 if report.good else 2

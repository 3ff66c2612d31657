"""``metarl adapt``."""

from dataclasses import replace
from pathlib import Path

from pydantic.dataclasses import dataclass
from rich.console import Console

from metarl import runs
from metarl.cli.options import TrainedRun
from metarl.cli.progress import say
from metarl.configs import STRICT
from metarl.runs.adapt import AdaptationOptions


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Adapt(AdaptationOptions, TrainedRun):
    """Adapt to one task; keeps the policy, its returns and a picture."""

    output: Path
    """Folder for what is adapted."""


def adapt(options: Adapt) -> int:
    """Run ``metarl adapt``."""
    objects = options.objects
    if options.task is None:  # then the environment is what is adapted to
        objects = replace(objects, env=None)
    run, _ = runs.load(options.run, options.device, objects, say, which=options.checkpoint)
    lines = run.built.adapt_and_keep(options, options.output, say)
    Console(soft_wrap=True, markup=False).print(*lines, sep="\n")
    return 0

"""``metarl push``."""

from pathlib import Path

import tyro
from pydantic.dataclasses import dataclass
from rich.console import Console

from metarl import runs
from metarl.configs import STRICT
from metarl.runs.config import Checkpoint


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Push:
    """Upload a run to the Hugging Face hub (extra hub): weights, plain data and a model card."""

    run: tyro.conf.Positional[Path]
    """The run folder, evaluated."""
    repo: tyro.conf.Positional[str]
    """OWNER/NAME there, made if there is none; every command then takes hf://OWNER/NAME."""
    checkpoint: Checkpoint = "latest"
    """The newest one, or the one that did best in validation (checkpoints/best.pt)."""
    private: bool = False
    """Make the repository a private one."""


def push(options: Push) -> int:
    """Run ``metarl push``."""
    address = runs.push_run(
        options.run, options.repo, checkpoint=options.checkpoint, private=options.private
    )
    Console(soft_wrap=True, markup=False, highlight=False).print(address)
    return 0

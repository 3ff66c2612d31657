"""Options that several commands share."""

from pathlib import Path

import tyro
from pydantic.dataclasses import dataclass

from metarl import runs
from metarl.configs import STRICT, Count
from metarl.runs.config import Checkpoint
from metarl.training import DeviceName


@dataclass(frozen=True, kw_only=True, config=STRICT)
class OpenRun:
    """How a run folder is opened."""

    run: tyro.conf.Positional[Path]
    """The run folder."""
    device: DeviceName | None = None
    """Another device than the run's."""
    env: str | None = None
    """The run's environment given again, where it is ``module:Id`` of your own."""
    backbone: str | None = None
    """The run's backbone given again, where it is ``module:Class`` of your own."""
    allow_code: bool = False
    """Import modules that the run's config names from the current folder, too."""
    workers: Count | None = None
    """Processes of environments in Python, instead of the run's own number."""

    @property
    def objects(self) -> "runs.UserObjects":
        """What the config cannot hold, and what it may import."""
        return runs.UserObjects(
            env=self.env,
            backbone_name=self.backbone,
            allow_code=self.allow_code,
            workers=self.workers,
        )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainedRun(OpenRun):
    """A run whose policy or classifier is used."""

    checkpoint: Checkpoint = "latest"
    """The newest one, or the one that did best in validation (checkpoints/best.pt)."""

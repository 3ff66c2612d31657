"""``metarl adapt``."""

from pathlib import Path
from typing import Annotated, Any

import tyro
from pydantic import Field
from pydantic.dataclasses import dataclass
from rich.console import Console

from metarl import report
from metarl.cli.options import OpenRun
from metarl.cli.progress import say
from metarl.configs import STRICT, Count, Seed
from metarl.runs.config import JsonObject
from metarl.runs.dataset import AdaptedClassifier, DataSets
from metarl.runs.errors import InputError
from metarl.runs.films import Camera
from metarl.runs.run import Run, load
from metarl.runs.simulated import AdaptedPolicy


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Adapt(OpenRun):
    """Adapt to one given task; keeps the policy, both returns and a picture."""

    output: Path
    """Folder for what is adapted."""
    task: JsonObject | None = None
    """Policies: the task as JSON that fits the task space, such as '{"goal": [0.3, -0.4]}'."""
    support: Path | None = None
    """Classifiers: folder with a folder of images a class, to adapt to."""
    query: Path | None = None
    """Classifiers: folder of images to classify, flat or with a folder a class."""
    skip_bad: bool = False
    """Classifiers: leave out images that cannot be read, and say how many."""
    steps: Count | None = None
    """Gradient steps, or trajectories where adaptation is without; 3, and a classifier's own, by
    default."""
    trajectories: Count | None = None
    """Policies: trajectories a step, or trials, 40 by default."""
    video: Annotated[Path | None, tyro.conf.arg(metavar="FILE.mp4")] = None
    """Policies: an .mp4 file that shows the task before and after adaptation, mean actions."""
    seed: Seed = 0
    """Draws the noise."""

    def __post_init__(self) -> None:
        if self.video is not None and self.video.suffix != ".mp4":
            raise ValueError(f"video must be a file that ends in .mp4, got {self.video}")


def adapt(options: Adapt) -> int:
    """Run ``metarl adapt``."""
    run, _ = load(options.run, options.device, options.own, say)
    lines = _classifier(run, options) if isinstance(run.built, DataSets) else _policy(run, options)
    console = Console(soft_wrap=True, markup=False)
    for line in lines:
        console.print(line)
    return 0

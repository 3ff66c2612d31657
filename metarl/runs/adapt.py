"""What a run is told to adapt to."""

from pathlib import Path

from pydantic.dataclasses import dataclass

from metarl.configs import STRICT, Count, Seed
from metarl.fewshot.configs import NormMode
from metarl.runs.json_option import JsonObject


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AdaptationOptions:
    """One task: of a policy as numbers, of a classifier as folders of images."""

    task: JsonObject | None = None
    """Policies: the task as JSON that fits the task space, such as '{"goal": [0.3, -0.4]}'."""
    support: Path | None = None
    """Classifiers: folder with a folder of images a class, to adapt to."""
    query: Path | None = None
    """Classifiers: folder of images to classify, flat or with a folder a class."""
    skip_bad: bool = False
    """Classifiers: leave out images that cannot be read, and say how many."""
    norm: NormMode | None = None
    """Classifiers: batch statistics of the images to classify; inductive by default, so that the
    class of an image does not depend on what else is classified."""
    steps: Count | None = None
    """Gradient steps, or trajectories where adaptation is without; 3, and a classifier's own, by
    default."""
    trajectories: Count | None = None
    """Policies: trajectories a step, or trials, 40 by default."""
    video: Path | None = None
    """Policies: an .mp4 file that shows the task before and after adaptation, mean actions."""
    seed: Seed = 0
    """Draws the noise."""

    def __post_init__(self) -> None:
        if self.video is not None and self.video.suffix != ".mp4":
            raise ValueError(f"video must be a file that ends in .mp4, got {self.video}")

"""What a run is told to adapt to."""

from pathlib import Path

from pydantic.dataclasses import dataclass

from metarl.configs import STRICT, Count, Seed
from metarl.fewshot.configs import NormMode
from metarl.fewshot.heads.configs import HeadName
from metarl.runs.json_option import JsonObject


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AdaptationOptions:
    """One task: a given one, that of an environment, of recorded data or of folders of images."""

    task: JsonObject | None = None
    """Policies: the task as JSON that fits the task space, such as '{"goal": [0.3, -0.4]}'."""
    env: str | None = None
    """Policies: an environment whose task nobody knows, in which the policy collects. With --task
    the run's environment given again, where it is ``module:Id`` of your own."""
    trajectories: tuple[Path, ...] = ()
    """Policies: files of recorded trajectories (docs/trajectories.md), one a gradient step; the
    last also serves all later steps."""
    force: bool = False
    """Policies: take recorded trajectories even where they are another policy's: where their
    effective sample size is below 5 % of their steps."""
    support: Path | None = None
    """Classifiers: folder with a folder of images a class, to adapt to."""
    query: Path | None = None
    """Classifiers: folder of images to classify, flat or with a folder a class."""
    skip_bad: bool = False
    """Classifiers: leave out images that cannot be read, and say how many."""
    norm: NormMode | None = None
    """Classifiers: batch statistics of the images to classify; inductive by default, so that the
    class of an image does not depend on what else is classified."""
    head: HeadName | None = None
    """Classifiers: classify by this head on the run's features, not the learner's own rule."""
    head_options: JsonObject | None = None
    """Classifiers: options of the head as JSON, such as '{"num_steps": 100}'."""
    steps: Count | None = None
    """Gradient steps, or trajectories where adaptation is without; 3, and a classifier's own, by
    default; one a file of recorded ones."""
    num_trajectories: Count | None = None
    """Policies: trajectories that are collected a step, or trials, 40 by default."""
    video: Path | None = None
    """Policies: an .mp4 file that shows the task before and after adaptation, mean actions."""
    seed: Seed = 0
    """Draws the noise."""

    def __post_init__(self) -> None:
        if self.video is not None and self.video.suffix != ".mp4":
            raise ValueError(f"video must be a file that ends in .mp4, got {self.video}")

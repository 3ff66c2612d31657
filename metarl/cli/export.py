"""``metarl export``."""

from pathlib import Path

from pydantic.dataclasses import dataclass
from rich.console import Console

from metarl import runs
from metarl.cli.options import TrainedRun
from metarl.cli.progress import say
from metarl.configs import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Export(TrainedRun):
    """Keep a policy as a PPO model that stable-baselines3 loads and goes on training."""

    sb3: Path
    """The .zip file to write."""
    policy: Path | None = None
    """A policy.pt that `metarl adapt` made from this run, instead of the meta-learned policy."""

    def __post_init__(self) -> None:
        if self.sb3.suffix != ".zip":
            raise ValueError(f"sb3 must be a file that ends in .zip, got {self.sb3}")


def export(options: Export) -> int:
    """Run ``metarl export``."""
    run, _ = runs.load(options.run, "cpu", options.objects, say, which=options.checkpoint)
    run.export(options.sb3, policy=options.policy)
    Console(soft_wrap=True, markup=False).print(f"stable-baselines3 model: {options.sb3}")
    return 0

"""``metarl export``."""

from pathlib import Path

import tyro
from pydantic.dataclasses import dataclass
from rich.console import Console

from metarl import runs
from metarl.cli.options import TrainedRun
from metarl.cli.progress import say
from metarl.configs import STRICT

SUFFIXES = {"sb3": ".zip", "onnx": ".onnx", "numpy": ".npz"}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Export(TrainedRun):
    """Keep a policy for stable-baselines3, or for a robot without torch.

    What adapts without gradients still adapts there.
    """

    run: tyro.conf.Positional[Path]
    """The run folder; with --onnx or --numpy also a policy.pt of `metarl adapt`."""
    sb3: Path | None = None
    """A .zip file: a PPO model that stable-baselines3 loads and goes on training."""
    onnx: Path | None = None
    """An .onnx file: a graph of one step. Needs the extra `deploy`."""
    numpy: Path | None = None
    """A .npz file; numpy_agent.py, which reads it and needs NumPy alone, is written beside it."""
    policy: Path | None = None
    """A policy.pt that `metarl adapt` made from this run, instead of the run's own policy."""

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in SUFFIXES if getattr(self, name) is not None}
        if len(given) != 1:
            raise ValueError(
                "onnx FILE.onnx, --numpy FILE.npz or --sb3 FILE.zip must be given, one of them"
            )
        for name, path in given.items():
            if path.suffix != SUFFIXES[name]:
                raise ValueError(f"{name} must be a file that ends in {SUFFIXES[name]}, got {path}")
        if self.run.suffix == ".pt" and (self.sb3 or self.policy):
            raise ValueError("run must be a run folder with --sb3 and --policy")


def export(options: Export) -> int:
    """Run ``metarl export``."""
    console = Console(soft_wrap=True, markup=False)
    if options.sb3 is not None:
        run = _opened(options)
        run.export(options.sb3, policy=options.policy)
        console.print(f"stable-baselines3 model: {options.sb3}")
        return 0
    for path in _deployed(options):
        console.print(f"written: {path}")
    return 0


def _deployed(options: Export) -> list[Path]:
    """The files written, of a policy or a run."""
    kind: runs.Format = "numpy" if options.onnx is None else "onnx"
    path = options.numpy if options.onnx is None else options.onnx
    assert path is not None
    if options.run.suffix == ".pt":
        return runs.export_policy(runs.read_policy("run", options.run, 1.0), path, kind)
    run = _opened(options)
    write = run.export_onnx if kind == "onnx" else run.export_numpy
    return write(path, policy=options.policy)


def _opened(options: Export) -> "runs.Run":
    run, _ = runs.load(options.run, "cpu", options.objects, say, which=options.checkpoint)
    return run

"""Train a run through the command line, or go on with it, and evaluate it; shared by the scripts.

A run lives in a folder of its own; a finished one there is not trained again.
"""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl.cli import main


def trained(
    folder: Path, command: list[str], iterations: int, time_limit: float | None = None
) -> Path:
    """The run folder in ``folder``, trained to ``iterations`` unless the time is over before.

    Args:
        folder: holds this one run.
        command: of a fresh run, without ``--iterations`` and ``--output``.
        iterations: in all.
        time_limit: seconds of training in this call; none by default.
    """
    made = sorted(folder.glob("*/config.json"))
    if made and finished(made[-1].parent, iterations):
        return made[-1].parent
    if made:
        arguments = ["resume", str(made[-1].parent), "--allow-code"]
    else:
        arguments = [*command, "--output", str(folder)]
    limit = [] if time_limit is None else ["--time-limit", str(time_limit)]
    called([*arguments, "--iterations", str(iterations), *limit])
    (config,) = folder.glob("*/config.json")
    return config.parent


def finished(run: Path, iterations: int) -> bool:
    """Whether the newest checkpoint of a run is its last one."""
    return (run / "checkpoints" / f"iteration_{iterations:08d}.pt").exists()


def evaluated(run: Path, options: list[str], target: Path) -> dict[str, Any]:
    """Figures of ``metarl evaluate``, which are kept in ``target``."""
    if not target.exists():
        called(["evaluate", str(run), *options, "--json", str(target)])
    figures: dict[str, Any] = json.loads(target.read_text())
    return figures


def training_curve(run: Path, key: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Millions of environment steps, and a figure of ``metrics.csv``, NaN where it is not there."""
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    steps, figures = (
        np.array([float(row[name] or "nan") for row in rows]) for name in ("rollout/env_steps", key)
    )
    return steps / 1e6, figures


def called(arguments: list[str]) -> None:
    """Run a command of ``metarl``; end with its status if it fails."""
    if (status := main(arguments)) != 0:
        sys.exit(status)

"""Meta-training on one GPU by the clock: what ``maml-trpo`` reaches within minutes.

    python experiments/gpu_train.py [--only NAME ...] [--seconds 150] [--output runs/gpu]

The recipes are those of the cores (``half_cheetah_dir.py``, ``maml_families.py``), but for 400
tasks a meta-batch and a trust region of 0.04 nats. These two are predicted, not measured:
docs/gpu-physics.md says from what. ``gpu_train.json`` is of before, of 20 tasks and 0.01. Physics,
policy and meta-gradient are on the GPU. A run that is there is gone on with. Each is evaluated as
it ends, and ``gpu_train.json`` keeps its curve over seconds, the card and the command.
"""

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import tyro
from half_cheetah_dir import COMMAND
from maml_families import FAMILIES
from runner import called

FIGURES = ("eval/return_pre", "eval/return_post", "rollout/return_post", "rollout/env_steps")
LARGE = ["--meta-batch-size", "400", "--max-kl", "0.04"]
COMMANDS = {
    "half-cheetah-dir": [*COMMAND, *LARGE],
    "half-cheetah-vel": [*FAMILIES["half-cheetah-vel"].training("maml-trpo"), *LARGE],
}
"""Most valuable first."""
RESULTS = Path(__file__).with_name("gpu_train.json")


@dataclass(frozen=True)
class Options:
    """Which runs, and for how long."""

    only: tuple[str, ...] = tuple(COMMANDS)
    """Names of runs."""
    seconds: float = 150.0
    """Training of each in this session."""
    output: Path = Path("runs/gpu")
    """Where their folders go."""
    results: Path = RESULTS
    """Where the figures go."""
    small: bool = False
    """A few tiny iterations on the CPU, to see that it runs."""
    extra: tuple[str, ...] = field(default=())
    """More options of ``metarl train``."""


def run(name: str, options: Options) -> dict[str, Any]:
    """Train or go on, evaluate; the curve and the figures."""
    folder = options.output / name
    limit = ["--time-limit", str(options.seconds)]
    made = sorted(folder.glob("*/config.json"))
    if made:
        called(["resume", str(made[-1].parent), *limit])
    else:
        device = ["--device", "cpu" if options.small else "cuda", "--engine", "device"]
        command = [*COMMANDS[name], *device, "--eval-every", "20", "--iterations", "5000"]
        if options.small:
            command += ["--meta-batch-size", "2", "--num-trajectories", "2", "--iterations", "1"]
        called([*command, *options.extra, *limit, "--eval-tasks", "0", "--output", str(folder)])
    (config,) = folder.glob("*/config.json")
    target = config.parent / "40-tasks.json"
    tasks = ["2", "--trajectories", "2"] if options.small else ["40"]
    called(["evaluate", str(config.parent), "--tasks", *tasks, "--json", str(target)])
    evaluation = json.loads(target.read_text())
    return {
        "card": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "command": " ".join(["metarl", *COMMANDS[name], *options.extra]),
        "curve": curve(config.parent),
        "evaluation": {key: evaluation[key] for key in ("mean", "ci95", "env_steps", "hours")},
    }


def curve(folder: Path) -> list[dict[str, float]]:
    """Seconds and figures of every evaluation in training."""
    with (folder / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["eval/return_post"]]
    return [{name: float(row[name]) for name in ("time/seconds", *FIGURES)} for row in rows]


def main(options: Options) -> None:
    """Each run in turn; what is done is written before the next starts."""
    results = json.loads(options.results.read_text()) if options.results.exists() else {}
    for name in options.only:
        results[name] = run(name, options)
        options.results.write_text(json.dumps(results, indent=2) + "\n")
        print(f"{name}: {results[name]['evaluation']}", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))

"""How well prototypes tell held-out goals apart: the runs of ``embedding.py --family point-goal``.

    python experiments/nearest_prototypes.py [--seeds 0 1 2]

400 held-out goals in 20 groups of 20, five trials each, prototypes after one trajectory: how often
that of another trial is nearest to that of its task's first, within a group. And a linear probe
from the first trial's prototypes to the goal, as in ``dynamics_probe.py``. The table goes to
experiments/README.md.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from dynamics_probe import r_squared
from results import commit, write_table

import metarl
from metarl.embedding import nearest_accuracy
from metarl.sb3 import ProtoEmbedding

NUM_GROUPS, GROUP, NUM_TRIALS = 20, 20, 5


@dataclass(frozen=True)
class Options:
    """Which runs."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Of training."""
    runs: Path = Path("runs/embedding/point-goal/proto-embedding")
    """Where ``embedding.py`` left them."""


def line(seed: int, folder: Path) -> str:
    """A row of the table."""
    (config,) = folder.glob("*/config.json")
    learner = metarl.load_run(config.parent).learner
    assert isinstance(learner, ProtoEmbedding)
    run = learner.run_trials(NUM_GROUPS * GROUP, NUM_TRIALS, 1, seed=0, keep_transitions=True)
    prototypes = learner.embeddings(run)
    found = np.array([nearest_accuracy(group) for group in np.split(prototypes, NUM_GROUPS)])
    goals = np.stack([task["goal"] for task in run.tasks])
    linear = " / ".join(f"{r:.2f}" for r in r_squared(prototypes[:, 0].astype(np.float64), goals))
    steps = learner.env_steps / 1e6
    spread = f"{found.mean():.3f} [{found.min():.2f}, {found.max():.2f}]"
    return f"| {seed} | {steps:.1f} M | {spread} | {linear} |"


def experiment(options: Options) -> None:
    """Measure every run, then write the table."""
    lines = [line(seed, options.runs / str(seed)) for seed in options.seeds]
    head = "| seed | env steps | accuracy, mean [least, most] of the groups | R² of x / y |"
    text = "\n".join([head, "|---|---|---|---|", *lines]) + "\n"
    print(text)
    write_table("nearest", f"{text}\nCommit {commit()}.\n")


if __name__ == "__main__":
    experiment(tyro.cli(Options))

"""Does the prototype carry the dynamics? A linear probe from prototypes to a robot's multipliers.

    python experiments/dynamics_probe.py [--output runs/dynamics_probe]

``proto-embedding`` on HalfCheetahRandParams, whose tasks multiply masses, inertias, friction and
damping. Prototypes of 1,000 held-out bodies after one trajectory; ridge regression to the logarithm
of every multiplier, R² on bodies that it was not fitted to (five folds). The control fits the same
to the prototypes of other bodies. The table goes to experiments/README.md.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray
from results import commit, write_table
from runner import trained

import metarl
from metarl.sb3 import ProtoEmbedding

COMMAND = ["train", "proto-embedding", "--env", "metarl/HalfCheetahRandParams-v0"]
NUM_BODIES, NUM_FOLDS = 1000, 5
RIDGE = 1.0  # of standardised prototypes


@dataclass(frozen=True)
class Options:
    """Train an encoder and probe it."""

    output: Path = Path("runs/dynamics_probe")
    """Where the run folder goes; a run there is gone on with."""
    iterations: int = 40
    """Meta-iterations, of 160,000 environment steps each."""


def r_squared(prototypes: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """R² of ridge regression on folds that it was not fitted to.

    Args:
        prototypes: ``[M, D]``.
        targets: ``[M, P]``.

    Returns:
        Of every target, ``[P]``.
    """
    inputs = (prototypes - prototypes.mean(0)) / (prototypes.std(0) + 1e-8)
    inputs = np.concatenate([inputs, np.ones((len(inputs), 1))], 1)
    fold = np.arange(len(inputs)) % NUM_FOLDS
    residuals = np.empty_like(targets)
    for one in range(NUM_FOLDS):
        fitted = fold != one
        gram = inputs[fitted].T @ inputs[fitted] + RIDGE * np.eye(inputs.shape[1])
        weights = np.linalg.solve(gram, inputs[fitted].T @ targets[fitted])
        residuals[~fitted] = targets[~fitted] - inputs[~fitted] @ weights
    unexplained: NDArray[np.float64] = residuals.var(0) / targets.var(0)
    return 1.0 - unexplained


def experiment(options: Options) -> None:
    """The run, then the table."""
    folder = trained(options.output, COMMAND, options.iterations)
    learner = metarl.load_run(folder).learner
    assert isinstance(learner, ProtoEmbedding)
    run = learner.run_trials(NUM_BODIES, 1, 1, seed=0, keep_transitions=True)
    prototypes = learner.embeddings(run)[:, 0].astype(np.float64)
    others = np.random.default_rng(0).permutation(prototypes)
    lines = [
        "| multipliers of | how many | R², mean | best | control, mean | best |",
        "|---|---|---|---|---|---|",
    ]
    for name in run.tasks[0]:
        logs = np.log(np.stack([np.ravel(task[name]) for task in run.tasks]))
        found = [r_squared(inputs, logs) for inputs in (prototypes, others)]
        cells = [f"{one:.3f}" for r in found for one in (r.mean(), r.max())]
        lines.append(f"| {name} | {logs.shape[1]} | {' | '.join(cells)} |")
    text = "\n".join(lines) + "\n"
    print(text)
    steps = learner.env_steps / 1e6
    note = f"\n{steps:.1f} million steps, seed 0, commit {commit()}.\n"
    write_table("dynamics", text + note)


if __name__ == "__main__":
    experiment(tyro.cli(Options))

"""``torchrun`` learns what one process learns: curves of several seeds, 1, 2 and 4 ranks.

Takes 5 minutes of two cores.
"""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

SEEDS = range(3)
RUN = (
    "train maml-trpo --env metarl/PointGoal-v0 --meta-batch-size 20 --num-trajectories 10 "
    "--iterations 40 --eval-every 10 --checkpoint-every 40 --eval-tasks 20 --quiet"
)


def _curve(size: int, seed: int, output: Path, *options: str) -> NDArray[np.float64]:
    """Return after adaptation of 20 held-out tasks, ``[evaluations]``."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={size}"]
    python = [sys.executable, *(launcher if size > 1 else ()), "-m", "metarl"]
    where = ["--seed", str(seed), "--output", str(output)]
    subprocess.run(
        [*python, *RUN.split(), *where, *options],
        check=True,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )
    (table,) = output.glob("*/metrics.csv")
    with table.open(newline="") as file:
        rows = [row["eval/return_post"] for row in csv.DictReader(file)]
    return np.array([float(row) for row in rows if row])


@pytest.mark.slow
def test_curves_of_1_2_and_4_ranks_are_equal_to_noise(tmp_path: Path) -> None:
    """They differ as curves of one process do that sums in another order, by ``--task-chunk``.

    TRPO's conjugate gradients amplify rounding, and what is learned from other steps parts.
    """

    def curves(size: int, *options: str) -> NDArray[np.float64]:
        place = tmp_path / f"{size}{''.join(options)}"
        return np.array([_curve(size, seed, place / str(seed), *options) for seed in SEEDS])

    one = curves(1)
    noise = np.abs(curves(1, "--task-chunk", "7") - one)
    assert 0 < noise.mean() < 2
    for size in (2, 4):
        apart = np.abs(curves(size) - one)
        sys.stdout.write(
            f"\n{size} ranks: {apart.mean(0).round(2)} from one process (seed by seed), which is "
            f"{noise.mean(0).round(2)} from itself with sums in another order\n"
        )
        assert apart.mean() < 3 * noise.mean()
        assert apart[:, 0].max() < 0.1  # ten iterations have not parted yet
    sys.stdout.write(f"one process: {one.mean(0).round(2)}\n")
    assert (one[:, -1] > one[:, 0] + 5).all()

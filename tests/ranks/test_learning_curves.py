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


def _curve(size: int, seed: int, output: Path) -> NDArray[np.float64]:
    """Returns before and after adaptation of 20 held-out tasks, ``[evaluations, 2]``."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={size}"]
    python = [sys.executable, *(launcher if size > 1 else ())]
    subprocess.run(
        [*python, "-m", "metarl", *RUN.split(), "--seed", str(seed), "--output", str(output)],
        check=True,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )
    (table,) = output.glob("*/metrics.csv")
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["eval/return_post"]]
    return np.array([[float(row[f"eval/return_{at}"]) for at in ("pre", "post")] for row in rows])


@pytest.mark.slow
def test_curves_of_1_2_and_4_ranks_are_equal_to_noise(tmp_path: Path) -> None:
    """Between ranks less lies than between seeds, and learning is ten times all of it."""
    one, two, four = (
        np.array([_curve(size, seed, tmp_path / f"{size}-{seed}") for seed in SEEDS])[..., 1]
        for size in (1, 2, 4)
    )
    between_seeds = np.ptp(one, axis=0)
    for name, other in (("2", two), ("4", four)):
        apart = np.abs(other - one).mean(0)
        sys.stdout.write(
            f"\n{name} ranks: after adaptation {other.mean(0).round(2)}, one process "
            f"{one.mean(0).round(2)}; a seed's curves lie {apart.round(3)} apart, seeds' "
            f"{between_seeds.round(3)}\n"
        )
        assert (apart <= between_seeds).all()
        learned = one[:, -1] - one[:, 0]
        assert (np.abs(other[:, -1] - one[:, -1]) < learned / 10).all()

"""Whether memory grows: resident megabytes of a ``maml-trpo`` training run, early and late.

A whole run as ``metarl train maml-trpo`` does it, with its metrics and checkpoints: 20 tasks as by
default, but 5 trajectories a task instead of 20, to take minutes (``--quick``: 2 trajectories and
fewer iterations). Linux only, as it reads ``/proc``.
"""

import os
import tempfile
from pathlib import Path

import harness
from policy_learners import make_learner

from metarl.training import CSVWriter, Schedule, TensorBoardWriter, Trainer
from metarl.types import Metrics


def resident_megabytes() -> float:
    """What the process holds in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Train and look twice."""
    quick = harness.quick_asked(__doc__)
    early, late = 50, 150 if quick else 500
    num_trajectories = 2 if quick else 5
    learner = make_learner("maml-trpo", "metarl/PointGoal-v0", num_trajectories=num_trajectories)
    seen: dict[int, float] = {}

    def progress(iteration: int, metrics: Metrics) -> None:
        seen[iteration] = resident_megabytes()

    with tempfile.TemporaryDirectory() as folder:
        writers = [CSVWriter(), TensorBoardWriter()]
        schedule = Schedule(iterations=late)
        Trainer(learner, schedule, output=folder, writers=writers, warn=print).run(progress)
    harness.report(
        [
            harness.Row(
                name="memory-growth",
                against=f"iteration-{early}",
                unit=f"megabytes, iteration {late}",
                ours=[seen[late]],
                theirs=[seen[early]],
            )
        ]
    )


if __name__ == "__main__":
    main()

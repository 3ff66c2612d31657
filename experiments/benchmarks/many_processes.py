"""Sampling and communication of one run over several processes, learner by learner.

``torchrun --nproc-per-node G experiments/benchmarks/many_processes.py`` gives each process the
same number of tasks, so with more of them there is more to do, and prints for each learner:
environment steps a second of all processes while they collect, and the share of an iteration that
is communication, with the waiting for slower ones. For one core: ``taskset -c 0 torchrun …``.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from metarl import runs, training
from metarl.core.collectives import COMMUNICATION, ranks
from metarl.runs.config import EnvProblem, config_of
from metarl.types import Metrics

LEARNERS = ("maml-trpo", "maml-vpg", "promp", "e-maml", "reptile", "cavia", "meta-sgd")


def measured(learner: str, env: str, tasks: int, folder: str) -> Iterator[Metrics]:
    """What iterations report, the first left out."""
    config = config_of(EnvProblem, learner, env=env, meta_batch_size=tasks * ranks().size)
    session = runs.start(config, runs.UserObjects(), output=Path(folder), writers=())
    while True:
        before = COMMUNICATION.seconds
        metrics = session.built.learner.iterate()
        yield {**metrics, "communication": COMMUNICATION.seconds - before}


def main() -> None:
    """Print a line for each learner."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", default="metarl/HalfCheetahDir-v0")
    parser.add_argument("--tasks", type=int, default=4, help="of each process")
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--learners", nargs="+", default=LEARNERS)
    options = parser.parse_args()
    training.join()
    for learner in options.learners:
        with tempfile.TemporaryDirectory() as folder:
            iterations = measured(learner, options.env, options.tasks, folder)
            next(iterations)
            told = [next(iterations) for _ in range(options.iterations)]
        speeds = [m["rollout/steps"] / m["time/collect_seconds"] for m in told]
        shares = [
            m["communication"] / (m["time/collect_seconds"] + m["time/update_seconds"])
            for m in told
        ]
        if training.is_first():
            print(
                f"{learner} {ranks().size} processes: {median(speeds):,.0f} steps a second "
                f"({min(speeds):,.0f} to {max(speeds):,.0f}), communication {median(shares):.1%} "
                f"({min(shares):.1%} to {max(shares):.1%})",
                flush=True,
            )


if __name__ == "__main__":
    main()

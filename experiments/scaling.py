"""How long an iteration takes on many processes: measured on few, predicted for more.

    python experiments/scaling.py latency     # sums over 2 and 4 processes, by size
    python experiments/scaling.py costs       # iterations of one process, by tasks; messages of two
    python experiments/scaling.py measured    # iterations of 1, 2 and 4 processes
    python experiments/scaling.py page        # docs/scaling.md

Every stage adds to ``scaling.json``. The model has nothing that was fitted to iterations of several
processes: one process gives seconds that an iteration always takes and seconds of a task; two give
how many messages an iteration sends and how large; sums alone give seconds of a message (gloo
passes it around a ring, so that a message costs 2 (R - 1) hops among R processes) and of a byte.
"""

import csv
import json
import math
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
import tyro
from torch import distributed as dist

from metarl import cli, training

RECORD = Path(__file__).with_name("scaling.json")
PAGE = Path(__file__).parent.parent / "docs" / "scaling.md"
ITERATIONS = 6
"""Of a measurement; the first one is left out."""
SIZES = (1, 1_000, 10_000, 100_000, 1_000_000)
"""Numbers of a sum, in single precision."""
TASKS = (8, 16, 32)
PROCESSES = (1, 2, 4)
WORKLOADS = {
    "maml-trpo": "train maml-trpo --env metarl/HalfCheetahDir-v0 --num-trajectories 10 "
    "--horizon 100",
    "promp": "train promp --env metarl/HalfCheetahDir-v0 --num-trajectories 10 --horizon 100",
    "maml": "fewshot maml --data glyphs --num-ways 5 --num-shots 1",
    "protonet": "fewshot protonet --data glyphs --num-ways 5 --num-shots 1",
}
CORES = 2
"""Of the machine that was measured on."""
PREDICTED = (8, 64, 512)
MANY = 10_000
"""Tasks an iteration, of the last question."""


class Cost(NamedTuple):
    """What an iteration of a learner costs."""

    fixed: float
    """Seconds, however many tasks there are."""
    per_task: float
    """Seconds."""
    messages: float
    """Sums and gatherings, each of all processes."""
    num_bytes: float
    """Of all of them."""


class Network(NamedTuple):
    """What a message costs."""

    hop: float
    """Seconds from one process to the next."""
    per_byte: float
    """Seconds."""


class Prediction(NamedTuple):
    """Seconds of an iteration."""

    compute: float
    communication: float

    @property
    def whole(self) -> float:
        """Both, one after the other."""
        return self.compute + self.communication


def predicted(
    cost: Cost, network: Network, processes: int, tasks: int, cores: float = math.inf
) -> Prediction:
    """An iteration of so many tasks on so many processes, the slowest of which has the most."""
    compute = cost.fixed + cost.per_task * math.ceil(tasks / processes)
    compute *= max(1.0, processes / cores)
    hops = 2 * (processes - 1)
    latency = cost.messages * hops * network.hop
    transfer = hops / processes * cost.num_bytes * network.per_byte
    return Prediction(compute, latency + transfer)


def most_useful(cost: Cost, network: Network, tasks: int) -> int:
    """How many processes an iteration is fastest on, up to one a task."""
    return min(range(1, tasks + 1), key=lambda n: predicted(cost, network, n, tasks).whole)


def torchrun(processes: int, *arguments: str) -> str:
    """Run under torchrun; what the first process printed."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*launcher, "--nproc-per-node", str(processes), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def seconds_of(workload: str, tasks: int, processes: int) -> float:
    """Of an iteration: the median of all but the first."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--meta-batch-size", tasks, "--iterations", ITERATIONS, "--eval-tasks", 0]
        options += ["--eval-every", 1000, "--quiet", "--output", folder]
        arguments = [*WORKLOADS[workload].split(), *map(str, options)]
        if processes == 1:
            # with two cores it would have two threads of physics; the model gives each process one
            one_core = ["taskset", "-c", "0", sys.executable, "-m", "metarl", *arguments]
            subprocess.run(one_core, check=True, capture_output=True)
        else:
            torchrun(processes, "-m", "metarl", *arguments)
        (run,) = Path(folder).iterdir()
        with (run / "metrics.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))[1:]
    parts = ("time/collect_seconds", "time/update_seconds")
    return median(sum(float(row[part]) for part in parts) for row in rows)


def counted(arguments: Sequence[str]) -> None:
    """Within torchrun: train, then print what was sent, an iteration."""
    sent: Counter[str] = Counter()

    def counting(function: Any, num_bytes: Any) -> Any:
        def call(*values: Any, **keywords: Any) -> Any:
            sent["messages"] += 1
            sent["bytes"] += num_bytes(values)
            return function(*values, **keywords)

        return call

    dist.all_reduce = counting(dist.all_reduce, lambda v: v[0].numel() * v[0].element_size())
    dist.all_gather_object = counting(dist.all_gather_object, lambda v: 0)
    trained: list[Counter[str]] = []
    iterate = training.Trainer._iterate

    def watched(trainer: training.Trainer) -> Any:
        before = sent.copy()
        metrics = iterate(trainer)
        trained.append(sent - before)
        return metrics

    training.Trainer._iterate = watched  # type: ignore[method-assign]
    cli.main(arguments)
    if training.is_first():
        names = ("messages", "bytes")
        sys.stdout.write(json.dumps({n: median(each[n] for each in trained[1:]) for n in names}))


def timed_sums() -> None:
    """Within torchrun: print the median seconds of a sum, by its size."""
    dist.init_process_group("gloo")
    times = {}
    for size in SIZES:
        values, taken = torch.ones(size), []
        for _ in range(200 if size <= 10_000 else 30):
            dist.barrier()
            start = time.perf_counter()
            dist.all_reduce(values)
            taken.append(time.perf_counter() - start)
            values.fill_(1.0)
        times[size] = median(taken)
    if dist.get_rank() == 0:
        sys.stdout.write(json.dumps(times))
    dist.destroy_process_group()


def recorded() -> dict[str, Any]:
    """What was measured so far."""
    return json.loads(RECORD.read_text()) if RECORD.is_file() else {}


def record(**stages: Any) -> None:
    """Add to what was measured."""
    RECORD.write_text(json.dumps(recorded() | stages, indent=2) + "\n")


def measure_latency() -> None:
    """Sums alone, over 2 and 4 processes."""
    found = {n: json.loads(torchrun(n, __file__, "sums")) for n in PROCESSES[1:]}
    record(latency=found)


def measure_costs() -> None:
    """What one process takes, and two send."""
    costs = {}
    for name in WORKLOADS:
        seconds = [seconds_of(name, tasks, 1) for tasks in TASKS]
        with tempfile.TemporaryDirectory() as folder:
            rest = f"--meta-batch-size 8 --iterations 3 --eval-tasks 0 --quiet --output {folder}"
            words = [*WORKLOADS[name].split(), *rest.split()]
            printed = torchrun(2, __file__, "counted", *words)
        costs[name] = {"seconds": dict(zip(TASKS, seconds, strict=True))}
        costs[name] |= json.loads(printed[printed.rindex("{") :])
        record(costs=costs)


def measure_processes() -> None:
    """Iterations of the largest meta-batch on several processes."""
    measured: dict[str, dict[int, float]] = {}
    for name in WORKLOADS:
        measured[name] = {n: seconds_of(name, TASKS[-1], n) for n in PROCESSES}
        record(measured=measured)


def cost_of(found: dict[str, Any]) -> Cost:
    """From what was measured; a line through the seconds."""
    tasks = np.array([float(number) for number in found["seconds"]])
    per_task, fixed = np.polyfit(tasks, list(found["seconds"].values()), 1)
    return Cost(max(float(fixed), 0.0), float(per_task), found["messages"], found["bytes"])


def network_of(latency: dict[str, dict[str, float]]) -> Network:
    """From sums alone: of small ones the time of a hop, of large ones that of a byte."""
    smallest, largest = str(SIZES[0]), str(SIZES[-1])
    hops = [found[smallest] / (2 * (int(n) - 1)) for n, found in latency.items()]
    bytes_of_one = [
        (found[largest] - found[smallest]) / (4 * SIZES[-1] * 2 * (int(n) - 1) / int(n))
        for n, found in latency.items()
    ]
    return Network(median(hops), median(bytes_of_one))


def write_page() -> None:
    """``docs/scaling.md``, from what was measured."""
    found = recorded()
    network = network_of(found["latency"])
    costs = {name: cost_of(each) for name, each in found["costs"].items()}
    lines = [PAGE_HEAD.format(hop=network.hop * 1e6, rate=1e-9 / network.per_byte)]
    lines += _table(
        ("learner", "always, ms", "a task, ms", "messages", "kB"),
        [
            (name, f"{1e3 * c.fixed:.1f}", f"{1e3 * c.per_task:.1f}", f"{c.messages:.0f}",
             f"{c.num_bytes / 1e3:.0f}")
            for name, c in costs.items()
        ],
    )  # fmt: skip
    lines += ["", "## Predicted beside measured", "", MEASURED]
    rows = []
    for name, by_processes in found["measured"].items():
        for n, seconds in by_processes.items():
            said = predicted(costs[name], network, int(n), TASKS[-1], CORES)
            ratio = seconds / said.whole
            rows.append(
                (name, n, f"{1e3 * said.whole:.0f}", f"{1e3 * seconds:.0f}", f"{ratio:.2f}")
            )
    lines += _table(("learner", "processes", "predicted, ms", "measured, ms", "ratio"), rows)
    lines += ["", "## Many processes", "", MANY_PROCESSES.format(many=MANY)]
    rows = []
    for name, cost in costs.items():
        for tasks in (1024, MANY):
            whole = [predicted(cost, network, n, tasks) for n in PREDICTED]
            cells = [f"{p.whole:.2f} ({p.communication / p.whole:.0%})" for p in whole]
            rows.append((name, f"{tasks:,}", *cells, str(most_useful(cost, network, tasks))))
    columns = [f"{n} processes" for n in PREDICTED]
    lines += _table(("learner", "tasks", *columns, "fastest on"), rows)
    lines += ["", LIMITS]
    PAGE.write_text("\n".join(lines))


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [columns, ["---"] * len(columns), *rows]
    return [f"| {' | '.join(row)} |" for row in cells]


PAGE_HEAD = """# How long an iteration takes on many processes

Written by `python experiments/scaling.py page` from `experiments/scaling.json`; the other stages of
that script measure. Tasks of a meta-batch are dealt out to processes; what they exchange are sums
(gradients, losses, Fisher products of TRPO), by gloo around a ring. So with R processes, M tasks:

    seconds = always + task x ceil(M / R)
              + messages x 2 (R - 1) x hop + 2 (R - 1) / R x bytes / rate

A hop between two processes of this machine took {hop:.0f} µs, and {rate:.2f} GB a second went
through. Between machines both are those of the network: 20 to 50 µs and 1 to 3 GB/s by Ethernet of
10 to 25 Gb/s. Of an iteration:
"""
MEASURED = f"""Of {TASKS[-1]} tasks, on a machine of {CORES} cores: 4 processes have half a
core each, and are predicted so. Nothing was fitted to these. One process beside its prediction,
which was made from other runs of one process, shows how far this machine differs from run to run.
(In these figures one process has two physics threads on its core, 4 % slower than one thread.)
"""
MANY_PROCESSES = """Seconds of an iteration, in parentheses the share of communication, each process
on a core of its own, with the hop and rate of above. {many:,} tasks are what no example has today.
"""
LIMITS = """## Where it stops, and why

- *Latency, not bandwidth.* All messages of an iteration are small; a sum around a ring waits for
  2 (R - 1) hops, so that its time grows with the processes while the work of each shrinks.
  `maml-trpo` sends most messages (a sum for every Fisher product and every try of the line search),
  so it stops first. On GPUs nccl sums small messages along trees, in about 2 log2 R hops.
- *A process with one task.* Beyond one process a task there is nothing to deal out.
- *The slowest.* All wait for the process whose trajectories are longest, which the model leaves
  out; families that terminate early (ants, hoppers) differ by their lengths.
- *With 10,000 tasks an iteration* the first thing to break is memory of a process that has too many
  of them: its trajectories are kept for the whole iteration (tasks x trajectories x steps x numbers
  of an observation and an action, 4 bytes each, once for every inner step and once more). The
  update goes through them in chunks (`--task-chunk`), collection through environments in parts.
  Next is what every process does for all tasks: it draws all M of them (a few µs each), and the
  evaluation at the end is the first process's alone.
"""

STAGES = {
    "latency": measure_latency,
    "costs": measure_costs,
    "measured": measure_processes,
    "page": write_page,
    "sums": timed_sums,
}


def main(stage: tyro.conf.Positional[str]) -> None:
    """Run one stage."""
    STAGES[stage]()


if __name__ == "__main__":
    if sys.argv[1:2] == ["counted"]:
        counted(sys.argv[2:])
    else:
        tyro.cli(main)

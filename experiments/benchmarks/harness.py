"""What the benchmarks share: alternating runs, the record in ``results.json``, the options.

Also what a time is set beside: the machine's matrix product, and the memory of each side.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

RESULTS = Path(__file__).with_name("results.json")
PACKAGES = ("torch", "numpy", "gymnasium", "mujoco", "metarl-toolkit")

Measure = Callable[[], float]
"""One run of a workload; returns its measurement in the unit of the row."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One comparison: the workload ``name`` measured beside the peer ``against``."""

    name: str
    against: str
    unit: str
    ours: Sequence[float]
    """Measurements of ours, one a pair."""
    theirs: Sequence[float]
    """Measurements of the peer, one a pair."""
    higher_is_better: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What else the record holds, such as memory."""

    def ratios(self) -> list[float]:
        """How many times better ours is, pair by pair."""
        pairs = zip(self.ours, self.theirs, strict=True)
        return [o / t if self.higher_is_better else t / o for o, t in pairs]

    def record(self) -> dict[str, Any]:
        """The row as it stands in ``results.json``."""
        ratios = self.ratios()
        return {
            "name": self.name,
            "against": self.against,
            "ratio": {"median": median(ratios), "min": min(ratios), "max": max(ratios)},
            "ours": median(self.ours),
            "theirs": median(self.theirs),
            "unit": self.unit,
            "command": " ".join(
                ["python", f"experiments/benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]
            ),
            "machine": f"{os.cpu_count()} cores, {_cpu_model()}",
            "versions": {
                "python": platform.python_version(),
                **{package: version(package) for package in PACKAGES},
            },
            **self.extra,
        }


def quick_asked(description: str | None) -> bool:
    """Read the command line, ``[--quick]``, and set torch to one thread."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a rough answer in about a minute")
    options = parser.parse_args()
    torch.set_num_threads(1)
    return bool(options.quick)


def alternate(ours: Measure, theirs: Measure, pairs: int) -> tuple[list[float], list[float]]:
    """Measure both in turn, after one run of each that does not count.

    Every second pair runs in the other order, so that neither side is always the first.
    """
    ours(), theirs()
    measured: tuple[list[float], list[float]] = ([], [])
    for pair in range(pairs):
        for side in (0, 1) if pair % 2 == 0 else (1, 0):
            measured[side].append((ours, theirs)[side]())
    return measured


def milliseconds(work: Callable[[], object], repeat: int = 1) -> Measure:
    """A measure: milliseconds of ``work``, the mean of ``repeat`` calls in a row."""

    def measure() -> float:
        start = time.perf_counter()
        for _ in range(repeat):
            work()
        return 1e3 * (time.perf_counter() - start) / repeat

    return measure


def use_of_machine(
    ours: Sequence[float],
    theirs: Sequence[float],
    num_operations: float,
    megabytes: tuple[float, float],
) -> dict[str, Any]:
    """Extra keys of a row: share of the machine's matrix product, and memory, of both sides.

    Args:
        ours: milliseconds.
        theirs: milliseconds.
        num_operations: that the mathematics needs, see :func:`operations`; the same for both.
        megabytes: of ours and of theirs, see :func:`added_megabytes`.
    """
    peak = peak_gflops()
    shares = [num_operations / median(side) / 1e6 / peak for side in (ours, theirs)]
    return {
        "gflop": num_operations / 1e9,
        "peak_gflops": peak,
        "share_of_peak": dict(zip(("ours", "theirs"), shares, strict=True)),
        "megabytes": dict(zip(("ours", "theirs"), megabytes, strict=True)),
    }


def print_use_of_machine(rows: Sequence[Row]) -> None:
    """A table of what :func:`use_of_machine` found."""
    print_table(
        ("benchmark", "GFLOP", "peak GFLOP/s", "ours", "theirs", "ours MB", "theirs MB"),
        [
            [
                row.name,
                *(f"{row.extra[key]:.2f}" for key in ("gflop", "peak_gflops")),
                *(f"{row.extra['share_of_peak'][side]:.0%}" for side in ("ours", "theirs")),
                *(f"{row.extra['megabytes'][side]:.0f}" for side in ("ours", "theirs")),
            ]
            for row in rows
        ],
        title="share of the matrix product's speed, and peak memory",
    )


def operations(work: Callable[[], object]) -> float:
    """Floating-point operations of the convolutions and linear layers that ``work`` runs.

    A product and a sum are two. Run on the plain loop it counts what the mathematics needs: F
    forward and 2 F backward. A backward pass that is differentiated again, as an inner step of
    second-order MAML, costs 9 F: those 3 products, and 2 for the derivatives of each. The first
    layer needs no gradient of its input, which leaves 2 F and 4 F. Nothing else is counted.
    """
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def peak_gflops() -> float:
    """Billions of operations a second of a 1024x1024 matrix product, the fastest of some now."""
    size = 1024
    a, b = torch.rand(2, size, size)
    measure = milliseconds(lambda: a @ b)
    return 2 * size**3 / min(measure() for _ in range(20)) / 1e6


def added_megabytes(make: Callable[[], Callable[[], object]]) -> float:
    """How far memory rises while the work that ``make`` makes runs once, in its own process.

    From what is resident once the work is made, to the highest. ``make`` must be picklable. Linux
    only.
    """
    context = get_context("forkserver")  # forks from a process that has imported, but not worked
    context.set_forkserver_preload(["torch", "metarl"])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_measure_memory, make).result()


def _measure_memory(make: Callable[[], Callable[[], object]]) -> float:
    torch.set_num_threads(1)
    work = make()
    before = _memory("VmRSS")
    work()
    return _memory("VmHWM") - before


def _memory(key: str) -> float:
    """Megabytes of a line of ``/proc/self/status``."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kibibytes = next(line.split()[1] for line in lines if line.startswith(key + ":"))
    return int(kibibytes) * 1024 / 1e6


def report(rows: Sequence[Row]) -> None:
    """Print the rows and put them into ``results.json``, where all others stay as they are."""
    records = [row.record() for row in rows]
    print_records(records)
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    merged = {(record["name"], record["against"]): record for record in [*kept, *records]}
    temporary = RESULTS.with_suffix(".tmp")
    temporary.write_text(json.dumps([merged[key] for key in sorted(merged)], indent=2) + "\n")
    temporary.replace(RESULTS)


def print_records(records: Sequence[dict[str, Any]]) -> None:
    """A table of records of ``results.json``."""
    print_table(
        ("benchmark", "against", "ratio", "min", "max", "ours", "theirs", "unit"),
        [
            [
                r["name"],
                r["against"],
                *(f"{r['ratio'][key]:.2f}" for key in ("median", "min", "max")),
                *(f"{r[side]:,.2f}" for side in ("ours", "theirs")),
                r["unit"],
            ]
            for r in records
        ],
    )


def print_table(columns: Sequence[str], lines: Sequence[Sequence[str]], title: str = "") -> None:
    """A table on standard output."""
    table = Table(*columns, title=title)
    for line in lines:
        table.add_row(*line)
    Console(width=130).print(table)


def _cpu_model() -> str:
    """The model as Linux knows it; what Python knows elsewhere."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

"""Hours of training, watched from outside: do memory, files, threads and disk stay what they are?

    python experiments/soak.py [--hours 2] [--output runs/soak] [-- COMMAND ...]

A process trains with two processes of environments, evaluates, saves and films a great many times
over; every 30 seconds the process tree is looked at (``/proc``, so Linux alone), and its folder.
A COMMAND of one's own, such as ``torchrun --nproc-per-node 2 -m metarl train ...``, is watched in
the same way; its ``--output`` is the folder given here. ``soak.json`` keeps the samples and, of
each quantity, its trend once the first tenth is over: by least squares, with its standard error.
What is flat gains, within two of these, no more in the whole time than its row of :data:`MOST`
says: the memory that is kept comes in steps of 64 MiB, films in steps of one. Metrics and events
grow by what an iteration adds, whose trend is that of the bytes per iteration. ``--again`` looks at
the samples of an earlier call, also of one that is not over.
"""

import json
import platform
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

MIB = 1 << 20
MOST = {
    "memory_mib": 10.0,
    "handles": 0.5,
    "threads": 0.5,
    "processes": 0.5,
    "shared_mib": 0.5,
    "checkpoints_mib": 0.1,
    "files": 0.5,
    "log_bytes_per_iteration": 100.0,
}
"""Name of a quantity, and what it may gain in all."""
TRAIN = "train maml-trpo --env own_robot:PendulumDynamics-v0 --workers 2 --iterations 1000000000"
SHAPES = "--meta-batch-size 4 --num-trajectories 4 --horizon 20 --hidden-sizes 16"
OFTEN = "--eval-every 5 --checkpoint-every 2 --video-every 500 --eval-tasks 4 --quiet"
FEWEST = 10  # samples that a trend is made of
CHANGING = FileNotFoundError, ProcessLookupError, IndexError, ValueError
"""What a look at a file raises that is being replaced, or that is not there yet."""
RESULTS = Path(__file__).with_name("soak.json")


@dataclass(frozen=True)
class Options:
    """How long, how often, and what."""

    command: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Of a training; one with two processes of environments by default."""
    hours: float = 2.0
    """Then the training is asked to end."""
    every: float = 30.0
    """Seconds between two samples."""
    output: Path = Path("runs/soak")
    """Where the run folder is made; a fresh one."""
    results: Path = RESULTS
    """Where samples and trends go."""
    again: bool = False
    """Trains nothing: the trends of the samples that are there."""


def tree(process: int) -> list[int]:
    """A process with all that it started, and they did."""
    found = [process]
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        found += [one for child in path.read_text().split() for one in tree(int(child))]
    return found


def looked_at(process: int) -> dict[str, float]:
    """Memory in MiB (shared pages counted once), open files and threads of a process."""
    folder = Path(f"/proc/{process}")
    lines = (folder / "smaps_rollup").read_text().splitlines()
    (pages,) = (line.split()[1] for line in lines if line.startswith("Pss:"))
    return {
        "memory_mib": int(pages) / 1024,
        "handles": len(list((folder / "fd").iterdir())),
        "threads": len(list((folder / "task").iterdir())),
        "processes": 1,
    }


def sizes(output: Path) -> dict[str, float]:
    """Of the files of the one run in a folder."""
    (run,) = (path.parent for path in output.glob("*/config.json"))
    files = {path: path.stat().st_size for path in run.rglob("*") if path.is_file()}
    checkpoints = sum(size for path, size in files.items() if path.suffix == ".pt")
    with (run / "metrics.csv").open() as metrics:
        iteration = int(list(metrics)[-1].split(",")[0])
    logs = sum(files.values()) - checkpoints
    return {
        "iteration": iteration,
        "checkpoints_mib": checkpoints / MIB,
        "files": len(files),
        "log_bytes_per_iteration": logs / iteration,
    }


def sample(process: int, output: Path) -> dict[str, float]:
    """What there is now: of the process tree, of its folder, of shared memory."""
    each = [looked_at(one) for one in tree(process)]
    shared = sum(path.stat().st_size for path in Path("/dev/shm").iterdir() if path.is_file())
    whole = {name: sum(one[name] for one in each) for name in each[0]}
    return {**whole, "shared_mib": shared / MIB, **sizes(output)}


def watched(options: Options) -> tuple[list[str], list[dict[str, float]], int]:
    """The command, samples of its whole time, and its exit status."""
    default = [sys.executable, "-m", "metarl", *TRAIN.split(), *SHAPES.split(), *OFTEN.split()]
    command = [*(options.command or default), "--output", str(options.output.resolve())]
    samples: list[dict[str, float]] = []
    last = 3600 * options.hours
    with subprocess.Popen(command, cwd=Path(__file__).parent) as process:
        started = time.monotonic()
        try:
            while process.poll() is None and (now := time.monotonic() - started) < last:
                with suppress(*CHANGING):
                    samples.append({"hours": now / 3600, **sample(process.pid, options.output)})
                save(options, command, samples, None)
                time.sleep(options.every)
        finally:
            process.terminate()
    return command, samples, process.returncode


def trend(samples: list[dict[str, float]], name: str) -> dict[str, Any]:
    """Of one quantity after the first tenth: gain per hour, and whether that is nothing."""
    kept = samples[len(samples) // 10 :]
    hours, values = (np.array([float(one[key]) for one in kept]) for key in ("hours", name))
    (slope, _), covariance = np.polyfit(hours, values, 1, cov=True)
    error = float(np.sqrt(covariance[0, 0]))
    length = hours[-1] - hours[0]
    return {
        "first": float(values[0]),
        "last": float(values[-1]),
        "least": float(values.min()),
        "most": float(values.max()),
        "per_hour": float(slope),
        "standard_error": error,
        "flat": bool((slope - 2 * error) * length <= MOST[name]),
    }


def save(
    options: Options, command: list[str], samples: list[dict[str, float]], status: int | None
) -> dict[str, Any]:
    """Write what is known so far; the trends."""
    trends = {name: trend(samples, name) for name in MOST} if len(samples) >= FEWEST else {}
    program = command[0].replace(sys.executable, "python")
    content = {
        "command": " ".join([program, *command[1:-1], str(options.output)]),
        "machine": f"{platform.processor() or platform.machine()}, Python {sys.version.split()[0]}",
        "exit_status": status,
        "trends": trends,
        "samples": samples,
    }
    rounded = json.loads(json.dumps(content), parse_float=lambda text: round(float(text), 4))
    options.results.write_text(json.dumps(rounded, indent=1) + "\n")
    return trends


def main(options: Options) -> None:
    """Watch a training, then say what grew."""
    if options.again:
        known = json.loads(options.results.read_text())
        watch = known["command"].split(), known["samples"], known["exit_status"]
    else:
        options.output.mkdir(parents=True)
        watch = watched(options)
    trends = save(options, *watch)
    for name, told in trends.items():
        print(
            f"{name}: {told['first']:.1f} to {told['last']:.1f}, {told['per_hour']:+.3f} ± "
            f"{told['standard_error']:.3f} an hour, {'flat' if told['flat'] else 'GROWS'}"
        )
    sys.exit(not all(told["flat"] for told in trends.values()))


if __name__ == "__main__":
    main(tyro.cli(Options))

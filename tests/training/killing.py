"""Trainings of every learner killed at random moments, resumed, and compared with one that was not.

``make kills`` kills 200, ``KILLS=n`` others; the tests kill a few of two learners. A child of a
warm process trains through the command line and is killed: by ``kill -9`` once it has had so much
of a processor, or in a call that touches a file, or by SIGTERM. What it leaves is checked, and gone
on with, and killed again; at the end it must be, bit for bit, what the untroubled run has left.
"""

import argparse
import contextlib
import csv
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import injection
import torch

sys.path.append(str(Path(__file__).parents[1] / "golden"))
from compare import PROBLEMS

from metarl import __main__ as command
from metarl.training.checkpoint import list_checkpoints, load_checkpoint

OPTIONS = "--checkpoint-every 4 --save-share 1 --eval-tasks 0 --seed 1 --device cpu"
WARM = ("maml-trpo", "rl2", "proto-embedding", "maml-trpo-cheetah", "fewshot-maml")
KILLS_OF_ONE_RUN = 4  # then it may end
ENDED = (-signal.SIGKILL, 130, 143, -signal.SIGTERM)
"""Exit statuses; the last one before the command has begun."""
HOW = ("by the processor's clock", "in a call", "in a call", "by SIGTERM")


@dataclass
class Tally:
    """What was seen of all runs of a problem."""

    kills: Counter[str] = field(default_factory=Counter)
    """How, and how many."""
    before_start: int = 0
    """Killed before there was a checkpoint: nothing to go on with, and nothing done."""
    done_again: list[int] = field(default_factory=list)
    """Iterations between the newest row and the newest checkpoint, of every kill."""
    faults: list[str] = field(default_factory=list)


@dataclass
class Untroubled:
    """A run that nobody disturbs: what it leaves, and what it takes."""

    content: dict[str, Any]
    seconds: float
    """Of a processor."""
    calls: int
    """That touch files."""


def called(arguments: list[str]) -> int:
    """Exit status of the command, as in a process of its own."""
    sys.argv = ["metarl", *arguments]
    return command.main()


def left(folder: Path) -> dict[str, Any]:
    """What a run leaves, but for what the clock decides."""
    with (folder / "metrics.csv").open(newline="") as file:
        rows = [
            {key: value for key, value in row.items() if not key.startswith("time/")}
            for row in csv.DictReader(file)
        ]
    path = folder / "evaluation.json"
    evaluation = json.loads(path.read_text()) if path.exists() else {}
    evaluation.pop("hours", None)
    newest, best = (
        load_checkpoint(path)
        for path in (list_checkpoints(folder / "checkpoints")[0], folder / "checkpoints/best.pt")
    )
    for content in (newest, best):
        del content["seconds"], content["config"]
    names = sorted(path.name for path in folder.iterdir() if "tfevents" not in path.name)
    return {
        "rows": rows,
        "evaluation": evaluation,
        "newest": newest,
        "best": best,
        "files": names,
        "temporary": [path.name for path in (folder / "checkpoints").glob(".*")],
    }


def difference(ours: Any, theirs: Any, name: str = "") -> str:
    """Where two nests of plain data and tensors differ; empty if they do not."""
    if isinstance(ours, dict) and isinstance(theirs, dict) and ours.keys() == theirs.keys():
        found = (difference(ours[key], theirs[key], f"{name}.{key}") for key in ours)
        return next(filter(None, found), "")
    if isinstance(ours, list | tuple) and isinstance(theirs, list | tuple):
        return difference(dict(enumerate(ours)), dict(enumerate(theirs)), name)
    if isinstance(ours, torch.Tensor) and isinstance(theirs, torch.Tensor):
        return "" if torch.equal(ours, theirs) else name
    same = ours == theirs or (ours != ours and theirs != theirs)
    return "" if same else f"{name}: {str(ours)[:80]} for {str(theirs)[:80]}"


def untroubled(arguments: list[str], output: Path) -> Untroubled:
    """Train without a fault, in a child, so that its costs are those of any other one."""
    figures = output / "figures"

    def work() -> int:
        with injection.AtCall(0, injection.kill) as calls:
            started = time.process_time()
            status = called([*arguments, "--output", str(output)])
        figures.write_text(json.dumps([time.process_time() - started, calls.count]))
        return status

    if (status := injection.in_child(work, output / "log")) != 0:
        raise RuntimeError(f"exit status {status}: {(output / 'log').read_text()[-2000:]}")
    seconds, calls = json.loads(figures.read_text())
    (config,) = output.glob("*/config.json")
    return Untroubled(left(config.parent), seconds, calls)


def processor_seconds(process: int) -> float:
    """That a process has had; the clock's number is that of ``clock_getcpuclockid``."""
    return time.clock_gettime((~process << 3) | 2)


def ended(arguments: list[str], how: str, known: Untroubled, random: Random, log: Path) -> int:
    """Exit status of a child that does this; killed on the way, if ``how`` says how."""
    if how == "in a call":
        fault = injection.AtCall(random.randint(1, known.calls), injection.kill)

        def work() -> int:
            with fault:
                return called(arguments)

        return injection.in_child(work, log)
    process = injection.start_child(lambda: called(arguments), log)
    if not how:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    number = signal.SIGTERM if how == "by SIGTERM" else signal.SIGKILL
    allowed = random.uniform(0, known.seconds)
    while (found := os.waitpid(process, os.WNOHANG))[0] == 0:
        if processor_seconds(process) > allowed:
            os.kill(process, number)
            found = os.waitpid(process, 0)
            break
        time.sleep(0.001)
    return os.waitstatus_to_exitcode(found[1])


def check(folder: Path, status: int, tally: Tally) -> None:
    """What a killed run leaves: whole checkpoints, and no more than one row beyond them."""
    found = list_checkpoints(folder / "checkpoints")
    newest = max(load_checkpoint(path)["iteration"] for path in found)
    rows = folder / "metrics.csv"
    written = max(0, rows.read_bytes().count(b"\n") - 1) if rows.exists() else 0
    tally.done_again.append(max(0, written - newest))
    most = 0 if status == 130 else 1  # who is asked to stop saves first
    if tally.done_again[-1] > most:
        tally.faults.append(f"{folder.name}: {written} rows, but the newest checkpoint is {newest}")


def troubled(
    arguments: list[str], known: Untroubled, output: Path, random: Random, tally: Tally
) -> None:
    """One run, killed several times; its faults go to the tally."""
    output.mkdir()
    now, killed = [*arguments, "--output", str(output)], 0
    while True:
        how = random.choice(HOW) if killed < KILLS_OF_ONE_RUN else ""
        log = output / "log"
        status = ended(now, how, known, random, log)
        if status == 0:
            break
        if status not in ENDED or not how:
            tally.faults.append(f"exit status {status}: {log.read_text()[-1500:]}")
            return
        killed += 1
        tally.kills[how] += 1
        folders = [path.parents[1] for path in output.glob("*/checkpoints/iteration_*.pt")]
        if not folders:
            tally.before_start += 1
            continue
        check(folders[0], status, tally)
        now = ["resume", str(folders[0])]
    (folder,) = {path.parents[1] for path in output.glob("*/checkpoints/iteration_*.pt")}
    if wrong := difference(left(folder), known.content):
        tally.faults.append(f"{output}: not as the untroubled run: {wrong}")


def kills(arguments: list[str], number: int, output: Path, seed: str) -> Tally:
    """Kill runs of one command until there are so many kills."""
    random, tally = Random(seed), Tally()
    (output / "untroubled").mkdir(parents=True)
    known = untroubled(arguments, output / "untroubled")
    for run in range(10 * number):
        if tally.kills.total() >= number:
            break
        troubled(arguments, known, output / str(run), random, tally)
        if not tally.faults:
            shutil.rmtree(output / str(run))
    return tally


def warm(commands: list[str]) -> None:
    """Import here, once, what children would each import for seconds."""
    with tempfile.TemporaryDirectory() as folder:
        for one in commands:
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                called([*one.split(), "--eval-tasks", "2", "--quiet", "--output", folder])


def say(line: str) -> None:
    """At once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Kill runs of every learner; say how often, and what was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=list(PROBLEMS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    warm([PROBLEMS[name] for name in WARM])
    started, whole = time.monotonic(), Tally()
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(given.only):
            wanted = given.kills * (number + 1) // len(given.only) - whole.kills.total()
            if wanted <= 0:
                continue
            arguments = PROBLEMS[name].replace("--iterations 3", "--iterations 6").split()
            tally = kills(
                [*arguments, *OPTIONS.split()], wanted, Path(folder, name), f"{name} {given.seed}"
            )
            say("\n  ".join([f"{name} {dict(tally.kills)}", *tally.faults]))
            whole.kills += tally.kills
            whole.before_start += tally.before_start
            whole.done_again += tally.done_again
            whole.faults += tally.faults
    say(
        f"{whole.kills.total()} kills of {len(given.only)} commands ({dict(whole.kills)}), "
        f"{whole.before_start} of them before the first checkpoint; iterations done again: "
        f"{dict(Counter(whole.done_again))}; faults: {len(whole.faults)}; "
        f"{time.monotonic() - started:.0f} s"
    )
    sys.exit(bool(whole.faults))


if __name__ == "__main__":
    main()

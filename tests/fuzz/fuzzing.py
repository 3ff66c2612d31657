"""Damaged files to every reader: each is read, or is the format's one error, fast and small.

``python tests/fuzz/fuzzing.py --inputs 100000`` is ``make fuzz``. Input ``i`` is always the same:
sample ``i`` modulo the number of samples, damaged by seed ``i``; ``--only 1234`` repeats one.
"""

import argparse
import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

from mutations import mutated
from sample_files import Sample, write_samples

from metarl.fewshot.sources import DamagedDataError
from metarl.files import FileError
from metarl.runs.errors import InputError

ERRORS = (ValueError, InputError, FileError, DamagedDataError)
"""Of one line, for the user. Subclasses such as UnicodeDecodeError say nothing of the file."""
MEMORY = 1 << 30
"""Most bytes above the start,"""
SECONDS = 2.0
"""and most seconds of CPU that a file may take."""
KILLED = 4 * int(SECONDS)


class Fault(NamedTuple):
    """What went wrong with an input."""

    number: int
    sample: str
    said: str


def faults(samples: list[Sample], numbers: Iterable[int]) -> Iterator[Fault | None]:
    """Read the inputs of these numbers, one after the other."""
    whole = [sample.path.read_bytes() for sample in samples]
    for number in numbers:
        sample = samples[number % len(samples)]
        content = whole[number % len(samples)]
        sample.path.write_bytes(mutated(content, Random(number)))
        said = outcome(sample)
        sample.path.write_bytes(content)
        yield Fault(number, sample.name, said) if said else None


def outcome(sample: Sample) -> str:
    """What is wrong with how a file is read; nothing if all is well."""
    before = _reset_peak()
    start = time.process_time()
    with warnings.catch_warnings(action="ignore"), contextlib.redirect_stderr(None):
        try:
            sample.read()
            said = ""
        except Exception as error:
            said = wrong_error(sample, error)
    seconds, above = time.process_time() - start, _peak() - before
    if above > MEMORY:
        return f"{above >> 20} MiB above the start"
    return f"{seconds:.1f} s of CPU" if seconds > SECONDS else said


def wrong_error(sample: Sample, error: Exception) -> str:
    """What is wrong with an error: its type, several lines, or memory that was asked for."""
    cause: BaseException | None = error
    while cause is not None:
        text = str(cause)
        if isinstance(cause, MemoryError) or "can't allocate memory" in text or "bad_alloc" in text:
            return f"asked for memory: {cause!r}"
        cause = cause.__cause__ or cause.__context__
    if type(error) not in ERRORS:
        return f"raised {error!r}"[:300]
    if "\n" in str(error).strip():
        return f"several lines: {str(error)!r}"[:300]
    if sample.names_itself(str(error)) or (sample.holds_options and type(error) is InputError):
        return ""
    return f"does not name the file: {str(error)!r}"[:300]


@contextlib.contextmanager
def limited_memory() -> Iterator[None]:
    """Give no more than :data:`MEMORY` above what is used now, so that asking for more fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    now = _status("VmSize")
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _status(key: str) -> int:
    """An entry of this process in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) << 10
    raise KeyError(key)


def _reset_peak() -> int:
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def work(first: int, last: int) -> None:
    """In a process of its own: print the faults, and every number before it is tried."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    with tempfile.TemporaryDirectory() as folder:
        samples = write_samples(Path(folder))
        with limited_memory():
            for number in range(first, last):
                print(number, flush=True)
                signal.setitimer(signal.ITIMER_PROF, KILLED)
                for fault in faults(samples, [number]):
                    if fault is not None:
                        print(fault.number, fault.sample, ascii(fault.said), sep="\t")
    print("done", flush=True)


def run(first: int, last: int) -> list[tuple[str, str]]:
    """Try inputs in processes, of which each goes on behind what the one before died of."""
    found: list[tuple[str, str]] = []
    while first < last:
        command = [sys.executable, __file__, "--work", str(first), str(last)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            at = "start"
            for line in process.stdout:
                if "\t" in line:
                    found.append(tuple(line.rstrip().split("\t", 2)))
                    print(line, end="", flush=True)
                else:
                    at = line.strip()
        if at == "done":
            break
        if at == "start":
            raise SystemExit("the samples could not be written")
        line = f"{at}\tkilled\tby signal {-process.returncode}"
        found.append(tuple(line.split("\t")))
        print(line, flush=True)
        first = int(at) + 1
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--work", type=int, nargs=2)
    options = parser.parse_args()
    if options.work:
        work(*options.work)
        return 0
    if options.only is not None:
        options.first, options.inputs = options.only, 1
    os.environ["OMP_NUM_THREADS"] = "1"
    found = run(options.first, options.first + options.inputs)
    kinds = Counter(sample for _, sample, _ in found)
    print(f"{options.inputs} inputs, {len(found)} faults {dict(kinds)}")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())

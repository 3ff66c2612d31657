"""What runs the members of a sweep: each is ``metarl resume FOLDER``, its output in ``log.txt``."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from metarl.runs.sweeps.grid import Member

LOG = "log.txt"
TAIL = 4096  # bytes of a log in which its last line is looked for
INTERRUPTED = (130, 143, -signal.SIGINT, -signal.SIGTERM)
"""Exit statuses of what was asked to end, wherever it was: it goes on later."""


class Job(Protocol):
    """A member that runs."""

    @property
    def key(self) -> str:
        """What finds it again from another process; empty where nothing does."""
        ...

    def ended(self) -> str | None:
        """None while it runs; then what went wrong, in one line, empty if nothing did."""
        ...

    def stop(self) -> None:
        """Ask it to write a checkpoint and end."""
        ...


class Jobs(Protocol):
    """Where members run."""

    width: int
    """How many at once."""
    pause: float
    """Seconds between two looks at them."""

    def start(self, member: Member) -> Job:
        """Start one."""
        ...

    def found(self, member: Member, key: str) -> Job | None:
        """One that an earlier process has started and that still runs."""
        ...


Commands = Callable[[Member], list[str]]


def command(member: Member, time_limit: float | None, *, allow_code: bool) -> list[str]:
    """What does a run, or what is missing of it.

    Args:
        member: of the sweep.
        time_limit: seconds, instead of the config's own.
        allow_code: import modules that its config names from the current folder.
    """
    limit = time_limit or member.config.schedule.time_limit
    options = ["--time-limit", repr(limit)] if limit else []
    options += ["--allow-code"] if allow_code else []
    return [sys.executable, "-m", "metarl", "resume", str(member.folder.resolve()), *options]


def fault(status: int, log: Path) -> str:
    """What went wrong, from an exit status and the last line of the log; empty if nothing did."""
    if status in (0, *INTERRUPTED):
        return ""
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    lines = [line.strip() for line in _tail(log).splitlines() if line.strip()]
    last = lines[-1] if lines else "it said nothing"
    return f"{last.removeprefix('metarl: error: ')} (exit status {status})"


def _tail(log: Path) -> str:
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL))
        return file.read().decode(errors="replace")

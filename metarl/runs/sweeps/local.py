"""Members as processes of this machine, its processors and GPUs shared out among them."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from metarl.runs.sweeps.grid import Member
from metarl.runs.sweeps.jobs import LOG, Commands, Job, fault


@dataclass(frozen=True)
class Slot:
    """What one process at a time has for itself."""

    processors: frozenset[int]
    gpu: str | None = None


def share(num_jobs: int, processors: Sequence[int], gpus: Sequence[str]) -> list[Slot]:
    """Processors in equal parts, where there are as many, and GPUs in turn.

    >>> [sorted(slot.processors) for slot in share(2, [0, 1, 2, 3], [])]
    [[0, 1], [2, 3]]
    >>> [slot.gpu for slot in share(3, [0], ["0", "1"])]
    ['0', '1', '0']
    """
    number = len(processors)
    bounds = [job * number // num_jobs for job in range(num_jobs + 1)]
    parts = [processors[a:b] for a, b in pairwise(bounds)]
    return [
        Slot(frozenset(part or processors), gpus[job % len(gpus)] if gpus else None)
        for job, part in enumerate(parts)
    ]


class LocalJob:
    """A member that runs here."""

    key = ""

    def __init__(self, member: Member, command: list[str], slot: Slot, free: list[Slot]) -> None:
        self._log, self._slot, self._free = member.folder / LOG, slot, free
        gpu = {} if slot.gpu is None else {"CUDA_VISIBLE_DEVICES": slot.gpu}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **gpu},
                process_group=0,  # Ctrl-C is for the sweep, which asks its runs to stop, once
            )
        if hasattr(os, "sched_setaffinity"):  # before it has threads, which inherit it
            os.sched_setaffinity(self._process.pid, slot.processors)

    def ended(self) -> str | None:
        """See :class:`~metarl.runs.sweeps.jobs.Job`."""
        status = self._process.poll()
        if status is None:
            return None
        self._free.append(self._slot)
        return fault(status, self._log)

    def stop(self) -> None:
        """See :class:`~metarl.runs.sweeps.jobs.Job`."""
        self._process.terminate()


class LocalJobs:
    """Processes of this machine.

    Args:
        slots: that processes have, one at a time each.
        command: of a member.
    """

    pause = 0.1

    def __init__(self, slots: Sequence[Slot], command: Commands) -> None:
        self.width = len(slots)
        self._free = list(reversed(slots))
        self._command = command

    def start(self, member: Member) -> Job:
        """See :class:`~metarl.runs.sweeps.jobs.Jobs`."""
        return LocalJob(member, self._command(member), self._free.pop(), self._free)

    def found(self, member: Member, key: str) -> None:
        """None: what an earlier process has left holds the lock of its run folder."""

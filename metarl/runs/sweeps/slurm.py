"""Members as jobs of Slurm, by submitit (extra ``sweep``)."""

import importlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metarl.runs.errors import InputError
from metarl.runs.sweeps.grid import Member
from metarl.runs.sweeps.jobs import LOG, Commands, Job, fault

POLL = 0.2  # seconds
MOST_TIMES = 1000  # that a job is queued again when its time is up


def submitit() -> Any:
    """The library; :class:`InputError` where it is missing."""
    # its own configuration of logging would close the handlers of the whole process
    os.environ.setdefault("SUBMITIT_LOG_LEVEL", "NOCONFIG")
    try:
        return importlib.import_module("submitit")
    except ModuleNotFoundError as error:
        missing = "needs submitit: pip install 'metarl-toolkit[sweep]'"
        raise InputError(missing, "slurm") from error


@dataclass
class Task:
    """What a job does: one process, which is asked for a checkpoint before the job's time is up.

    Calling it gives the exit status of the process.
    """

    command: list[str]
    log: Path

    def __call__(self) -> int:
        """Run it to its end."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Slurm's notice goes to all processes of a job; ours is told by checkpoint()
                preexec_fn=_ignore_notice,
            )
        while (status := self._process.poll()) is None:
            time.sleep(POLL)
        return status

    def checkpoint(self) -> Any:
        """Called by submitit on Slurm's notice: end with a checkpoint, and be queued again."""
        self._process.terminate()
        # Popen.wait would wait for a lock that the loop above may hold
        with suppress(ChildProcessError):
            os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        return submitit().helpers.DelayedSubmission(Task(self.command, self.log))


def _ignore_notice() -> None:
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


class SlurmJob:
    """A member that Slurm runs or will run."""

    def __init__(self, job: Any, log: Path) -> None:
        self._job, self._log = job, log

    @property
    def key(self) -> str:
        """Slurm's number of it."""
        return str(self._job.job_id)

    def ended(self) -> str | None:
        """See :class:`~metarl.runs.sweeps.jobs.Job`."""
        if not self._job.done():
            return None
        try:
            return fault(self._job.result(), self._log)
        except submitit().core.utils.UncompletedJobError:
            return f"job {self.key} ended without a result, {self._job.state}: see {self._log}"

    def stop(self) -> None:
        """See :class:`~metarl.runs.sweeps.jobs.Job`."""
        self._job.cancel(check=False)


class SlurmJobs:
    """Jobs of one executor of submitit.

    Args:
        executor: of submitit, such as :func:`slurm_executor` makes.
        width: jobs at once.
        command: of a member.
    """

    pause = 2.0

    def __init__(self, executor: Any, width: int, command: Commands) -> None:
        self.width = width
        self._executor = executor
        self._command = command

    def start(self, member: Member) -> Job:
        """See :class:`~metarl.runs.sweeps.jobs.Jobs`."""
        log = member.folder.resolve() / LOG
        return SlurmJob(self._executor.submit(Task(self._command(member), log)), log)

    def found(self, member: Member, key: str) -> Job | None:
        """See :class:`~metarl.runs.sweeps.jobs.Jobs`."""
        job = self._executor.job_class(self._executor.folder, key)
        return None if job.done(force_check=True) else SlurmJob(job, member.folder / LOG)


def slurm_executor(folder: Path, parameters: Mapping[str, Any]) -> Any:
    """What submits to Slurm.

    Args:
        folder: of its scripts and logs, seen by all nodes.
        parameters: of sbatch, as submitit's SlurmExecutor takes them.

    Raises:
        InputError: submitit or Slurm is missing, or a parameter is wrong.
    """
    library = submitit()
    if "time" not in parameters:
        raise InputError('lacks the minutes of a job, such as {"time": 600}', "slurm")
    try:
        executor = library.SlurmExecutor(folder, max_num_timeout=MOST_TIMES)
        executor.update_parameters(**parameters)
    except RuntimeError as error:
        raise InputError("finds no srun: is this a machine of a Slurm cluster?", "slurm") from error
    except (TypeError, ValueError) as error:
        raise InputError(" ".join(str(error).split()), "slurm") from error
    return executor

"""Doing what is missing in the folder of a sweep."""

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from warnings import warn

import torch

from metarl.runs.build import BUILDERS
from metarl.runs.config import RunConfig, check_options
from metarl.runs.errors import InputError, input_errors, written
from metarl.runs.sweeps.folder import TABLE, Sweep, is_trained
from metarl.runs.sweeps.grid import Member, base_config, grid
from metarl.runs.sweeps.jobs import Commands, Job, Jobs, command
from metarl.runs.sweeps.local import LocalJobs, share
from metarl.runs.sweeps.rows import DONE, Row
from metarl.runs.sweeps.slurm import SlurmJobs, slurm_executor
from metarl.runs.user_objects import UserObjects
from metarl.training import FolderInUseError, resolve_device
from metarl.training.runtime import Interruption, sole_writer, stop_on_signals

Say = Callable[[str], None]


def open_sweep(
    path: str | Path,
    *,
    seeds: Sequence[int] | None = None,
    settings: Mapping[str, Sequence[Any]] | None = None,
    output: str | Path | None = None,
) -> Sweep:
    """A sweep as it is now; nothing is written or started.

    Args:
        path: a ``config.json``, a run folder, or the folder of a sweep, whose runs it then has.
        seeds: of every combination; the config's own by default.
        settings: names of options to the values that each takes.
        output: the folder of the sweep; by default one under ``runs`` that says learner, subject
            and what is set.

    Raises:
        InputError: a name or a value is wrong, one is there twice, or the folder is of another.
    """
    path = Path(path)
    if (path / TABLE).is_file():
        for name, given in (("seeds", seeds), ("set", settings), ("output", output)):
            if given:
                raise InputError(f"is of new sweeps, and {path} is one already", name)
        return Sweep(path)
    config = base_config(path)
    settings = settings or {}
    folder = Path(output) if output else Path("runs") / _default_name(config, settings)
    members = grid(config, [config.seed] if seeds is None else seeds, settings, folder)
    return Sweep(folder, members)


def run_sweep(
    told: Sweep,
    *,
    jobs: int | None = None,
    time_limit: float | None = None,
    slurm: Mapping[str, Any] | None = None,
    allow_code: bool = False,
    say: Say = warn,
) -> Sweep:
    """Do what is missing of a sweep, as ``metarl sweep`` does.

    Runs that are done are left; others go on from their checkpoint, bit for bit on the CPU; failed
    ones are tried again. One that fails does not stop the others. The first Ctrl-C or SIGTERM asks
    all that run for a checkpoint.

    Args:
        told: the sweep, of :func:`open_sweep`.
        jobs: runs at once; by default as many as there are processors for, or GPUs; on Slurm all.
        time_limit: seconds of training of each run in this call, instead of the config's own.
        slurm: submit to Slurm, with these parameters of sbatch; ``time`` is in minutes.
        allow_code: import modules that configs name from the current folder, too.
        say: called with one line when something is worth saying.

    Returns:
        The same, with a row a run.

    Raises:
        InputError: something that was given is wrong, or another process has the sweep; nothing
            has been started.
    """
    commands = partial(command, time_limit=time_limit, allow_code=allow_code)
    _check(told.missing, allow_code=allow_code, here=slurm is None)
    if slurm is None:
        return carry_out(told, _local_jobs(told, jobs, commands), say)
    threads = max(member.config.threads for member in told.members.values())
    parameters = {"job_name": "metarl", "cpus_per_task": threads, **slurm}
    executor = slurm_executor(told.folder / ".slurm", parameters)
    return carry_out(told, SlurmJobs(executor, jobs or len(told.members), commands), say)


def carry_out(told: Sweep, jobs: Jobs, say: Say) -> Sweep:
    """Do what is missing.

    Args:
        told: the sweep.
        jobs: where.
        say: called with one line for every run that starts or ends.

    Raises:
        InputError: another process has the sweep, or its folder cannot be written.
    """
    with written(told.folder, "output"):
        told.folder.mkdir(parents=True, exist_ok=True)
    try:
        with sole_writer(told.folder, say), stop_on_signals() as interruption:
            told.make()
            _Doing(told, jobs, say).run(interruption)
    except FolderInUseError as error:
        raise InputError(f"{told.folder} is being swept by another process") from error
    return told


class _Doing:
    """A sweep while it is done: what waits, and what is active."""

    def __init__(self, told: Sweep, jobs: Jobs, say: Say) -> None:
        self._told, self._jobs, self._say = told, jobs, say
        self._waiting = told.missing
        self._active: dict[str, Job] = {}

    def run(self, interruption: Interruption) -> None:
        """Until all has ended, or after a signal all that was active."""
        number = len(self._told.members)
        done = number - len(self._waiting)
        self._say(f"{self._told.folder}: {number} runs, {done} of them done")
        self._find_again()
        stopping = False
        while self._active or (self._waiting and not interruption.requested):
            if not interruption.requested:
                self._start()
            elif not stopping:
                stopping = True
                self._stop()
            time.sleep(self._jobs.pause)
            self._collect()
        if interruption.requested:
            self._say(f"stopped; metarl sweep {self._told.folder} goes on")

    def _find_again(self) -> None:
        """Take up jobs that an earlier call has left."""
        for member in self._waiting.copy():
            key = self._told.rows[member.name].job
            if key and (job := self._jobs.found(member, key)):
                self._waiting.remove(member)
                self._active[member.name] = job
                self._say(f"{member.name}: job {key} of an earlier call")

    def _start(self) -> None:
        """Start what there is room for; what another process trains waits until it ends."""
        for member in self._waiting.copy():
            if len(self._active) >= self._jobs.width:
                return
            if is_trained(member):
                continue
            self._waiting.remove(member)
            before = self._told.ended(member.name)
            if before.state not in DONE:
                job = self._jobs.start(member)
                self._active[member.name] = job
                self._told.began(member.name, job.key)
                self._say(f"{member.name}: {_beginning(before)}")

    def _collect(self) -> None:
        """Note what has ended."""
        for name, job in list(self._active.items()):
            if (error := job.ended()) is not None:
                del self._active[name]
                row = self._told.ended(name, error)
                left = len(self._waiting) + len(self._active)
                why = f", {row.error}" if row.error else ""
                self._say(f"{name}: {row.state} at iteration {row.iteration}{why}; {left} to go")

    def _stop(self) -> None:
        self._say(f"stopping: {len(self._active)} runs write a checkpoint")
        for job in self._active.values():
            job.stop()


def _beginning(row: Row) -> str:
    return f"goes on from iteration {row.iteration}" if row.iteration else "starts"


def _check(members: Sequence[Member], *, allow_code: bool, here: bool) -> None:
    """Build, on the CPU, as many runs as have each value once; :class:`InputError` if one fails."""
    seen: list[tuple[str, Any]] = []
    for member in members:
        values = [item for item in member.options.items() if item[0] != "seed"]
        if seen and all(value in seen for value in values):
            continue
        seen += values or [("seed", 0)]
        config = replace(member.config, device="cpu", threads=1)
        check_options(member.config if here else config)
        if here:
            with input_errors("device"):
                resolve_device(member.config.device)
        build = BUILDERS[type(config.problem)]
        build(config, UserObjects(allow_code=allow_code), lambda line: None)


def _local_jobs(told: Sweep, jobs: int | None, commands: Commands) -> LocalJobs:
    """Processes here, as many as there are processors for, or GPUs, unless it is said."""
    configs = [member.config for member in told.members.values()]
    processors = _processors()
    on_gpu = any(resolve_device(config.device).type == "cuda" for config in configs)
    gpus = _gpus() if on_gpu else []
    threads = max(config.threads for config in configs)
    fitting = len(gpus) if gpus else max(1, len(processors) // threads)
    number = min(jobs or fitting, max(1, len(told.missing)))
    return LocalJobs(share(number, processors, gpus), commands)


def _processors() -> list[int]:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _gpus() -> list[str]:
    """Names of GPUs, as the variable that chooses among them has them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",") if visible else [str(n) for n in range(torch.cuda.device_count())]


def _default_name(config: RunConfig, settings: Mapping[str, Any]) -> str:
    subject = re.sub(r"[^A-Za-z0-9_.-]+", "-", config.subject.split("/")[-1])
    return "_".join(["sweep", config.learner, subject, *settings])

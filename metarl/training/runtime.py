"""Where and how a run executes: device, memory, interruption, folder."""

import ctypes
import errno
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Literal

import torch
from filelock import FileLock, Timeout

from metarl.core.collectives import ranks
from metarl.files import drop_unfinished
from metarl.training.processes import is_first, local_rank

DeviceName = Literal["auto", "cpu", "cuda"]
"""``auto`` is CUDA where there is any."""
STOPPING = b"\nmetarl: ends after this iteration; at once if asked again\n"
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)  # network drives of some kinds have none


def resolve_device(name: DeviceName, *, deterministic: bool = False) -> torch.device:
    """The device to train on; ``auto`` takes CUDA where there is one.

    Args:
        name: what was asked for.
        deterministic: make this process add up in a fixed order on CUDA, so that the same work
            gives the same bits; torch raises where it cannot. On a CPU that is so anyway.

    Raises:
        ValueError: if ``cuda`` is asked for and absent.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ValueError("device cuda was asked for, but torch finds no CUDA here; use cpu or auto")
    device = torch.device("cuda" if available and name == "auto" else name.replace("auto", "cpu"))
    if device.type == "cuda" and ranks().size > 1:
        if (local := local_rank()) >= (count := torch.cuda.device_count()):
            raise ValueError(
                f"device {name}: {local + 1} processes on this machine, but torch finds {count} "
                "CUDA devices here; start one process for each, or use cpu"
            )
        device = torch.device("cuda", local)
    if deterministic and device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read by its first product
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return device


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, where its C library is glibc.

    By default glibc maps every large tensor anew and gives it back when it is freed, so that each
    iteration of a convolutional network has all its pages zeroed by the kernel again: a third of
    the time of a ProtoNet's 60-way 5-shot iteration on a CPU. Peak memory stays the same.

    Returns:
        Whether the C library took it.
    """
    try:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # macOS and musl have none
    except (OSError, TypeError):  # Windows, or no C library that could be opened
        return False
    if mallopt is None:
        return False
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # the parameters' names in glibc's malloc.h
    settings = ((mmap_max, 0), (trim_threshold, 2**31 - 1), (top_pad, 2**26))
    return all(mallopt(parameter, value) == 1 for parameter, value in settings)


class Interruption:
    """Whether the run was asked to stop."""

    requested: bool = False


@contextmanager
def stop_on_signals() -> Iterator[Interruption]:
    """Turn the first Ctrl-C or SIGTERM into a request that the loop reads between iterations.

    It is said then, as iterations may take long. A second one does at once what it usually does. In
    another thread than the main one Python lets
    nobody handle signals: they do there what they usually do.
    """
    interruption = Interruption()

    def request(number: int, frame: FrameType | None) -> None:
        interruption.requested = True
        restore()
        if is_first():
            with suppress(OSError):  # not by sys.stderr, which may be in the middle of something
                os.write(2, STOPPING)

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    handled = threading.current_thread() is threading.main_thread()
    previous = {
        number: signal.signal(number, request)
        for number in (signal.SIGINT, signal.SIGTERM)
        # what was not installed from Python could not be put back, and what is ignored stays so: a
        # job in the background is not what Ctrl-C is meant for
        if handled and signal.getsignal(number) not in (None, signal.SIG_IGN)
    }
    try:
        yield interruption
    finally:
        restore()


class FolderInUseError(ValueError):
    """Another process is training in the run folder, or has trained since it was read."""


@contextmanager
def sole_writer(folder: Path, warn: Callable[[str], None]) -> Iterator[None]:
    """Keep other processes from training in a folder, until it is left or this process ends.

    What those left half-written that were killed in there is removed.

    Args:
        folder: the run folder.
        warn: called with one line where the file system has no locks.

    Raises:
        FolderInUseError: another one is in there.
    """
    lock = FileLock(folder / ".lock", blocking=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise FolderInUseError(f"{folder} is being written by another process") from error
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        warn(f"{folder} cannot be locked ({error.strerror}): let no other process train in it")
    else:
        drop_unfinished(folder / "checkpoints")
        for name in ("metrics.csv", "ending.json"):  # others write here without a lock
            drop_unfinished(folder, name)
    try:
        yield
    finally:
        lock.release()


def has_writer(folder: Path) -> bool:
    """Whether a process trains in a folder right now."""
    try:
        with sole_writer(folder, lambda line: None):
            return False
    except FolderInUseError:
        return True

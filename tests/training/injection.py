"""Faults where they hurt: in the n-th call of this process that touches a file.

Every call of a function of the operating system or of an open file is counted by the profiler's
hook, in all threads, nothing is replaced, and at the n-th the process is killed, or the call raises
what a broken disk gives. Children of ``os.fork`` have the fault; the parent sees what is left.
"""

import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

CHANGING = {
    *("write", "writerow", "flush", "__exit__", "fsync", "truncate", "replace", "rename", "mkdir"),
    *("write_record", "write_end_of_file"),
}
"""Calls that a full disk, or one that may not be written, refuses."""
TOUCHING = CHANGING | {"open", "close", "unlink", "flock"}
"""Calls between which a process can be killed."""
OURS = ("metarl", "tensorboard", "torch.serialization", "torch.utils.tensorboard")
OURS += ("pathlib", "contextlib", "csv")
"""Modules, or packages of them, whose calls fail: any other has no file of a run."""
LONGEST = 300  # seconds of a child
FAULT = 70  # exit status of a child with an exception that is no OSError
REFUSED = 71  # and with one
SURVIVED = 72  # of a run that went on after its fault

Act = Callable[[FrameType], object]


def kill(frame: FrameType) -> None:
    """End as by ``kill -9``."""
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(number: int) -> Act:
    """Raise what the operating system does; what takes a path names it."""

    def act(frame: FrameType) -> None:
        path = frame.f_locals.get("self") if "pathlib" in frame.f_code.co_filename else None
        raise OSError(number, os.strerror(number), *([str(path)] if path else []))

    return act


class AtCall:
    """Acts at the n-th call; counts them in any case. An exception takes the hook away.

    Args:
        n: from 1; 0 for never.
        act: what happens.
        names: of the functions that are counted.
    """

    def __init__(self, n: int, act: Act, names: set[str] = TOUCHING) -> None:
        self.n, self.act, self.names = n, act, names
        self.count = 0

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        """Called by Python itself at every call."""
        if event == "c_call" and arg.__name__ in self.names and _is_ours(frame, arg.__name__):
            self.count += 1
            if self.count == self.n:
                self.act(frame)

    def __enter__(self) -> "AtCall":
        threading.setprofile(self)
        sys.setprofile(self)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)


def _is_ours(frame: FrameType, name: str) -> bool:
    # a folder of any name may be above all of them, so that paths would not do
    module = frame.f_globals.get("__name__", "")
    # of a folder's listing, and of a lock, which would never be free again
    no_file = name == "__exit__" and ("pathlib" in module or "event_file_writer" in module)
    return not no_file and any(f"{module}.".startswith(f"{part}.") for part in OURS)


def in_child(work: Callable[[], int], said: Path | None = None) -> int:
    """Exit status of a child that does this, or minus the number of the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(start_child(work, said), 0)[1])


def start_child(work: Callable[[], int], said: Path | None = None) -> int:
    """Fork.

    Args:
        work: what the child does; gives its exit status.
        said: where what it says goes.

    Returns:
        Its number.
    """
    if (process := os.fork()) != 0:
        return process
    status = FAULT
    signal.alarm(LONGEST)  # a lock that another thread had as this one was forked is never free
    try:
        if said is not None:
            _speak_to(said)
        status = work()
    except OSError as error:
        status = REFUSED if error.errno == errno.ENOSPC else FAULT
        if status == FAULT:
            traceback.print_exc()
    finally:  # whatever it is: nothing of the parent's may run here
        if sys.exception() is not None:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def ended(process: int) -> list[int]:
    """Exit status of a child, once it has one."""
    number, status = os.waitpid(process, os.WNOHANG)
    return [os.waitstatus_to_exitcode(status)] if number else []


def _speak_to(path: Path) -> None:
    file = path.open("a", buffering=1)
    sys.stdout = sys.stderr = file
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)

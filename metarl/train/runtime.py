"""Where and how a run executes: device, threads, interruption."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal

import torch

DeviceName = Literal["auto", "cpu", "cuda"]


def resolve_device(name: DeviceName) -> torch.device:
    """The device to train on; ``auto`` takes CUDA where there is one.

    Raises:
        ValueError: if ``cuda`` is asked for and absent.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ValueError("device cuda was asked for, but torch finds no CUDA here; use cpu or auto")
    if name == "auto":
        return torch.device("cuda" if available else "cpu")
    return torch.device(name)


class Interruption:
    """Whether the run was asked to stop."""

    requested: bool = False


@contextmanager
def stop_on_signals() -> Iterator[Interruption]:
    """Turn the first Ctrl-C or SIGTERM into a request that the loop reads between iterations.

    A second one does at once what it usually does.
    """
    interruption = Interruption()

    def request(number: int, frame: FrameType | None) -> None:
        interruption.requested = True
        restore()

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    previous = {
        number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield interruption
    finally:
        restore()

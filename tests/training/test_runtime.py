"""Devices are what was asked for, or an error; freed memory is kept."""

import ctypes
import platform
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest
import torch

from metarl.training import DeviceName, keep_freed_memory, resolve_device
from metarl.training.runtime import stop_on_signals


@pytest.mark.parametrize(
    ("name", "available", "expected"),
    [
        ("auto", False, "cpu"),
        ("auto", True, "cuda"),
        ("cpu", False, "cpu"),
        ("cpu", True, "cpu"),
        ("cuda", True, "cuda"),
    ],
)
def test_devices(
    name: DeviceName, available: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert resolve_device(name) == torch.device(expected)


def test_cuda_that_is_absent_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device cuda was asked for, but torch finds no CUDA"):
        resolve_device("cuda")


@pytest.mark.parametrize("error", [TypeError("bad argument type"), OSError("no such library")])
def test_without_a_c_library_to_open_memory_is_as_it_was(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ``CDLL(None)`` raises on Windows and in a static binary."""

    def fail(name: str | None) -> Any:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", fail)
    assert keep_freed_memory() is False


def test_a_thread_that_may_not_handle_signals_is_stopped_by_none() -> None:
    requested: list[bool] = []

    def work() -> None:
        with stop_on_signals() as interruption:
            requested.append(interruption.requested)

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert requested == [False]
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_handler_that_python_did_not_install_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``getsignal`` says None of it; the other signal still stops the run."""
    known = signal.getsignal
    monkeypatch.setattr(signal, "getsignal", lambda n: None if n == signal.SIGTERM else known(n))
    before = known(signal.SIGTERM)
    with stop_on_signals() as interruption:
        assert known(signal.SIGTERM) == before
        signal.raise_signal(signal.SIGINT)
        assert interruption.requested
    assert known(signal.SIGTERM) == before


def test_what_is_ignored_does_not_stop_a_run() -> None:
    """As the shell has it for jobs in the background, which Ctrl-C does not mean."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stop_on_signals() as interruption:
            signal.raise_signal(signal.SIGINT)
        assert not interruption.requested
    finally:
        signal.signal(signal.SIGINT, before)


FAULTS = """
import resource, sys
import torch
from metarl.training import keep_freed_memory
kept = sys.argv[1] == "kept" and keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)  # 64 MiB, freed at once
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
settled = [faults() for _ in range(32)][-8:]  # the heap takes some to settle
print(kept, min(settled), max(settled))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
@pytest.mark.slow  # 7 s
def test_freed_memory_is_not_mapped_again() -> None:
    """64 MiB are 16,384 pages of 4 KiB, or 32 huge ones."""
    outputs = {
        how: subprocess.run(
            [sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True
        ).stdout.split()
        for how in ("kept", "default")
    }
    assert outputs["kept"][0] == "True"
    assert int(outputs["kept"][2]) < 10 < int(outputs["default"][1])

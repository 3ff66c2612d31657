"""Devices are what was asked for, or an error; freed memory is kept."""

import platform
import subprocess
import sys

import pytest
import torch

from metarl.training import DeviceName, resolve_device


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

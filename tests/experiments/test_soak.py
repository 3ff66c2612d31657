"""The soak: what it sees of processes, and when it says that something grows."""

import os
import subprocess
import sys

import numpy as np
import pytest
from soak import looked_at, tree, trend


def samples(per_hour: float, noise: float = 1.0) -> list[dict[str, float]]:
    rng = np.random.default_rng(0)
    hours = np.linspace(0, 2, 240)
    return [
        {"hours": hour, "memory_mib": 600 + per_hour * hour + noise * rng.normal()}
        for hour in hours
    ]


@pytest.mark.parametrize(
    ("per_hour", "noise", "flat"),
    [(0.0, 1.0, True), (0.0, 30.0, True), (4.0, 1.0, True), (8.0, 1.0, False), (60.0, 30.0, False)],
)
def test_ten_mib_in_all_are_flat(per_hour: float, noise: float, flat: bool) -> None:
    told = trend(samples(per_hour, noise), "memory_mib")
    assert told["flat"] is flat
    assert abs(told["per_hour"] - per_hour) < 3 * told["standard_error"]


def test_a_process_and_its_child() -> None:
    command = [sys.executable, "-c", "print(flush=True); input()"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as child:
        assert child.stdout is not None
        child.stdout.readline()  # it has started
        assert child.pid in tree(os.getpid())
        seen = looked_at(child.pid)
        child.communicate(b"\n")
    assert 1 < seen["memory_mib"] < 100
    assert seen["handles"] >= 3
    assert seen["threads"] == 1

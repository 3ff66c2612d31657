"""A run that is killed or ended by a signal and resumed equals one that was never stopped."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from metarl.cli import main
from metarl.training.checkpoint import BEST, load_checkpoint, load_newest

ITERATIONS = 60
OPTIONS = [
    "--env", "metarl/PointGoal-v0", "--seed", "3", "--iterations", str(ITERATIONS),
    "--checkpoint-every", "7", "--eval-every", "20", "--meta-batch-size", "3",
    "--num-trajectories", "4", "--horizon", "10", "--hidden-sizes", "8", "--eval-tasks", "4",
]  # fmt: skip


@pytest.fixture(
    scope="module", params=["maml-trpo", pytest.param("maml-vpg", marks=pytest.mark.slow)]
)
def learner(request):
    return request.param


@pytest.fixture(scope="module")
def uninterrupted(learner, tmp_path_factory):
    output = tmp_path_factory.mktemp("uninterrupted")
    assert main(["train", learner, *OPTIONS, "--output", str(output)]) == 0
    (folder,) = output.iterdir()
    return folder


def start(learner: str, output: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "metarl", "train", learner, *OPTIONS, "--output", str(output)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for_iteration(output: Path, iteration: int) -> Path:
    """The run folder, once that many iterations are written."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for metrics in output.glob("*/metrics.csv"):
            if len(metrics.read_bytes().splitlines()) > iteration:
                return metrics.parent
        time.sleep(0.002)
    raise TimeoutError(f"no iteration {iteration} in {output}")


def rows(folder: Path) -> list[dict[str, str]]:
    """Metrics without the columns that a clock wrote."""
    table = csv.DictReader((folder / "metrics.csv").read_text().splitlines())
    return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in table]


def assert_same(folder: Path, uninterrupted: Path) -> None:
    ours, theirs = (load_newest(f / "checkpoints")[0] for f in (folder, uninterrupted))
    assert ours["iteration"] == ITERATIONS
    for name, value in theirs["learner"]["policy"].items():
        assert torch.equal(ours["learner"]["policy"][name], value)
    assert ours["learner"]["iteration"] == theirs["learner"]["iteration"]
    assert rows(folder) == rows(uninterrupted)
    best, expected = (load_checkpoint(f / "checkpoints" / BEST) for f in (folder, uninterrupted))
    assert best["best"] == expected["best"]
    for name, value in expected["learner"]["policy"].items():
        assert torch.equal(best["learner"]["policy"][name], value)
    evaluations = [json.loads((f / "evaluation.json").read_text()) for f in (folder, uninterrupted)]
    for evaluation in evaluations:
        del evaluation["hours"]
    assert evaluations[0] == evaluations[1]


@pytest.mark.slow  # 8 s; tests/training/test_kills.py has others, in children of a warm process
def test_killed_at_a_random_iteration(learner, uninterrupted, tmp_path):
    """SIGKILL leaves no time for anything: what counts is the checkpoint before it."""
    victim = random.Random(os.urandom(4)).randrange(8, 40)
    process = start(learner, tmp_path)
    folder = wait_for_iteration(tmp_path, victim)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert load_newest(folder / "checkpoints")[0]["iteration"] < ITERATIONS
    assert main(["resume", str(folder)]) == 0
    assert_same(folder, uninterrupted)


@pytest.mark.slow  # 8 s
def test_killed_before_the_first_scheduled_checkpoint(learner, uninterrupted, tmp_path):
    process = start(learner, tmp_path)
    folder = wait_for_iteration(tmp_path, 2)
    process.kill()
    process.wait()
    assert main(["resume", str(folder)]) == 0
    assert_same(folder, uninterrupted)


@pytest.mark.slow  # 11 s
def test_resumed_while_it_trains(learner, uninterrupted, tmp_path, capsys):
    """The second is sent away, and the first does not notice."""
    process = start(learner, tmp_path)
    folder = wait_for_iteration(tmp_path, 1)
    capsys.readouterr()
    assert main(["resume", str(folder)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"metarl: error: {folder} is being written by another process"
    assert process.wait(timeout=60) == 0
    assert_same(folder, uninterrupted)


@pytest.mark.slow  # tests/cli/test_signals.py and tests/training/test_kills.py are fast
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ended_by_a_signal(number, learner, uninterrupted, tmp_path):
    process = start(learner, tmp_path)
    folder = wait_for_iteration(tmp_path, 20)
    process.send_signal(number)
    assert process.wait(timeout=60) == 130
    stopped = load_newest(folder / "checkpoints")[0]["iteration"]
    assert 20 <= stopped < ITERATIONS
    assert len(rows(folder)) == stopped  # the checkpoint holds all that was done
    assert main(["resume", str(folder)]) == 0
    assert_same(folder, uninterrupted)

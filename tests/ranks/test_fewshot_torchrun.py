"""``torchrun -m metarl fewshot`` trains as one process does; any number of them goes on."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from metarl.training.checkpoint import load_newest

SHARED = (
    "--data glyphs --filters 8 --num-queries 5 --iterations 3 --eval-every 2 --num-validation 70 "
    "--eval-tasks 0 --num-ways 3 --output runs"
)
LEARNERS = {
    # every class starts from a row of its own: the gradient of a common one is rounding alone
    "maml": "--head free --num-inner-steps 2 --num-test-steps 2 --meta-batch-size 4",
    "protonet": "--meta-batch-size 4",
}


def torchrun(folder: Path, size: int, *arguments: str, status: int = 0) -> str:
    """What it said; runs are in ``runs`` of the folder."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(size)]
    done = subprocess.run(
        [*launch, "-m", "metarl", *arguments],
        cwd=folder,
        env={"PYTHONPATH": ":".join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode == 0) == (status == 0), done.stderr
    return done.stdout + done.stderr


def state(folder: Path) -> tuple[int, dict[str, torch.Tensor]]:
    """Iterations and network of the one run."""
    (run,) = (folder / "runs").iterdir()
    content, problems = load_newest(run / "checkpoints")
    assert problems == []
    return content["iteration"], content["learner"]["network"]


@pytest.mark.slow  # two minutes: nine processes
@pytest.mark.parametrize("name", LEARNERS)
def test_one_and_two_processes_and_a_run_that_goes_on_with_four(name: str, tmp_path: Path) -> None:
    command = ["fewshot", name, *SHARED.split(), *LEARNERS[name].split()]
    folders = [tmp_path / each for each in ("one", "two", "then")]
    for folder in folders:
        folder.mkdir()
    torchrun(folders[0], 1, *command)
    torchrun(folders[1], 2, *command)
    torchrun(folders[2], 2, *command, "--time-limit", "1e-9")
    assert state(folders[2])[0] == 1
    (stopped,) = (folders[2] / "runs").iterdir()
    torchrun(folders[2], 4, "resume", str(stopped))
    iterations, expected = state(folders[0])
    assert iterations == 3
    for folder in folders[1:]:
        iterations, network = state(folder)
        assert iterations == 3
        for key, value in expected.items():
            torch.testing.assert_close(network[key], value, rtol=0, atol=1e-5, msg=key)


@pytest.mark.slow  # ten seconds
def test_fewer_episodes_than_processes_are_one_line(tmp_path: Path) -> None:
    command = ["fewshot", "protonet", *SHARED.split(), "--meta-batch-size", "1"]
    said = torchrun(tmp_path, 2, *command, status=2)
    lines = [line for line in said.splitlines() if "meta_batch_size" in line]
    expected = (
        "meta_batch_size must be at least 2, so that each of the 2 processes has a part, got 1"
    )
    assert lines == [f"metarl: error: {expected}"]
    assert not (tmp_path / "runs").exists()

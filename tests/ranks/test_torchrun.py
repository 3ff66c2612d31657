"""``torchrun`` itself: ranks killed at any moment, other numbers of them, lines for the user.

20 kills take 10 minutes of one core.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from metarl.training.checkpoint import load_newest
from metarl.training.run_folders import newest_iteration

LONGEST = 400  # seconds of a run, on a machine with much else to do
ITERATIONS = 30
RUN = (
    "train maml-vpg --env metarl/PointGoal-v0 --meta-batch-size 4 --num-trajectories 5 "
    f"--horizon 20 --iterations {ITERATIONS} --eval-tasks 2 --checkpoint-every 5"
)
MODULE = [sys.executable, "-m", "torch.distributed.run"]


class Launch:
    """A command under ``torchrun``."""

    def __init__(self, size: int, output: Path, *options: str, command: str = RUN) -> None:
        self.output = output
        output.mkdir(exist_ok=True)
        self.log = output / "log.txt"
        with self.log.open("w") as log:
            launched = [*MODULE, f"--nproc-per-node={size}", *options, "-m", "metarl"]
            self.process = subprocess.Popen(
                [*launched, *command.split(), "--output", str(output / "runs")],
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    def ranks(self) -> list[int]:
        """Of the processes that run metarl."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        return [int(child) for child in children.read_text().split()] if children.exists() else []

    def reach(self, iteration: int, further: float) -> None:
        """Wait for an iteration and so many seconds; below 0 for seconds of starting."""
        deadline = time.monotonic() + (-2 * iteration if iteration < 0 else LONGEST)
        while time.monotonic() < deadline and self.process.poll() is None:
            tables = list(self.output.glob("runs/*/metrics.csv"))
            if iteration < 0 and not self.ranks():
                deadline += 0.02  # nobody is there yet who could be killed
            if tables and len(tables[0].read_text().splitlines()) > iteration >= 0:
                break
            time.sleep(0.02)
        time.sleep(further)

    def wait(self) -> int:
        """For its exit status."""
        try:
            return self.process.wait(LONGEST)
        finally:
            self.process.kill()

    def text(self) -> str:
        """What it said."""
        return self.log.read_text()


def _parameters(output: Path) -> tuple[int, dict[str, torch.Tensor]]:
    """Of the one run there is, whole and complete."""
    (folder,) = (output / "runs").iterdir()
    content, problems = load_newest(folder / "checkpoints")
    assert not problems
    assert newest_iteration(folder) == content["iteration"]
    rows = (folder / "metrics.csv").read_text().splitlines()[1:]
    assert [int(row.split(",")[0]) for row in rows] == list(range(1, content["iteration"] + 1))
    assert not list(folder.rglob("*.tmp"))
    return content["iteration"], content["learner"]["policy"]


def _left_behind(output: Path) -> list[str]:
    """Processes that belong to a launch."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = place.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(output) in command:
            found.append(command)
    return found


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """Parameters of a run that nobody kills."""
    output = tmp_path_factory.mktemp("unharmed")
    assert Launch(2, output).wait() == 0
    iteration, parameters = _parameters(output)
    assert iteration == ITERATIONS
    return parameters


@pytest.mark.slow
@pytest.mark.parametrize("number", range(int(os.environ.get("METARL_KILLS", "20"))))
def test_a_rank_killed_at_a_random_moment(
    number: int, tmp_path: Path, unharmed: dict[str, torch.Tensor]
) -> None:
    shared = sorted(os.listdir("/dev/shm"))
    rng = random.Random(number)
    launch = Launch(2, tmp_path, "--max-restarts=3")
    launch.reach(rng.randint(-5, ITERATIONS - 1), rng.uniform(0, 0.3))
    killed = rng.choice(launch.ranks() or [0])
    if killed:
        os.kill(killed, signal.SIGKILL)
    assert launch.wait() == 0, launch.text()
    iteration, parameters = _parameters(tmp_path)
    assert iteration == ITERATIONS
    for name, value in unharmed.items():
        assert torch.equal(parameters[name], value), name  # as if nobody had
    assert not _left_behind(tmp_path)
    assert sorted(os.listdir("/dev/shm")) == shared
    said = [line for line in launch.text().splitlines() if "goes on" in line or "has ended" in line]
    sys.stdout.write(f"\nkill {number}: of {killed}: {said}\n")  # which moments were hit: -s


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 3])
def test_metarl_resume_with_another_number_of_ranks(
    size: int, tmp_path: Path, unharmed: dict[str, torch.Tensor]
) -> None:
    assert Launch(2, tmp_path, command=RUN.replace(f"{ITERATIONS}", "10")).wait() == 0
    (folder,) = (tmp_path / "runs").iterdir()
    command = [*MODULE, f"--nproc-per-node={size}", "-m", "metarl", "resume", str(folder)]
    subprocess.run([*command, "--iterations", f"{ITERATIONS}"], check=True, timeout=LONGEST)
    iteration, parameters = _parameters(tmp_path)
    assert iteration == ITERATIONS
    for name, value in unharmed.items():
        torch.testing.assert_close(parameters[name], value, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "line"),
    [
        (RUN.replace("maml-vpg", "rl2"), "rl2 trains in one process, not in 2"),
        (RUN.replace("--meta-batch-size 4", "--meta-batch-size 1"), "must be at least 2"),
        (RUN.replace("PointGoal-v0", "Nothing-v0"), "is not a registered environment"),
        (f"{RUN} --outer-lr -1", "--outer-lr must be"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(command: str, line: str, tmp_path: Path) -> None:
    launch = Launch(2, tmp_path, command=command)
    assert launch.wait() == 1  # torchrun's own, whatever its processes'
    errors = [said for said in launch.text().splitlines() if "metarl: error" in said]
    assert len(errors) == 1
    assert line in errors[0]
    assert "exitcode  : 2" in launch.text()

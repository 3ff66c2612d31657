"""The power fails: what was not flushed to the disk is gone, whatever the file system has said.

A training runs in an ext4 file system within a file; copies of that file at random moments are what
the disk held then. Mounted, each goes on to what an untroubled run leaves, with nothing to say.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import injection
import pytest
from fake_learner import FakeLearner
from test_every_call import left, newest

from metarl.training import CSVWriter, Schedule, Trainer
from metarl.training.checkpoint import list_checkpoints, load_newest
from metarl.types import Metrics

pytestmark = [
    pytest.mark.slow,  # 10 s
    pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning"),
]
ITERATIONS = 5
MOMENTS = 12


def slowly(iteration: int) -> Metrics:
    """Half a second of training in all, so that moments are within it."""
    time.sleep(0.1)
    return {"eval/validation": float(iteration)}


def session(folder: Path, said: list[str]) -> int:
    schedule = Schedule(iterations=ITERATIONS, checkpoint_every=3, eval_every=2, save_share=1.0)
    trainer = Trainer(
        FakeLearner(slowly),
        schedule,
        folder=folder,
        writers=[CSVWriter(said.append)],
        warn=said.append,
    )
    if list_checkpoints(folder / "checkpoints"):
        content, problems = load_newest(folder / "checkpoints")
        said += problems
        trainer.load(content)
    trainer.run()
    return 0


def mounted(image: Path) -> Path:
    """Where the file system of an image is now."""
    place = image.with_suffix(".mounted")
    place.mkdir()
    options = ["mount", "-o", "loop", str(image), str(place)]
    if subprocess.run(options, capture_output=True, check=False).returncode:
        pytest.skip("may not mount")
    return place


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Path]:
    if not shutil.which("mkfs.ext4"):
        pytest.skip("there is no mkfs.ext4")
    path = tmp_path / "whole.image"
    with path.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(path)], check=True)
    yield path
    for place in tmp_path.glob("*.mounted"):
        subprocess.run(["umount", str(place)], check=True)


def test_what_the_disk_holds_goes_on(image: Path, tmp_path: Path) -> None:
    (tmp_path / "untroubled").mkdir()
    session(tmp_path / "untroubled", [])
    expected = newest(left(tmp_path / "untroubled"))
    folder, random, copies = mounted(image) / "run", Random(0), []
    folder.mkdir()
    os.sync()
    process = injection.start_child(lambda: session(folder, []))
    for moment in range(MOMENTS):
        time.sleep(random.uniform(0, 0.12))
        os.kill(process, signal.SIGSTOP)  # a disk does not go on when the power is gone
        copies.append(shutil.copy(image, tmp_path / f"{moment}.image"))
        os.kill(process, signal.SIGCONT)
    assert os.waitpid(process, 0)[1] == 0
    reached = []
    for copy in copies:
        found, said = mounted(Path(copy)) / "run", []
        known = list_checkpoints(found / "checkpoints")
        reached.append(int(known[0].stem.removeprefix("iteration_")) if known else None)
        session(found, said)
        assert said == []
        assert newest({**left(found), "files": []}) == {**expected, "files": []}
    assert len(set(reached)) > 3

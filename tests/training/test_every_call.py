"""A training killed, or refused by the disk, in each single call that touches one of its files.

What is left goes on, with no checkpoint that cannot be read, to what an untroubled run leaves: the
same state, the same rows, the same best, and no file more. At most one iteration is done again.
"""

import csv
import errno
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import injection
import pytest
from fake_learner import FakeLearner

from metarl.training import CSVWriter, Ending, Schedule, TensorBoardWriter, Trainer, Writer
from metarl.training.checkpoint import list_checkpoints, load_checkpoint, load_newest
from metarl.types import Metrics

SCHEDULE = Schedule(iterations=5, checkpoint_every=3, eval_every=2, save_share=1.0)
# a process that is forked where others threads run is killed or ends by os._exit, and needs no lock
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")


def metrics_of(iteration: int) -> Metrics:
    """One that is first seen in iteration 3, and scores whose best is the one before the last."""
    late = {"meta/late": 1.0} if iteration >= 3 else {}
    return {"eval/validation": [0.0, 1.0, 2.0, 5.0, 3.0][iteration - 1], **late}


def session(folder: Path, *writers: Writer, said: list[str] | None = None) -> Trainer:
    """Go on from the newest checkpoint, as ``metarl resume`` does, or begin."""
    problems: list[str] = []
    trainer = Trainer(
        FakeLearner(metrics_of),
        SCHEDULE,
        folder=folder,
        writers=writers or [CSVWriter(problems.append)],
        warn=problems.append,
    )
    if list_checkpoints(folder / "checkpoints"):
        content, damaged = load_newest(folder / "checkpoints")
        problems += damaged
        trainer.load(content)
    assert trainer.run() is Ending.COMPLETE
    assert problems == [] or said is not None
    if said is not None:
        said += problems
    return trainer


def left(folder: Path) -> dict[str, Any]:
    """What a run leaves, but for what the clock has decided."""
    content: dict[str, Any] = {}
    for path in sorted(folder.rglob("*.pt")):
        content[path.name] = load_checkpoint(path)
        del content[path.name]["seconds"]
    with (folder / "metrics.csv").open(newline="") as file:
        content["rows"] = [
            {key: value for key, value in row.items() if not key.startswith("time/")}
            for row in csv.DictReader(file)
        ]
    names = {path.name for path in folder.rglob("*") if "tfevents" not in path.name}
    content["files"] = sorted(names - {"curves"})  # TensorBoard's, which is not always there
    return content


def done(folder: Path) -> int:
    """Iterations whose rows are whole."""
    path = folder / "metrics.csv"
    return max(0, path.read_bytes().count(b"\n") - 1) if path.exists() else 0


def newest(content: dict[str, Any]) -> dict[str, Any]:
    """Without the checkpoints before the last one: which there are depends on the sessions."""
    kept = {k: v for k, v in content.items() if k in ("rows", "best.pt", "iteration_00000005.pt")}
    return kept | {"files": [n for n in content["files"] if not n.startswith("iteration_")]}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("untroubled")
    session(folder)
    content = left(folder)
    assert content["best.pt"]["iteration"] == 4
    assert [row["iteration"] for row in content["rows"]] == list("12345")
    return newest(content)


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Iterator[Path]]:
    yield (Path(tempfile.mkdtemp(dir=tmp_path)) for _ in iter(int, 1))
    shutil.rmtree(tmp_path)


ALL = pytest.param(11, True, marks=pytest.mark.slow, id="many")  # half a minute of a core each
SOME = pytest.param(47, False, id="some")


@pytest.mark.parametrize(("stride", "events"), [SOME, ALL])
def test_killed(
    stride: int, events: bool, folders: Iterator[Path], expected: dict[str, Any]
) -> None:
    number, status = 1, -signal.SIGKILL
    while status != 0:
        folder = next(folders)
        writers = [CSVWriter(), TensorBoardWriter()] if events else []
        with_fault = injection.AtCall(number, injection.kill)
        status = injection.in_child(lambda: _run(folder, writers, with_fault))  # noqa: B023
        known = [load_checkpoint(p)["iteration"] for p in list_checkpoints(folder / "checkpoints")]
        assert done(folder) - max(known, default=0) <= 1, number
        session(folder)
        assert newest(left(folder)) == expected, number
        number += stride
    assert number > 150


@pytest.mark.parametrize(("stride", "events"), [SOME, ALL])
def test_refused(
    stride: int, events: bool, folders: Iterator[Path], expected: dict[str, Any]
) -> None:
    """The error names a file of the run, and nothing half-written is left."""
    number, status = 1, injection.REFUSED
    while status != 0:
        folder = next(folders)
        writers = [CSVWriter(), TensorBoardWriter()] if events else []
        with_fault = injection.AtCall(number, injection.refuse(errno.ENOSPC), injection.CHANGING)
        status = injection.in_child(lambda: _run(folder, writers, with_fault))  # noqa: B023
        assert status in (injection.REFUSED, injection.SURVIVED, 0), number
        assert list(folder.rglob("*.tmp")) == [], number
        known = [load_checkpoint(p)["iteration"] for p in list_checkpoints(folder / "checkpoints")]
        assert done(folder) - max(known, default=0) <= 1, number
        session(folder)
        assert newest(left(folder)) == expected, number
        number += stride
    assert number > 50


def _run(folder: Path, writers: list[Writer], fault: injection.AtCall) -> int:
    with fault:
        try:
            session(folder, *writers)
        except OSError as error:
            if not str(error.filename).startswith(str(folder)):
                raise RuntimeError(f"it names {error.filename}") from error
            raise
    return injection.SURVIVED if fault.count >= fault.n else 0

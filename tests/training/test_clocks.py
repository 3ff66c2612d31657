"""A clock that jumps by years: names and times of events have it, and nothing else."""

import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from fake_learner import FakeLearner
from test_trainer import Killed, kill_in, late, read_events, read_rows

from metarl.training import CSVWriter, Ending, Schedule, TensorBoardWriter, Trainer
from metarl.training.checkpoint import list_checkpoints, load_newest

YEAR = 365 * 86400.0
NOW = time.time()


def session(folder: Path, learner: FakeLearner, **schedule: float) -> Ending:
    """Go on where the folder is, or begin."""
    folder.mkdir(exist_ok=True)
    trainer = Trainer(
        learner,
        Schedule(**{"iterations": 6, "checkpoint_every": 2, "save_share": 0.0} | schedule),
        folder=folder,
        writers=[CSVWriter(pytest.fail), TensorBoardWriter()],
        warn=pytest.fail,
    )
    if list_checkpoints(folder / "checkpoints"):
        trainer.load(load_newest(folder / "checkpoints")[0])
    return trainer.run()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], float]], None]:
    """Sets what the time is."""
    return lambda now: monkeypatch.setattr(time, "time", now)


@pytest.mark.parametrize(
    ("killed_in", "jump"), [(2, 0.0), (2, -3.0), (4, -10 * YEAR), (5, -1.0), (6, 10 * YEAR)]
)
def test_between_sessions(
    killed_in: int, jump: float, clock: Callable[[Callable[[], float]], None], tmp_path: Path
) -> None:
    """TensorBoard sorts files by the time in their names: the later session's is to be the last."""
    session(tmp_path / "whole", FakeLearner(late))
    clock(lambda: NOW)
    with pytest.raises(Killed):
        session(tmp_path / "killed", FakeLearner(kill_in(killed_in)))
    clock(lambda: NOW + jump)
    assert session(tmp_path / "killed", FakeLearner(late)) is Ending.COMPLETE
    assert read_rows(tmp_path / "killed") == read_rows(tmp_path / "whole")
    assert read_events(tmp_path / "killed") == read_events(tmp_path / "whole")


def test_at_every_look(clock: Callable[[Callable[[], float]], None], tmp_path: Path) -> None:
    """The time limit, too, is by a clock that nobody sets."""
    random = Random(0)
    clock(lambda: NOW + random.uniform(-10, 10) * YEAR)
    assert session(tmp_path / "jumps", FakeLearner(late), time_limit=600.0) is Ending.COMPLETE
    assert [row["iteration"] for row in read_rows(tmp_path / "jumps")] == list("123456")
    content, problems = load_newest(tmp_path / "jumps" / "checkpoints")
    assert problems == []
    assert 0 < content["seconds"] < 600


def test_two_folders_of_one_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their names have the time; a clock that was set back may say one again."""
    monkeypatch.setattr(time, "strftime", lambda form: "20260101-000000")
    folders = [Trainer(FakeLearner(), output=tmp_path, name="run").folder for _ in range(3)]
    assert len(set(folders)) == 3

"""Run folders: made by the trainer, locked while one trains in them, written by its writers."""

import errno
import fcntl
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fake_learner import FakeLearner

from metarl.training import CSVWriter, Ending, FolderInUseError, Schedule, Trainer, Writer
from metarl.training.checkpoint import load_newest
from metarl.types import Metrics

THREE = Schedule(iterations=3)


class Recorder(Writer):
    """Keeps what it is told, in order; fails where it is to."""

    def __init__(self, failing: str = "") -> None:
        self.calls: list[Any] = []
        self.failing = failing

    def open(self, folder: Path, iteration: int) -> None:
        self._call("open", folder, iteration)

    def write(self, iteration: int, metrics: Metrics) -> None:
        self._call("write", iteration, metrics)

    def close(self) -> None:
        self._call("close")

    def _call(self, name: str, *given: Any) -> None:
        self.calls.append((name, *given))
        if name == self.failing:
            raise RuntimeError(f"{name} fails")

    @property
    def names(self) -> list[str]:
        return [call[0] for call in self.calls]


def test_without_a_folder_it_makes_one_with_the_config(tmp_path: Path) -> None:
    output = tmp_path / "deep" / "runs"
    trainers = [
        Trainer(FakeLearner(), THREE, output=output, name="mine", config=f'{{"number": {i}}}')
        for i in range(3)
    ]
    assert len({trainer.folder for trainer in trainers}) == 3  # within one second
    for i, trainer in enumerate(trainers):
        assert trainer.folder.parent == output
        assert re.fullmatch(r"mine_\d{8}-\d{6}(-\d)?", trainer.folder.name)
        assert (trainer.folder / "config.json").read_text() == f'{{"number": {i}}}'
    trainers[1].run()
    content, _ = load_newest(trainers[1].folder / "checkpoints")
    assert content["config"] == '{"number": 1}'


def test_the_folder_of_a_run_that_goes_on_keeps_its_config(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("as it was")
    Trainer(FakeLearner(), THREE, folder=tmp_path, config='{"iterations": 9}').run()
    assert (tmp_path / "config.json").read_text() == "as it was"


def test_only_one_trains_in_a_folder_at_a_time(tmp_path: Path) -> None:
    writer = Recorder()
    first = Trainer(FakeLearner(), THREE, output=tmp_path)
    second = Trainer(FakeLearner(), THREE, folder=first.folder, writers=[writer])
    refused: list[str] = []

    def meanwhile(iteration: int, metrics: Metrics) -> None:
        with pytest.raises(FolderInUseError) as error:
            second.run()
        refused.append(str(error.value))

    assert first.run(meanwhile) is Ending.COMPLETE
    assert refused == [f"{first.folder} is being written by another process"] * 3
    assert second.iteration == 0
    assert writer.calls == []
    third = Trainer(FakeLearner(), THREE, folder=first.folder, writers=[writer])
    assert third.run() is Ending.COMPLETE
    assert writer.names == ["open", "write", "write", "write", "close"]


def test_who_read_the_folder_before_another_trained_in_it_is_refused(tmp_path: Path) -> None:
    """It would go on from an old state, and drop the other's rows."""
    first = Trainer(FakeLearner(), THREE, output=tmp_path)
    first.save()
    late = Trainer(FakeLearner(), THREE, folder=first.folder)
    first.run()
    rows = (first.folder / "checkpoints").stat().st_mtime_ns
    with pytest.raises(FolderInUseError, match=f"another process has trained in {first.folder}"):
        late.run()
    assert (first.folder / "checkpoints").stat().st_mtime_ns == rows
    first.schedule = Schedule(iterations=5)
    assert first.run() is Ending.COMPLETE  # what it wrote itself is no matter


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_a_file_system_without_locks_is_said(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_lock(*given: Any) -> None:
        raise OSError(number, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_lock)
    said: list[str] = []
    trainer = Trainer(FakeLearner(), THREE, output=tmp_path, warn=said.append)
    assert trainer.run() is Ending.COMPLETE
    assert said == [
        f"{trainer.folder} cannot be locked (No locks available): let no other process train in it"
    ]


def test_another_reason_not_to_lock_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(FakeLearner(), THREE, output=tmp_path)
    (trainer.folder / ".lock").mkdir()
    with pytest.raises(OSError, match=r"\.lock"):
        trainer.run()


def test_a_process_that_is_killed_leaves_no_lock(tmp_path: Path) -> None:
    code = "import sys, time; from filelock import FileLock; lock = FileLock(sys.argv[1]); "
    code += "lock.acquire(); print('locked', flush=True); time.sleep(60)"
    trainer = Trainer(FakeLearner(), THREE, output=tmp_path)
    command = [sys.executable, "-c", code, str(trainer.folder / ".lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(FolderInUseError):
            trainer.run()
        other.kill()
    assert trainer.run() is Ending.COMPLETE


def test_an_error_gives_the_folder_free(tmp_path: Path) -> None:
    def fail(iteration: int) -> Metrics:
        raise RuntimeError("broken")

    first = Trainer(FakeLearner(fail), THREE, output=tmp_path)
    with pytest.raises(RuntimeError, match="broken"):
        first.run()
    assert Trainer(FakeLearner(), THREE, folder=first.folder).run() is Ending.COMPLETE


def test_it_is_still_locked_while_writers_close(tmp_path: Path) -> None:
    """They write what is left."""

    class Slow(Recorder):
        def close(self) -> None:
            with pytest.raises(FolderInUseError):
                Trainer(FakeLearner(), THREE, folder=first.folder).run()
            super().close()

    first = Trainer(FakeLearner(), THREE, output=tmp_path, writers=[Slow()])
    first.run()


def test_an_own_writer_gets_every_iteration(tmp_path: Path) -> None:
    writer, seen = Recorder(), []
    trainer = Trainer(FakeLearner(), THREE, output=tmp_path, writers=[writer])
    trainer.run(lambda iteration, metrics: seen.append(("write", iteration, metrics)))
    assert writer.calls == [("open", trainer.folder, 0), *seen, ("close",)]
    assert [call[1] for call in writer.calls[1:-1]] == [1, 2, 3]
    for _, _, metrics in writer.calls[1:-1]:
        assert {"meta/total", "time/seconds", "time/env_steps_per_second"} <= metrics.keys()
    assert ["eval/return_post" in metrics for _, _, metrics in seen] == [True, False, True]


def test_writers_are_opened_when_there_is_something_to_write(tmp_path: Path) -> None:
    """Not when a trainer is made, nor when a run that is complete is gone on with."""
    writers = [Recorder(), Recorder()]
    trainer = Trainer(FakeLearner(), THREE, output=tmp_path, writers=writers)
    assert writers[0].calls == []

    def fail(iteration: int) -> Metrics:
        assert writers[0].calls == []
        raise RuntimeError("broken")

    trainer.learner.on_update = fail  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="broken"):
        trainer.run()
    assert writers[0].calls == writers[1].calls == []

    folder = Trainer(FakeLearner(), THREE, output=tmp_path)
    folder.run()
    content, _ = load_newest(folder.folder / "checkpoints")
    for iterations, expected in ((3, []), (5, ["open", "write", "write", "close"])):
        again = Trainer(
            FakeLearner(),
            Schedule(iterations=iterations),
            folder=folder.folder,
            writers=[writers[0]],
        )
        again.load(content)
        again.run()
        assert writers[0].names == expected
    assert writers[0].calls[0] == ("open", folder.folder, 3)  # rows of later ones are dropped


@pytest.mark.parametrize("failing", ["open", "write", "close"])
def test_writers_are_closed_after_an_error(failing: str, tmp_path: Path) -> None:
    """Those that were opened, each once, also where one of them is what fails."""
    first, broken, last = Recorder(), Recorder(failing), Recorder()
    trainer = Trainer(FakeLearner(), THREE, output=tmp_path, writers=[first, broken, last])
    with pytest.raises(RuntimeError, match=f"{failing} fails"):
        trainer.run()
    assert first.names.count("close") == 1
    assert broken.names.count("close") == (failing != "open")
    assert last.names.count("close") == (failing != "open")
    assert first.names[-1] == "close"


def test_writers_are_closed_after_an_error_of_the_learner(tmp_path: Path) -> None:
    def fail_later(iteration: int) -> Metrics:
        if iteration == 2:
            raise RuntimeError("broken")
        return {}

    writer = Recorder()
    trainer = Trainer(FakeLearner(fail_later), THREE, output=tmp_path, writers=[writer])
    with pytest.raises(RuntimeError, match="broken"):
        trainer.run()
    assert writer.names == ["open", "write", "close"]


def test_without_writers_there_are_no_figures(tmp_path: Path) -> None:
    bare = Trainer(FakeLearner(), THREE, output=tmp_path, name="bare")
    kept = Trainer(FakeLearner(), THREE, output=tmp_path, name="kept", writers=[CSVWriter()])
    files = []
    for trainer in (bare, kept):
        trainer.run()
        files.append({path.name for path in trainer.folder.iterdir()} - {".lock"})
    assert files == [{"config.json", "checkpoints"}, {"config.json", "checkpoints", "metrics.csv"}]

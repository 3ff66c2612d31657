"""A disk that is full: one line that names file and run, nothing half-written, resume goes on."""

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from torch.utils.tensorboard.writer import FileWriter

from metarl.cli import main
from metarl.files import replacing
from metarl.training import TensorBoardWriter

SMALL = ["--env", "metarl/PointGoal-v0", "--meta-batch-size", "2", "--num-trajectories", "2"]
SMALL += ["--horizon", "5", "--hidden-sizes", "4", "--checkpoint-every", "1", "--eval-tasks", "0"]


def full(*given, **named):
    raise OSError(errno.ENOSPC, "No space left on device")


def complaint(capsys, arguments):
    capsys.readouterr()
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    output = tmp_path_factory.mktemp("runs")
    assert main(["train", "random-init", *SMALL, "--iterations", "2", "--output", str(output)]) == 0
    (folder,) = output.iterdir()
    return folder


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def content(folder):
    kept = [path for path in folder.rglob("*") if path.is_file() and "tfevents" not in path.name]
    return {path: path.read_bytes() for path in kept}


@pytest.mark.parametrize(("place", "name"), [(os, "fsync"), (Path, "replace")])
def test_a_training_says_what_could_not_be_written(place, name, run, capsys, monkeypatch):
    before = content(run)
    with monkeypatch.context() as patch:
        patch.setattr(place, name, full)
        line = complaint(capsys, ["resume", str(run), "--iterations", "4"])
    assert line == (
        f"metarl: error: {run / 'metrics.csv'} cannot be written: No space left on device; once it "
        f"can, metarl resume {run} goes on from the newest checkpoint"
    )
    assert content(run) == before
    assert main(["resume", str(run), "--iterations", "4"]) == 0
    assert (run / "checkpoints" / "iteration_00000004.pt").exists()


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (["evaluate", "--tasks", "2", "--trajectories", "2", "--steps", "1"], "evaluation.json"),
        (["adapt", "--task", '{"goal": [0.1, 0.2]}', "--output"], "policy.pt"),
        (["export", "--sb3"], "new.zip"),
    ],
    ids=lambda given: given[0] if isinstance(given, list) else "",
)
def test_other_commands_name_the_file(command, named, run, tmp_path, capsys, monkeypatch):
    last = {"adapt": [str(tmp_path / "new")], "export": [str(tmp_path / "new.zip")]}
    before = content(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    line = complaint(capsys, [command[0], str(run), *command[1:], *last.get(command[0], [])])
    assert f"{named}" in line
    assert "No space left on device" in line
    assert content(tmp_path) == before


@pytest.mark.filterwarnings("error")  # such as a thread's exception that nobody handles
def test_events_are_written_by_a_thread_whose_errors_are_ours(tmp_path, monkeypatch, capfd):
    writer = TensorBoardWriter()
    writer.open(tmp_path, 0)
    file_writer = writer._events.file_writer
    assert isinstance(file_writer, FileWriter)
    records = file_writer.event_writer._async_writer._writer
    monkeypatch.setattr(records, "write", full)
    with pytest.raises(OSError, match="No space left") as error:
        writer.write(1, {"loss": 1.0})
    assert error.value.filename == str(tmp_path)
    with pytest.raises(OSError, match="No space left"):
        writer.close()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["a.png", "a.mp4"])
def test_pictures_are_whole_or_not_there(name, tmp_path, monkeypatch):
    path = tmp_path / name
    path.write_bytes(b"as it was")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as error, replacing(path) as file:
        file.write(b"half")
    assert error.value.filename == str(path)
    assert content(tmp_path) == {path: b"as it was"}


def test_two_processes_that_write_the_same_do_not_meet(tmp_path, monkeypatch):
    path = tmp_path / "a"
    with replacing(path) as ours:
        ours.write(b"ours")
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: 1)
            with replacing(path) as theirs:
                theirs.write(b"theirs")
        assert path.read_bytes() == b"theirs"
    assert content(tmp_path) == {path: b"ours"}


@pytest.fixture
def disk(tmp_path):
    """A disk of 100 kB, for who may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(folder)]
    if (
        not shutil.which("mount")
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("may not mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_full(disk, capsys):
    status = main(["train", "maml-vpg", *SMALL, "--iterations", "200", "--output", str(disk)])
    errors = capsys.readouterr().err.splitlines()
    (folder,) = disk.iterdir()
    assert status == 2
    assert all(line.startswith("metarl: ") for line in errors)
    assert "No space left on device" in errors[-1]
    assert f"metarl resume {folder}" in errors[-1]
    assert list(folder.rglob("*.tmp")) == []
    subprocess.run(["mount", "-o", "remount,size=10m", str(disk)], check=True)
    assert main(["resume", str(folder), "--iterations", "5"]) == 0

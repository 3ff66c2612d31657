"""A signal while nothing trains: one line, 128 + its number, and no file half-written."""

import shutil
import signal
import subprocess
import sys

import pytest

from metarl import report
from metarl.__main__ import main
from metarl.runs import run as runs_of_folders
from metarl.runs import simulated

SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
FEW = ["--tasks", "2", "--trajectories", "2", "--steps", "1"]
TASK = ["--task", '{"goal": [0.1, 0.2]}', "--num-trajectories", "2", "--steps", "1"]
TRAIN = ["train", "random-init", "--env", "metarl/PointGoal-v0", "--iterations", "1"]
TRAIN += ["--meta-batch-size", "2", "--num-trajectories", "2", "--horizon", "5"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    output = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["metarl", *TRAIN, "--eval-tasks", "2", "--output", str(output)])
        assert main() == 0
    (folder,) = output.iterdir()
    return folder


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def ended(monkeypatch, capsys):
    """Runs a command in which a function is a signal; what it said on stderr."""

    def call(number, place, name, arguments):
        handlers = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
        monkeypatch.setattr(place, name, lambda *given, **named: signal.raise_signal(number))
        monkeypatch.setattr(sys, "argv", ["metarl", *arguments])
        capsys.readouterr()
        assert main() == 128 + number
        assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == handlers
        return capsys.readouterr().err.splitlines()

    return call


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def line(number):
    return f"metarl: ended by {signal.Signals(number).name}; what has been written is whole"


@SIGNALS
def test_evaluate(number, run, ended):
    before = content(run)
    assert ended(number, runs_of_folders, "adaptation_curve", ["evaluate", str(run), *FEW]) == [
        line(number)
    ]
    assert content(run) == before


@SIGNALS
def test_adapt(number, run, ended, tmp_path):
    arguments = ["adapt", str(run), *TASK, "--output", str(tmp_path / "new")]
    assert ended(number, simulated, "plain_tasks", arguments) == [line(number)]
    assert list((tmp_path / "new").iterdir()) == []


@SIGNALS
def test_export(number, run, ended, tmp_path):
    arguments = ["export", str(run), "--sb3", str(tmp_path / "new.zip")]
    assert ended(number, runs_of_folders.sb3, "to_sb3", arguments) == [line(number)]
    assert not (tmp_path / "new.zip").exists()


@SIGNALS
def test_the_closing_evaluation(number, ended, tmp_path):
    arguments = [*TRAIN, "--eval-tasks", "2", "--quiet", "--output", str(tmp_path)]
    assert ended(number, report, "draw_adaptation", arguments) == [line(number)]
    (folder,) = tmp_path.iterdir()
    assert {path.stem for path in (folder / "checkpoints").iterdir()} >= {
        "best",
        "iteration_00000001",
    }


START = """
import signal, sys

class Finder:
    def find_spec(name, path, target=None):
        if name == "numpy":  # which is imported where any error is caught
            signal.raise_signal(int(sys.argv[1]))

sys.meta_path.insert(0, Finder)
import metarl.__main__
try:
    sys.exit(metarl.__main__.main())
except KeyboardInterrupt:
    sys.exit("it was raised in an import")
"""


@SIGNALS
def test_the_start(number):
    """Some libraries go on with half of a module that they import, whatever was raised in it."""
    command = [sys.executable, "-c", START, str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 128 + number
    assert done.stderr.splitlines() == [line(number)]


def test_what_is_ignored_stays_ignored(ended, monkeypatch):
    """As the shell has it for jobs in the background, which Ctrl-C does not mean."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        monkeypatch.setattr(sys, "argv", ["metarl", "envs"])
        signal.raise_signal(signal.SIGINT)
        assert main() == 0
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)

"""Real disks: full at every size, read-only; and a folder that is copied while it is written."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import injection
import killing
import pytest

from metarl.cli import main
from metarl.training.checkpoint import list_checkpoints, load_checkpoint

TINY = "--meta-batch-size 2 --num-trajectories 2 --horizon 4 --hidden-sizes 4 --eval-tasks 0"
OFTEN = "--iterations 12 --eval-every 5 --checkpoint-every 4 --save-share 1"
COMMAND = [*f"train maml-vpg --env metarl/PointGoal-v0 --name run {TINY} {OFTEN}".split()]
pytestmark = [
    pytest.mark.slow,  # 40 s in all
    pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def untroubled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    output = tmp_path_factory.mktemp("untroubled")
    assert main([*COMMAND, "--output", str(output)]) == 0
    (folder,) = output.iterdir()
    return killing.left(folder)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=10m", "tmpfs", str(place)]
    if (
        not shutil.which("mount")
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("may not mount")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def resize(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{size}", str(disk)], check=True)


@pytest.mark.parametrize("kilobytes", range(24, 180, 12))
def test_full(
    kilobytes: int, disk: Path, untroubled: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that says what to do; once there is room, nothing is missing."""
    resize(disk, f"size={kilobytes}k")
    status = main([*COMMAND, "--quiet", "--output", str(disk)])
    errors = capsys.readouterr().err.splitlines()
    assert status == (2 if errors else 0)
    assert list(disk.rglob("*.tmp")) == []
    folders = [path.parents[1] for path in disk.glob("*/checkpoints/iteration_*.pt")][:1]
    if errors:
        assert "No space left on device" in errors[-1]
        assert not folders or f"metarl resume {folders[0]}" in errors[-1]
    resize(disk, "size=10m")
    for folder in folders:
        newest = load_checkpoint(list_checkpoints(folder / "checkpoints")[0])["iteration"]
        rows = folder / "metrics.csv"
        assert not rows.exists() or rows.read_bytes().count(b"\n") - 2 <= newest
        assert main(["resume", str(folder)]) == 0
        assert killing.difference(killing.left(folder), untroubled) == ""


NEWEST = "iteration_00000007.pt"
DAMAGE = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "zeros": lambda content: bytes(len(content)),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    "name", ["checkpoints/iteration_00000007.pt", "metrics.csv", "config.json"]
)
def test_the_last_write_is_lost(
    name: str,
    damage: str,
    tmp_path: Path,
    untroubled: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The newest checkpoint is named, and the one before taken; others are said to be damaged."""
    command = [option if option != "12" else "7" for option in COMMAND]
    assert main([*command, "--output", str(tmp_path)]) == 0
    (folder,) = tmp_path.iterdir()
    path = folder / name
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    capsys.readouterr()
    status = main(["resume", str(folder), "--iterations", "12"])
    said = [line for line in capsys.readouterr().err.splitlines() if str(path) in line]
    assert len(said) == 1
    assert status == (2 if name == "config.json" else 0)
    if name.startswith("checkpoints"):
        assert killing.difference(killing.left(folder), untroubled) == ""


def test_read_only(disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*COMMAND, "--output", str(disk)]) == 0
    (folder,) = disk.iterdir()
    resize(disk, "ro")
    capsys.readouterr()
    for command in (
        [*COMMAND, "--output", str(disk)],
        ["resume", str(folder), "--iterations", "20"],
        ["evaluate", str(folder), "--tasks", "2", "--trajectories", "2", "--steps", "1"],
    ):
        assert main(command) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith("metarl: error: ")
        assert "cannot be written: Read-only file system" in line
    resize(disk, "rw")
    assert main(["resume", str(folder), "--iterations", "13"]) == 0


def test_copied_while_it_is_written(
    tmp_path: Path, untroubled: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """A copy goes on to the same end; what it lacks of the rows is said."""
    output = tmp_path / "original"
    process = injection.start_child(
        lambda: main([*COMMAND, "--output", str(output)]), tmp_path / "log"
    )
    copies: list[Path] = []
    while not (found := injection.ended(process)):
        for folder in output.glob("run*"):
            copies.append(tmp_path / f"copy-{len(copies)}")
            subprocess.run(["cp", "-r", folder, copies[-1]], capture_output=True, check=False)
        time.sleep(0.02)
    assert found == [0]
    went_on = []
    for copy in copies:
        if not list_checkpoints(copy / "checkpoints") or not (copy / "config.json").exists():
            continue
        capsys.readouterr()
        assert main(["resume", str(copy)]) == 0
        said = capsys.readouterr().err
        ours, theirs = killing.left(copy), dict(untroubled)
        if "good rows stay" in said:
            for content in (ours, theirs):
                del content["rows"], content["files"]
        assert killing.difference(ours, theirs) == ""
        went_on.append(copy)
    assert len(went_on) > 2

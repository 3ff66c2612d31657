"""``metarl sweep``: its lines, its table, its exit status, and real processes that are killed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch

from metarl.cli import main
from metarl.runs import open_sweep
from metarl.runs.config import CODEC, EnvProblem, config_of
from metarl.runs.sweeps import doing
from metarl.training.checkpoint import list_checkpoints, load_newest

CONFIG = config_of(
    EnvProblem,
    "maml-vpg",
    env="metarl/PointGoal-v0",
    iterations=100,
    checkpoint_every=5,
    eval_every=50,
    meta_batch_size=2,
    num_trajectories=2,
    horizon=5,
    eval_tasks=2,
)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(CODEC.dump_json(CONFIG))
    return path


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ["--set", "inner_rl=1"],
            "--set inner_rl is no option of maml-vpg; did you mean inner_lr?",
        ),
        (["--set", "inner_lr=0.1,a"], "--set inner_lr must be a valid number, got 'a'"),
        (["--seeds", "4-0"], "--seeds 4-0 must be rising and of at most 10000 seeds"),
        (["--seeds", "1,1"], "--seeds has seed 1 twice"),
        (["--jobs", "0"], "--jobs must be at least 1, got 0"),
        (["--time-limit", "0"], "--time-limit must be above 0.0, got 0.0"),
        (["--slurm", "[]"], "must be a JSON object"),
        (["--slurm", "{}"], "--slurm "),
    ],
)
def test_wrong_input_is_one_line(options, line, config, tmp_path, capsys):
    output = tmp_path / "sweep"
    assert main(["sweep", str(config), *options, "--output", str(output)]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("metarl: error: ")
    assert line in said
    assert not output.exists()


def test_no_config(tmp_path, capsys):
    for path, line in (("none", "no such file or folder"), ("", "is not a run folder")):
        assert main(["sweep", str(tmp_path / path)]) == 2
        assert line in capsys.readouterr().err


class Ends:
    """Jobs that end at once, some badly."""

    width, pause, key = 2, 0.0, ""

    def __init__(self, told, number, command):
        self.command = command

    def start(self, member):
        self.error = "no memory (exit status 1)" if member.name == "seed1" else ""
        return self

    def ended(self):
        return self.error


def test_table_and_status(config, tmp_path, monkeypatch, capsys):
    """What has failed is 1, what is missing otherwise 130; only --status starts nothing."""
    monkeypatch.setattr(doing, "_local_jobs", Ends)
    asked = ["sweep", str(config), "--seeds", "0-1", "--output", str(tmp_path / "sweep")]
    assert main([*asked, "--status"]) == 0
    assert not (tmp_path / "sweep").exists()
    assert re.search(r"seed0 │ waiting\s+│\s+0 of 100", capsys.readouterr().out)
    assert main(asked) == 1
    out, err = capsys.readouterr()
    assert "metarl: seed1: failed at iteration 0, no memory (exit status 1); 0 to go" in err
    assert re.search(r"seed1 │ failed\s+│\s+0 of 100", out)
    assert "seed1: no memory (exit status 1)" in out.splitlines()
    assert f"figures: {tmp_path / 'sweep' / 'sweep.json'}" in out.splitlines()
    monkeypatch.setattr(Ends, "start", lambda self, member: setattr(self, "error", "") or self)
    assert main(["sweep", str(tmp_path / "sweep")]) == 130
    assert "failed" not in capsys.readouterr().out


PATIENCE = 1800  # seconds: a machine may have more to do


@contextmanager
def sweep_of(config: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "metarl", "sweep", str(config), "--jobs", "2", *options]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **quiet) as process:
        try:
            yield process
        finally:
            process.terminate()


def process_of(folder: Path) -> int:
    """Number of the process that does a run, once there are checkpoints."""
    deadline = time.monotonic() + PATIENCE
    while len(list_checkpoints(folder / "checkpoints")) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # that process has ended meanwhile
            if str(folder).encode() in path.read_bytes().split(b"\0"):
                return int(path.parent.name)
    raise AssertionError(f"nothing does {folder}")


@pytest.mark.slow  # a minute of CPU: 9 processes that import torch
def test_one_of_six_is_killed(config, tmp_path):
    """The others finish; the second call completes that one alone, as if nothing had been."""
    asked = ["--seeds", "0-2", "--set", "inner_lr=0.05,0.1", "--output", str(tmp_path / "sweep")]
    victim = tmp_path / "sweep" / "inner_lr=0.05_seed1"
    with sweep_of(config, *asked) as process:
        os.kill(process_of(victim), signal.SIGKILL)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert re.search(r"inner_lr=0.05_seed1: failed at iteration \d+, killed by SIGKILL", said)
    assert said.count(": complete at iteration 100") == 5
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("sweep/*/*/*.pt")}
    with sweep_of(config, *asked) as process:
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "6 runs, 5 of them done" in said
    assert re.search(r"inner_lr=0.05_seed1: goes on from iteration \d+", said)
    assert said.count(" goes on ") + said.count(" starts") == 1
    kept = {path: old for path, old in before.items() if path.parents[1] != victim}
    assert len(kept) == 5 * 4
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert {row.state for row in open_sweep(tmp_path / "sweep").rows.values()} == {"complete"}
    whole = open_sweep(config, seeds=[1], settings={"inner_lr": [0.05]}, output=tmp_path / "whole")
    whole.make()
    assert main(["resume", str(tmp_path / "whole" / victim.name)]) == 0
    ours, theirs = (
        load_newest(folder / "checkpoints")[0]["learner"]["policy"]
        for folder in (victim, tmp_path / "whole" / victim.name)
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.slow  # 20 s of CPU: 3 processes that import torch
def test_ctrl_c_is_a_checkpoint_of_each(config, tmp_path):
    changed = json.loads(config.read_text())
    changed["schedule"]["iterations"] = 10_000
    config.write_text(json.dumps(changed))
    with sweep_of(config, "--seeds", "0-3", "--output", str(tmp_path / "sweep")) as process:
        first, second = (process_of(tmp_path / "sweep" / name) for name in ("seed0", "seed1"))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "stopping: 2 runs write a checkpoint" in said
    assert said.splitlines()[-1] == f"metarl: stopped; metarl sweep {tmp_path / 'sweep'} goes on"
    assert not any(Path(f"/proc/{number}").exists() for number in (first, second))
    rows = open_sweep(tmp_path / "sweep").rows.values()
    assert [row.state for row in rows] == ["unfinished"] * 2 + ["waiting"] * 2
    for row in list(rows)[:2]:
        metrics = (tmp_path / "sweep" / row.run / "metrics.csv").read_text().splitlines()
        assert len(metrics) - 1 == row.iteration  # the checkpoint holds all that was done

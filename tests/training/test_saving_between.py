"""Checkpoints between those of the schedule: after every iteration, or as often as is cheap."""

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from fake_learner import FakeLearner

from metarl import files
from metarl.training import CSVWriter, Schedule, Trainer, checkpoint, trainer
from metarl.training.checkpoint import list_checkpoints, load_newest
from metarl.types import Metrics


def saved(folder: Path) -> list[int]:
    """Iterations of the checkpoints, oldest first."""
    found = list_checkpoints(folder / "checkpoints")
    return [int(path.stem.removeprefix("iteration_")) for path in found[::-1]]


def test_the_share_of_the_time_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock of its own, iterations take 30 s and a save 1 s: 2 % of the time is every 2nd.

    Each takes the place of the one before, so that those of the schedule stay.
    """
    seconds, seen = [0.0], []
    monkeypatch.setattr(trainer.time, "perf_counter", lambda: seconds[0])

    def save_weights(path: Path, kind: str, content: Any) -> None:
        files.save_weights(path, kind, content)
        seconds[0] += 1.0

    def iterate(iteration: int) -> Metrics:
        seen.append(saved(tmp_path))
        seconds[0] += 30.0
        return {}

    monkeypatch.setattr(checkpoint, "save_weights", save_weights)
    schedule = Schedule(iterations=14, checkpoint_every=5, save_share=0.02)
    Trainer(FakeLearner(iterate), schedule, folder=tmp_path).run()
    assert seen[:5] == [[0], [0], [0, 2], [0, 2], [0, 4]]
    assert seen[5:10] == [[0, 5], [0, 5], [0, 5, 7], [0, 5, 7], [0, 5, 9]]
    assert seen[10:] == [[0, 5, 10], [0, 5, 10], [5, 10, 12], [5, 10, 12]]
    assert saved(tmp_path) == [5, 10, 14]


def test_a_session_that_goes_on_saves_at_once(tmp_path: Path) -> None:
    """How long that takes is not known before."""
    Trainer(FakeLearner(), Schedule(iterations=2, save_share=0.0), folder=tmp_path).run()
    seen: list[list[int]] = []
    late = Trainer(FakeLearner(), Schedule(iterations=4), folder=tmp_path)
    late.load(load_newest(tmp_path / "checkpoints")[0])
    late.run(lambda iteration, metrics: seen.append(saved(tmp_path)))
    assert seen == [[0, 2], [0, 2, 3]]


def test_rows_are_on_the_disk_before_the_checkpoint_after_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a loss of power leaves a checkpoint whose rows are gone."""
    order: list[str] = []
    fsync, save_weights = os.fsync, files.save_weights

    def flushed(descriptor: int) -> None:
        order.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    def written(path: Path, kind: str, content: Any) -> None:
        order.append(f"save {path.name}")
        save_weights(path, kind, content)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(checkpoint, "save_weights", written)
    schedule = Schedule(iterations=2, checkpoint_every=1)
    Trainer(FakeLearner(), schedule, folder=tmp_path, writers=[CSVWriter()]).run()
    saves = [index for index, name in enumerate(order) if name.startswith("save ")]
    assert [order[index] for index in saves] == [f"save iteration_0000000{i}.pt" for i in (0, 1, 2)]
    for before, index in pairwise(saves):
        assert "metrics.csv" in order[before:index]

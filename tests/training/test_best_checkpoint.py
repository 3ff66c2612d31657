"""The best checkpoint, and stopping early: with a fake learner whose scores are given."""

import math
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_learner import FakeLearner

from metarl.training import Ending, Schedule, Trainer
from metarl.training.checkpoint import BEST, load_checkpoint, load_newest
from metarl.types import Metrics

SCORES = [1.0, 3.0, math.nan, 3.0, 2.0, 5.0, 4.0, 4.5, 4.9, 0.0]
"""Of iterations 1 to 10, which are all evaluated."""


def train(
    folder: Path,
    scores: Sequence[float] = SCORES,
    *,
    killed_in: int | None = None,
    **schedule: Any,
) -> tuple[Ending, Trainer]:
    """A session that goes on from the newest checkpoint of the folder, if there is one."""

    def on_update(iteration: int) -> Metrics:
        if iteration == killed_in:
            raise KeyboardInterrupt  # as if the process had ended here
        return {"eval/validation": scores[iteration - 1]}

    folder.mkdir(exist_ok=True)
    trainer = Trainer(
        FakeLearner(on_update),
        Schedule(iterations=len(scores), eval_every=1, **schedule),
        folder=folder,
        warn=pytest.fail,
    )
    if (folder / "checkpoints").exists():
        trainer.load(load_newest(folder / "checkpoints")[0])
    return trainer.run(), trainer


def best(folder: Path) -> dict[str, Any]:
    content = load_checkpoint(folder / "checkpoints" / BEST)
    del content["seconds"]
    return content


def test_the_best_checkpoint_is_kept_whatever_comes_after(tmp_path: Path) -> None:
    ending, _ = train(tmp_path, checkpoint_every=2)
    assert ending is Ending.COMPLETE
    content = best(tmp_path)
    assert content["iteration"] == content["learner"]["updates"] == 6
    assert content["best"] == {"score": 5.0, "iteration": 6, "evaluations_since": 0}
    newest, _ = load_newest(tmp_path / "checkpoints")
    assert newest["iteration"] == 10
    assert newest["best"] == {"score": 5.0, "iteration": 6, "evaluations_since": 4}


def test_without_an_evaluation_that_is_a_number_there_is_none(tmp_path: Path) -> None:
    train(tmp_path, [math.nan] * 2)
    with pytest.raises(ValueError, match=r"best\.pt: no such file"):
        load_checkpoint(tmp_path / "checkpoints" / BEST)


def test_patience_counts_evaluations_without_a_better_one(tmp_path: Path) -> None:
    """One as good is not better, and one that is no number is neither."""
    for patience, stopped in ((1, 3), (2, 4), (3, 5), (4, 10)):
        folder = tmp_path / str(patience)
        ending, trainer = train(folder, patience=patience)
        assert trainer.iteration == stopped
        assert ending is (Ending.EARLY if stopped < 10 else Ending.COMPLETE)
        assert load_newest(folder / "checkpoints")[0]["iteration"] == stopped


def test_a_run_that_stopped_early_has_nothing_left_to_do_without_more_patience(
    tmp_path: Path,
) -> None:
    for patience, stopped in ((2, 4), (2, 4), (3, 5)):
        ending, trainer = train(tmp_path, patience=patience)
        assert (ending, trainer.iteration) == (Ending.EARLY, stopped)


@pytest.mark.parametrize("killed_in", [2, 4, 7, 9])
def test_a_killed_and_resumed_run_has_the_same_best_checkpoint(
    tmp_path: Path, killed_in: int
) -> None:
    """Though the best was written after the checkpoint that it goes on from."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    options = {"checkpoint_every": 4, "patience": 4}
    train(whole, **options)
    with pytest.raises(KeyboardInterrupt):
        train(killed, killed_in=killed_in, **options)
    assert train(killed, **options)[0] is Ending.COMPLETE
    assert best(killed) == best(whole)


def test_patience_counts_across_sessions(tmp_path: Path) -> None:
    """Interrupted two evaluations after the best: the third is the last."""

    def interrupted(iteration: int) -> Metrics:
        if iteration == 4:
            signal.raise_signal(signal.SIGINT)
        return {"eval/validation": SCORES[iteration - 1]}

    schedule = Schedule(iterations=10, eval_every=1, patience=3)
    trainer = Trainer(FakeLearner(interrupted), schedule, folder=tmp_path)
    assert trainer.run() is Ending.INTERRUPTED
    ending, trainer = train(tmp_path, patience=3)
    assert (ending, trainer.iteration) == (Ending.EARLY, 5)

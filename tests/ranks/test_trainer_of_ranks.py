"""The trainer in several processes: one writer, one state, one end."""

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_learner import FakeLearner
from forked import on_ranks

from metarl.core.collectives import RanksError, ranks
from metarl.training import CSVWriter, Ending, Schedule, Trainer
from metarl.types import Metrics


def _trained(output: Path, on_update: Any, **schedule: Any) -> tuple[Any, ...]:
    learner = FakeLearner(on_update)
    learner.rng.random(ranks().rank)  # they start from different states
    trainer = Trainer(learner, Schedule(**schedule), output=output, writers=[CSVWriter()])
    ending = trainer.run()
    return ending, trainer.folder, trainer.iteration, learner.total.item()


def _nothing(iteration: int) -> Metrics:
    return {}


def test_one_process_writes_and_all_have_its_state(tmp_path: Path) -> None:
    results = on_ranks(2, partial(_trained, iterations=30), tmp_path, _nothing)
    assert len(set(results)) == 1
    (folder,) = tmp_path.iterdir()
    rows = (folder / "metrics.csv").read_text().splitlines()
    assert results[0][:3] == (Ending.COMPLETE, folder, 30)
    assert len(rows) == 31
    assert rows[0].count("time/communication_seconds") == 1


def _stopped(iteration: int) -> Metrics:
    if (ranks().rank, iteration) == (1, 5):
        os.kill(os.getpid(), signal.SIGTERM)
    return {}


def test_a_signal_to_one_stops_all_after_the_same_iteration(tmp_path: Path) -> None:
    results = on_ranks(2, _trained, tmp_path, _stopped)
    assert len(set(results)) == 1
    assert results[0][0] == Ending.INTERRUPTED
    assert results[0][2] == 5


def _drifting(output: Path) -> None:
    def drift(iteration: int) -> Metrics:
        if (ranks().rank, iteration) == (1, 13):
            learner.total.copy_(torch.nextafter(learner.total, learner.total + 1))
        return {}

    learner = FakeLearner(drift)
    Trainer(learner, Schedule(checkpoint_every=10), output=output).run()


def test_a_rank_that_drifts_by_one_bit_is_found_at_the_next_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(RanksError, match="different states after iteration 20"):
        on_ranks(2, _drifting, tmp_path)
    (folder,) = tmp_path.iterdir()
    kept = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert kept == ["iteration_00000000.pt", "iteration_00000010.pt"]


def _lost(iteration: int) -> Metrics:
    if (ranks().rank, iteration) == (1, 3):
        os.kill(os.getpid(), signal.SIGKILL)
    return {}


def test_where_one_is_killed_the_others_stop_at_once(tmp_path: Path) -> None:
    with pytest.raises(RanksError, match="has ended or is out of reach"):
        on_ranks(2, _trained, tmp_path, _lost)


def _of_other_options(output: Path) -> None:
    Trainer(FakeLearner(), output=output, config=f'{{"seed": {ranks().rank}}}').run()


def test_processes_with_other_options_do_not_start(tmp_path: Path) -> None:
    with pytest.raises(RanksError, match="different options"):
        on_ranks(2, _of_other_options, tmp_path)

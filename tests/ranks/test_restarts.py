"""Processes that torchrun starts anew: they go on in the folder that those before them made."""

import os
import random
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fake_learner import FakeLearner
from forked import agent_store, on_ranks
from torch.distributed import TCPStore

from metarl.core.collectives import RanksError, ranks
from metarl.training import CSVWriter, Schedule, Trainer
from metarl.types import Metrics


def slow_case(seed: int) -> Any:
    """One of many."""
    return pytest.param(seed, marks=pytest.mark.slow)


def _trained(output: Path, killed_at: int | None, config: str = "{}") -> tuple[Path, int, float]:
    def end(iteration: int) -> Metrics:
        if (ranks().rank, iteration) == (1, killed_at):
            os.kill(os.getpid(), signal.SIGKILL)
        return {}

    learner, said = FakeLearner(end), list[str]()
    schedule = Schedule(iterations=30, checkpoint_every=10)
    trainer = Trainer(learner, schedule, output=output, config=config, warn=said.append)
    started_at = trainer.iteration
    trainer.run()
    assert bool(said) == (started_at > 0)
    return trainer.folder, started_at, learner.total.item()


@pytest.fixture
def store(tmp_path: Path) -> TCPStore:
    """Of a launch whose second process was killed at iteration 15."""
    store = agent_store()
    with pytest.raises(RanksError):
        on_ranks(2, _trained, tmp_path, 15, store=store)
    return store


@pytest.mark.parametrize("size", [1, 2, 3])
def test_as_many_or_others_go_on_from_the_newest_checkpoint(
    size: int, tmp_path: Path, store: TCPStore
) -> None:
    results = on_ranks(size, _trained, tmp_path, None, store=store)
    assert [at for _, at, _ in results] == [10, *[0] * (size - 1)]  # the first one reads
    assert [*tmp_path.iterdir()] == [results[0][0]]
    assert results[0][2] == _total_after(30)


def _total_after(iterations: int) -> float:
    learner = FakeLearner()
    for _ in range(iterations):
        learner.iterate()
    return learner.total.item()


def test_one_that_was_complete_is_not_trained_again(tmp_path: Path, store: TCPStore) -> None:
    first, again = (on_ranks(2, _trained, tmp_path, None, store=store) for _ in range(2))
    assert again[0] == (first[0][0], 30, first[0][2])


@pytest.mark.parametrize("other", ["launch", "config"])
def test_another_launch_and_another_config_are_runs_of_their_own(
    other: str, tmp_path: Path, store: TCPStore
) -> None:
    config = '{"seed": 1}' if other == "config" else "{}"
    results = on_ranks(
        2,
        partial(_trained, config=config),
        tmp_path,
        None,
        store=store if other == "config" else None,
    )
    assert results[0][1] == 0
    assert len([*tmp_path.iterdir()]) == 2


def _slowly_trained(output: Path) -> float:
    def wait(iteration: int) -> Metrics:
        time.sleep(0.005)
        return {}

    learner, schedule = FakeLearner(wait), Schedule(iterations=30, checkpoint_every=3)
    writers = [CSVWriter(pytest.fail)]
    trainer = Trainer(learner, schedule, output=output, writers=writers, warn=lambda line: None)
    trainer.run()
    return learner.total.item()


@pytest.mark.parametrize("seed", [*range(4), *(slow_case(seed) for seed in range(4, 40))])
def test_a_rank_killed_at_any_moment_changes_nothing(seed: int, tmp_path: Path) -> None:
    """Nor does it where others are killed while these go on, or where there are fewer or more."""
    rng, store, totals = random.Random(seed), agent_store(), list[float]()
    for kills_left in (2, 1, 0):
        size = rng.choice([1, 2, 3])
        kill = (rng.randrange(size), rng.uniform(0, 0.4)) if kills_left else None
        with suppress(RanksError, EOFError):
            totals = on_ranks(size, _slowly_trained, tmp_path, store=store, kill=kill)
    assert set(totals) == {_total_after(30)}
    (folder,) = (path for path in tmp_path.iterdir() if (path / "checkpoints").exists())
    rows = (folder / "metrics.csv").read_text().splitlines()[1:]
    assert [int(row.split(",")[0]) for row in rows] == list(range(1, 31))
    assert not list(folder.rglob("*.tmp"))

"""The training loop with a fake learner: schedule, endings, checkpoints, resume."""

import csv
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_learner import FakeLearner
from pydantic import ValidationError
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

from metarl.configs import complaint
from metarl.training import CSVWriter, Ending, Schedule, TensorBoardWriter, Trainer
from metarl.training.checkpoint import KEEP, list_checkpoints, load_newest
from metarl.training.trainer import MAX_SKIPPED
from metarl.types import Metrics

MakeTrainer = Callable[..., Trainer]


@pytest.fixture
def make_trainer(tmp_path: Path) -> MakeTrainer:
    """A trainer in ``folder`` (the test's own by default) with the rest as the schedule.

    It saves by the schedule alone: between them it does as the clock has it.
    """

    def make(
        learner: FakeLearner, *, folder: Path = tmp_path, warn: Any = None, **schedule: Any
    ) -> Trainer:
        return Trainer(
            learner,
            Schedule(**{"save_share": 0.0, **schedule}),
            folder=folder,
            writers=[CSVWriter(), TensorBoardWriter()],
            warn=warn or pytest.fail,
        )

    return make


def quiet(iteration: int, metrics: Metrics) -> None:
    """Watches in silence."""


def saved(folder: Path) -> list[int]:
    """Iterations of the checkpoints, oldest first."""
    return [int(p.stem.removeprefix("iteration_")) for p in list_checkpoints(folder)[::-1]]


def read_rows(folder: Path) -> list[dict[str, str]]:
    """``metrics.csv`` without what the clock decides."""
    with (folder / "metrics.csv").open(newline="") as file:
        return [
            {key: value for key, value in row.items() if not key.startswith("time/")}
            for row in csv.DictReader(file)
        ]


@pytest.fixture(autouse=True)
def _files_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorBoard sorts files of one second by a number in their names, as text: 10 before 9."""
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(1000))


def read_events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Scalars of the TensorBoard events, without what the clock decides."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {
        key: [(event.step, event.value) for event in events.Scalars(key)]
        for key in events.Tags()["scalars"]
        if not key.startswith("time/")
    }


def resume(make_trainer: MakeTrainer, learner: Any, folder: Path, **schedule: Any) -> Trainer:
    trainer = make_trainer(learner, folder=folder, **schedule)
    content, problems = load_newest(folder / "checkpoints")
    assert problems == []
    trainer.load(content)
    return trainer


def test_evaluates_first_last_and_every_nth(make_trainer: MakeTrainer) -> None:
    learner = FakeLearner()
    trainer = make_trainer(learner, iterations=7, eval_every=3)
    assert trainer.run(quiet) is Ending.COMPLETE
    assert learner.evaluated == [1, 3, 6, 7]


def test_saves_every_nth_and_at_the_end(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    seen: list[list[int]] = []
    trainer = make_trainer(FakeLearner(), iterations=5, checkpoint_every=2)
    # the watcher runs before the checkpoint of its own iteration
    trainer.run(lambda iteration, metrics: seen.append(saved(tmp_path / "checkpoints")))
    assert seen == [[0], [0], [0, 2], [0, 2], [0, 2, 4]]
    assert saved(tmp_path / "checkpoints") == [2, 4, 5]


def test_only_the_newest_checkpoints_are_kept(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    make_trainer(FakeLearner(), iterations=11, checkpoint_every=1).run(quiet)
    assert saved(tmp_path / "checkpoints") == [9, 10, 11]
    assert len(list((tmp_path / "checkpoints").iterdir())) == KEEP == 3


def test_progress_sees_every_iteration_with_its_times(make_trainer: MakeTrainer) -> None:
    seen: list[tuple[int, Metrics]] = []
    make_trainer(FakeLearner(), iterations=3).run(lambda i, metrics: seen.append((i, metrics)))
    assert [iteration for iteration, _ in seen] == [1, 2, 3]
    for _, metrics in seen:
        assert metrics["time/collect_seconds"] == 0.5  # as the learner says
        assert metrics["time/update_seconds"] == 0.25
        assert metrics["time/env_steps_per_second"] == 10 / 0.5
    seconds = [metrics["time/seconds"] for _, metrics in seen]
    assert 0 < seconds[0] < seconds[1] < seconds[2]


def test_the_time_limit_ends_with_a_checkpoint(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    def slow(iteration: int) -> Metrics:
        time.sleep(0.02)
        return {}

    trainer = make_trainer(FakeLearner(slow), iterations=1000, checkpoint_every=500, time_limit=0.1)
    assert trainer.run(quiet) is Ending.TIME_LIMIT
    assert 1 <= trainer.iteration <= 5
    assert saved(tmp_path / "checkpoints") == [0, trainer.iteration]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_the_iteration(
    make_trainer: MakeTrainer, tmp_path: Path, number: int
) -> None:
    def interrupt(iteration: int) -> Metrics:
        if iteration == 3:
            signal.raise_signal(number)
        return {}

    handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    trainer = make_trainer(FakeLearner(interrupt), iterations=9)
    assert trainer.run(quiet) is Ending.INTERRUPTED
    assert saved(tmp_path / "checkpoints") == [0, 3]
    assert len(read_rows(tmp_path)) == 3
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_second_ctrl_c_interrupts_at_once(make_trainer: MakeTrainer) -> None:
    def insist(iteration: int) -> Metrics:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
        return {}

    # a job that a shell started in the background ignores Ctrl-C, and so would the second one here
    given = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            make_trainer(FakeLearner(insist), iterations=9).run(quiet)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, given)


def test_handlers_are_restored_after_an_error(make_trainer: MakeTrainer) -> None:
    def fail(iteration: int) -> Metrics:
        raise ZeroDivisionError

    handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(ZeroDivisionError):
        make_trainer(FakeLearner(fail), iterations=9).run(quiet)
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_ten_skipped_updates_in_a_row_end_the_run(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    """The checkpoint before the first of them stays the newest."""
    warnings: list[str] = []
    learner = FakeLearner(lambda iteration: {"meta/skipped": float(iteration > 4)})
    trainer = make_trainer(learner, iterations=99, checkpoint_every=1, warn=warnings.append)
    assert trainer.run(quiet) is Ending.DIVERGED
    assert trainer.iteration == 4 + MAX_SKIPPED == 14
    assert saved(tmp_path / "checkpoints") == [2, 3, 4]
    assert len(warnings) == MAX_SKIPPED
    assert warnings[1] == (
        "iteration 6: the meta-gradient is not finite, update skipped (2 in a row)"
    )


def test_a_good_update_resets_the_count(make_trainer: MakeTrainer) -> None:
    learner = FakeLearner(lambda iteration: {"meta/skipped": float(iteration % 10 != 0)})
    trainer = make_trainer(learner, iterations=45, warn=lambda line: None)
    assert trainer.run(quiet) is Ending.COMPLETE


def test_skipped_updates_in_a_row_count_across_sessions(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    """Interrupted after 6 of them: 4 more end the resumed run."""

    def diverge(iteration: int) -> Metrics:
        if iteration == 6:
            signal.raise_signal(signal.SIGINT)
        return {"meta/skipped": 1.0}

    options = {"iterations": 99, "warn": lambda line: None}
    assert make_trainer(FakeLearner(diverge), **options).run(quiet) is Ending.INTERRUPTED
    trainer = resume(make_trainer, FakeLearner(diverge), tmp_path, **options)
    assert trainer.run(quiet) is Ending.DIVERGED
    assert trainer.iteration == MAX_SKIPPED


def test_a_finished_run_has_nothing_left_to_do(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    make_trainer(FakeLearner(), iterations=3).run(quiet)
    rows = read_rows(tmp_path)
    trainer = resume(make_trainer, FakeLearner(), tmp_path, iterations=3)
    assert trainer.run(lambda iteration, metrics: pytest.fail("iterated")) is Ending.COMPLETE
    assert read_rows(tmp_path) == rows


class Killed(BaseException):
    """As if the process had ended here."""


def late(iteration: int) -> Metrics:
    """A metric that is first seen in iteration 5."""
    return {"meta/late": float(iteration)} if iteration >= 5 else {}


def kill_in(last: int) -> Callable[[int], Metrics]:
    def on_update(iteration: int) -> Metrics:
        if iteration == last:
            raise Killed
        return late(iteration)

    return on_update


SCHEDULE = {"iterations": 9, "eval_every": 3, "checkpoint_every": 2}


@pytest.fixture
def uninterrupted(make_trainer: MakeTrainer, tmp_path: Path) -> Path:
    folder = tmp_path / "uninterrupted"
    folder.mkdir()
    make_trainer(FakeLearner(late), folder=folder, **SCHEDULE).run(quiet)
    return folder


@pytest.mark.parametrize("killed_in", [3, 4, 6, 8])
def test_a_killed_and_resumed_run_leaves_what_an_uninterrupted_one_does(
    make_trainer: MakeTrainer,
    tmp_path: Path,
    uninterrupted: Path,
    killed_in: int,
) -> None:
    """Rows, events and the last checkpoint; half a row was written when it was killed."""
    folder = tmp_path / "killed"
    folder.mkdir()
    with pytest.raises(Killed):
        make_trainer(FakeLearner(kill_in(killed_in)), folder=folder, **SCHEDULE).run(quiet)
    with (folder / "metrics.csv").open("a") as file:
        file.write(f"{killed_in},0.0,1")
    resume(make_trainer, FakeLearner(late), folder, **SCHEDULE).run(quiet)
    assert read_rows(folder) == read_rows(uninterrupted)
    assert read_events(folder) == read_events(uninterrupted)
    ours, theirs = (load_newest(f / "checkpoints")[0] for f in (folder, uninterrupted))
    for content in (ours, theirs):
        content.pop("seconds")
    assert ours == theirs


def test_a_row_cut_within_its_number_is_dropped(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    """Of iteration 12 only the 1 was written: not a second row of iteration 1."""
    make_trainer(FakeLearner(), iterations=11).run(quiet)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("1")
    resume(make_trainer, FakeLearner(), tmp_path, iterations=12).run(quiet)
    assert [int(row["iteration"]) for row in read_rows(tmp_path)] == list(range(1, 13))


def test_seconds_go_on_from_the_checkpoint(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    make_trainer(FakeLearner(), iterations=2).run(quiet)
    trainer = resume(make_trainer, FakeLearner(), tmp_path, iterations=3)
    trainer.seconds = 1000.0
    trainer.run(quiet)
    assert 1000.0 < trainer.seconds < 1010.0


def test_events_hold_every_metric(uninterrupted: Path) -> None:
    events = read_events(uninterrupted)
    assert [step for step, _ in events["meta/total"]] == list(range(1, 10))
    assert [step for step, _ in events["eval/return_post"]] == [1, 3, 6, 9]
    assert events["meta/late"] == [(i, float(i)) for i in range(5, 10)]


def test_rows_hold_every_metric_and_a_late_one_adds_a_column(uninterrupted: Path) -> None:
    rows = read_rows(uninterrupted)
    assert [int(row["iteration"]) for row in rows] == list(range(1, 10))
    assert [row["meta/late"] for row in rows] == [""] * 4 + [f"{i}.0" for i in range(5, 10)]
    assert [bool(row["eval/return_post"]) for row in rows] == [
        i in (1, 3, 6, 9) for i in range(1, 10)
    ]


def test_a_checkpoint_is_independent_of_later_training(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    """A run of 4 and one of 2 resumed to 4 from a copy of its folder end alike."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    make_trainer(FakeLearner(), folder=first, iterations=2).run(quiet)
    shutil.copytree(first, second)
    learners = FakeLearner(), FakeLearner()
    for learner, folder in zip(learners, (first, second), strict=True):
        resume(make_trainer, learner, folder, iterations=4).run(quiet)
    assert learners[0].total.item() == learners[1].total.item()
    assert read_rows(first) == read_rows(second)


@pytest.mark.parametrize(
    ("name", "value"),
    [("iterations", 0), ("eval_every", 0), ("checkpoint_every", -1), ("time_limit", 0.0)],
)
def test_wrong_schedules_are_named(name: str, value: float) -> None:
    with pytest.raises(ValidationError) as error:
        Schedule(**{name: value})  # type: ignore[arg-type]  # one of several fields
    assert re.fullmatch(rf"{name} must be .*, got {value}", complaint(error.value))

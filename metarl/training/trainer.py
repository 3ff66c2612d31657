"""The training loop: schedule, metrics, checkpoints, interruption. It knows no algorithm.

Iterations are counted from 1. After each, the metrics are written. Checkpoints are written before
the first, on schedule, at the end, when the time is up and when the run is interrupted, and one
more whenever an evaluation is the best so far. Between those of the schedule there is one after
every iteration, or as often as costs next to nothing, so that a kill loses the current iteration.
The learner's whole state is in them, so the iterations after one come out the same whoever runs
them.
"""

import math
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any, Protocol

from metarl.core.collectives import COMMUNICATION, of_first, ranks
from metarl.files import Flushing
from metarl.training.agreement import Together, check_alike, together
from metarl.training.checkpoint import list_checkpoints, load_newest, save_checkpoint
from metarl.training.processes import is_first
from metarl.training.profiling import Profile
from metarl.training.run_folders import run_folder
from metarl.training.runtime import (
    FolderInUseError,
    Interruption,
    sole_writer,
    stop_on_signals,
)
from metarl.training.schedule import Best, Ending, Schedule
from metarl.training.writers import Writer
from metarl.types import Metrics

MAX_SKIPPED = 10  # updates skipped in a row for non-finite gradients before training stops


class Learner(Protocol):
    """What the trainer drives."""

    def iterate(self) -> Metrics:
        """One meta-iteration: collect, then learn.

        Reports ``time/collect_seconds`` and ``time/update_seconds``, ``rollout/steps`` where
        environments were stepped, and ``meta/skipped``, 1 where the gradient was not finite.
        """
        ...

    def evaluate(self) -> Metrics:
        """Measure on held-out and on validation tasks without changing any state.

        Reports ``eval/validation``, the higher the better: how good the learner is on tasks that
        no test has. It chooses the best checkpoint; without it there is none.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what happens next."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it back."""
        ...


DEFAULT_SCHEDULE = Schedule()

Progress = Callable[[int, Metrics], object]
"""Called with the number and the metrics of every iteration."""


class Trainer:
    """Runs a learner in a run folder, which it makes itself unless one is given.

    Args:
        learner: what is trained.
        schedule: when to evaluate, save and end.
        folder: of a run that goes on; by default a new one is made.
        output: where a new folder is made.
        name: what the new folder's name starts with; the time follows.
        config: everything that decides the run, as JSON: ``config.json`` of a new
            folder, kept in every checkpoint.
        writers: where metrics go; opened when there is something to write.
        warn: called with one line when something is worth saying.

    Raises:
        OSError: if the folder cannot be made.
    """

    def __init__(
        self,
        learner: Learner,
        schedule: Schedule = DEFAULT_SCHEDULE,
        *,
        folder: Path | None = None,
        output: Path | str = "runs",
        name: str = "run",
        config: str = "{}",
        writers: Sequence[Writer] = (),
        warn: Callable[[str], None] = warnings.warn,
    ) -> None:
        self.learner = learner
        self.schedule = schedule
        self.config = config
        self.writers = writers if is_first() else ()
        self.warn = warn if is_first() else lambda line: None
        self.iteration = 0
        self.seconds = 0.0
        self.best: Best = {"score": -math.inf, "iteration": 0, "evaluations_since": 0}
        self._skipped = 0
        self._between: Path | None = None  # the newest checkpoint, if it is none of the schedule
        self._seconds_to_save = 0.0
        self.folder = self._own_folder(Path(output), name) if folder is None else folder
        self._found = list_checkpoints(self._checkpoints)
        self._flush = Flushing(self.folder)

    def _own_folder(self, output: Path, name: str) -> Path:
        """A new one; where the processes have been started anew, that of before, and its state."""
        if not is_first():
            return Path(of_first(None))
        folder = run_folder(output, name, self.config, self.schedule.iterations)
        if list_checkpoints(folder / "checkpoints"):
            content, problems = load_newest(folder / "checkpoints")
            self.load(content)
            where = f"in {folder} from iteration {self.iteration}"
            self.warn("; ".join([f"goes on {where}, after a restart", *problems]))
        return Path(of_first(str(folder)))

    @property
    def _checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def load(self, content: dict[str, Any]) -> None:
        """Take up the state of a checkpoint."""
        self.learner.load_state_dict(content["learner"])
        self.iteration = content["iteration"]
        self.seconds = content["seconds"]
        self._skipped = content["skipped"]
        self.best = content["best"]

    def save(self, *, best: bool = False, between: bool = False) -> None:
        """Write the whole state.

        Args:
            best: as the best.
            between: to be dropped once the next one is written.
        """
        started = time.perf_counter()
        content = self._content()
        check_alike(f"states after iteration {self.iteration}", content["learner"])
        if is_first():
            self._write(content, best, between)
        self._seconds_to_save = of_first(time.perf_counter() - started)

    def _content(self) -> dict[str, Any]:
        return {
            "iteration": self.iteration,
            "seconds": self.seconds,
            "skipped": self._skipped,
            "best": self.best,
            "learner": self.learner.state_dict(),
            "config": self.config,
        }

    def _write(self, content: dict[str, Any], best: bool, between: bool) -> None:
        dropped = None if best else self._between
        self._flush()  # a checkpoint that lasts is no use without the rows before it
        path = save_checkpoint(
            self._checkpoints, self.iteration, content, best=best, instead_of=dropped
        )
        if not best:
            self._between = path if between else None
        self._found = list_checkpoints(self._checkpoints)

    def run(self, progress: Progress | None = None) -> Ending:
        """Train until the schedule, the clock, a signal or divergence ends it.

        Raises:
            FolderInUseError: another process trains in the folder, or has trained in it meanwhile.
            NonFiniteError: what is to be saved, or evaluated, is not finite; the newest checkpoint
                is that before.
            RanksError: the processes have lost one another, or are no longer alike.
        """
        self._start_alike()
        with (
            sole_writer(self.folder, self.warn) if is_first() else nullcontext(),
            stop_on_signals() as interruption,
            ExitStack() as self._closing,  # all writers, whatever one of them raises
        ):
            if is_first() and list_checkpoints(self._checkpoints) != self._found:
                raise FolderInUseError(
                    f"another process has trained in {self.folder} since it was read: read it again"
                )
            self._opened = False
            self._profile = Profile(self.folder, self.schedule.profile if is_first() else 0)
            self._closing.callback(self._profile.close)
            return self._run(progress if is_first() else None, interruption)

    def _start_alike(self) -> None:
        """All processes start from the state that the first one has."""
        if ranks().size == 1:
            return
        check_alike("options: they, or versions of metarl, differ", self.config)
        content = of_first(self._content())
        if not is_first():
            self.load(content)

    def _run(self, progress: Progress | None, interruption: Interruption) -> Ending:
        started, before = time.perf_counter(), self.seconds
        ending = Ending.EARLY if self._lost_patience() else None
        if self.iteration == 0:
            self.save()  # a run killed before its first scheduled checkpoint starts from here
        saved, saved_after = self.iteration, 0.0
        while ending is None:
            if self.iteration < self.schedule.iterations:
                metrics = self._iterate()
                self.seconds = before + time.perf_counter() - started
                if "eval/validation" in metrics and not self._skipped:
                    self._judge(of_first(metrics["eval/validation"]))
                self._report(metrics | {"time/seconds": self.seconds}, progress)
            decisions = self.iteration, self._skipped, self.best
            session = together(interruption.requested, time.perf_counter() - started, decisions)
            ending = self._ending(session)
            if saved != self.iteration and self._should_save(ending, session.seconds - saved_after):
                self.save(between=not self._is_due(ending))
                saved, saved_after = self.iteration, session.seconds
        return ending

    def _judge(self, score: float) -> None:
        """Keep what has the best score so far; one that is no number is never better."""
        self.best = {**self.best, "evaluations_since": self.best["evaluations_since"] + 1}
        if score > self.best["score"]:
            self.best = {"score": score, "iteration": self.iteration, "evaluations_since": 0}
            self.save(best=True)

    def _lost_patience(self) -> bool:
        patience = self.schedule.patience
        return patience is not None and self.best["evaluations_since"] >= patience

    def _report(self, metrics: Metrics, progress: Progress | None) -> None:
        """Tell the writers and who watches."""
        if not self._opened:
            self._opened = True
            for writer in self.writers:
                writer.open(self.folder, self.iteration - 1)
                self._closing.callback(writer.close)
        for writer in self.writers:
            writer.write(self.iteration, metrics)
        if progress is not None:
            progress(self.iteration, metrics)

    def _should_save(self, ending: Ending | None, since: float) -> bool:
        """Whether to, so many seconds after the last time."""
        if self._skipped and ending in (None, Ending.DIVERGED):
            return False  # keep the last checkpoint that is known to be good
        share = self.schedule.save_share
        return self._is_due(ending) or (share > 0 and self._seconds_to_save <= share * since)

    def _is_due(self, ending: Ending | None) -> bool:
        return ending is not None or self.iteration % self.schedule.checkpoint_every == 0

    def _iterate(self) -> Metrics:
        before = COMMUNICATION.seconds
        with self._profile.iteration(self.iteration + 1, self.learner):
            metrics = self.learner.iterate()
            if ranks().size > 1:
                metrics["time/communication_seconds"] = COMMUNICATION.seconds - before
            self.iteration += 1
            self._count_skipped(metrics)
            if self.schedule.evaluates(self.iteration):
                metrics |= self.learner.evaluate()
        if "rollout/steps" in metrics:
            speed = metrics["rollout/steps"] / metrics["time/collect_seconds"]
            metrics["time/env_steps_per_second"] = speed
        return metrics

    def _count_skipped(self, metrics: Metrics) -> None:
        if metrics["meta/skipped"]:
            self._skipped += 1
            again = f"update skipped ({self._skipped} in a row)"
            self.warn(f"iteration {self.iteration}: the meta-gradient is not finite, {again}")
        else:
            self._skipped = 0

    def _ending(self, session: Together) -> Ending | None:
        if self._skipped >= MAX_SKIPPED:
            return Ending.DIVERGED
        if self.iteration >= self.schedule.iterations:
            return Ending.COMPLETE
        if self._lost_patience():
            return Ending.EARLY
        if session.interrupted:
            return Ending.INTERRUPTED
        limit = self.schedule.time_limit
        if limit is not None and session.seconds >= limit:
            return Ending.TIME_LIMIT
        return None

"""When a run evaluates, saves and ends."""

from enum import Enum
from typing import TypedDict

from pydantic.dataclasses import dataclass

from metarl.configs import STRICT, Count, Natural, Positive, UnitInterval


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Schedule:
    """When a run evaluates, saves and ends."""

    iterations: Count = 300
    """Meta-iterations in all, those of earlier sessions included."""
    time_limit: Positive | None = None
    """Seconds of training in this session; then a checkpoint is written and the run ends."""
    eval_every: Count = 10
    """Evaluate on held-out tasks every n-th iteration; on the first and the last, too."""
    checkpoint_every: Count = 10
    """Save every n-th iteration."""
    save_share: UnitInterval = 0.01
    """Share of the time for checkpoints between those; each takes the place of the one before. It
    is what a kill can lose; 0 for none."""
    patience: Count | None = None
    """Stop early: after so many evaluations in a row without a better one; never by default."""
    profile: Natural = 0
    """Trace so many iterations after the first by torch's profiler; 0 for none. The trace is in the
    run folder, for TensorBoard's profiler, Perfetto or chrome://tracing."""

    def evaluates(self, iteration: int) -> bool:
        """Whether iteration ``iteration`` ends with an evaluation."""
        return iteration in (1, self.iterations) or iteration % self.eval_every == 0


class Ending(Enum):
    """How a training session ended."""

    COMPLETE = "complete"
    EARLY = "stopped early"
    TIME_LIMIT = "time limit"
    INTERRUPTED = "interrupted"
    DIVERGED = "diverged"


class Best(TypedDict):
    """The best evaluation so far."""

    score: float
    """The higher the better."""
    iteration: int
    """0 before there is one."""
    evaluations_since: int

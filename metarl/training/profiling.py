"""What torch does in some iterations, as a trace for TensorBoard's profiler, Perfetto or Chrome."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from torch.profiler import profile, record_function

PHASES = ("collect", "update", "evaluate")
"""Methods of learners that are ranges of a trace, where there are such."""


class Profile:
    """Traces iterations 2, 3, ... of a run by torch's profiler; the first one only warms up.

    The trace is written after the last of them, or when the session ends among them. A session that
    begins among them, after a kill, traces those that are left.

    Args:
        folder: of the run.
        num_iterations: 0 for none, which costs nothing.
    """

    def __init__(self, folder: Path, num_iterations: int) -> None:
        self._folder = folder
        self._last = num_iterations + 1
        self._profiler: profile | None = None
        self._traced: list[int] = []

    @contextmanager
    def iteration(self, number: int, learner: object) -> Iterator[None]:
        """One iteration, of which that learner does the work."""
        if not 1 < number <= self._last:
            yield
            return
        if self._profiler is None:
            os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # else it logs that it starts and stops
            self._profiler = profile()
            self._profiler.start()
        self._traced.append(number)
        with record_function(f"iteration {number}"), _phases(learner):
            yield
        if number == self._last:
            self.close()

    def close(self) -> None:
        """Write what has been traced, if anything."""
        if self._profiler is None:
            return
        self._profiler.stop()
        name = f"iterations_{self._traced[0]}-{self._traced[-1]}.pt.trace.json.gz"
        self._profiler.export_chrome_trace(str(self._folder / name))
        self._profiler = None


@contextmanager
def _phases(learner: object) -> Iterator[None]:
    """Make the learner's phases ranges of the trace."""
    with ExitStack() as stack:
        for name in PHASES:
            if hasattr(learner, name):
                setattr(learner, name, record_function(name)(getattr(learner, name)))
                stack.callback(delattr, learner, name)
        yield

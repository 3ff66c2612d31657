"""What every learner reports of an iteration's time."""

from collections.abc import Iterator
from contextlib import ContextDecorator, contextmanager
from time import perf_counter

from metarl.types import Metrics


class Stopwatch(ContextDecorator):
    """Adds up the seconds spent in ``with stopwatch:`` and in the functions it decorates."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> "Stopwatch":
        self._start = perf_counter()
        return self

    def __exit__(self, *exception: object) -> None:
        self.seconds += perf_counter() - self._start

    @contextmanager
    def timing(self, owner: object, method: str) -> Iterator[None]:
        """Count the calls of an object's method, too, until the end of the ``with``."""
        setattr(owner, method, self(getattr(owner, method)))
        try:
            yield
        finally:
            delattr(owner, method)


def iteration_times(collecting: float, updating: float) -> Metrics:
    """The seconds spent in collection and in updates, under the keys that learners report."""
    return {"time/collect_seconds": collecting, "time/update_seconds": updating}

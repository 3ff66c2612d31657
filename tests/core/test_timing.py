"""Seconds by a clock of the test's own."""

import pytest

from metarl.core import Stopwatch


class Clock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def takes(self, seconds: float) -> str:
        self.now += seconds
        return f"{seconds:g} s"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("metarl.core.timing.perf_counter", clock)
    return clock


def test_a_stopwatch_adds_up_the_calls_of_a_method_for_a_while(clock: Clock) -> None:
    stopwatch = Stopwatch()
    with stopwatch.timing(clock, "takes"):
        assert clock.takes(1.0) == "1 s"
        clock.now += 10.0
        clock.takes(2.0)
    clock.takes(20.0)
    assert stopwatch.seconds == 3.0
    with stopwatch:
        clock.takes(4.0)
    assert stopwatch.seconds == 7.0

"""What is shown while training, by a clock of its own."""

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from metarl.cli.progress import Bar, Display
from metarl.training import Schedule


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def session_of(first: int = 0, **schedule: Any) -> Any:
    """A run whose evaluations are told by their return."""
    return SimpleNamespace(
        trainer=SimpleNamespace(iteration=first, schedule=Schedule(**schedule)),
        newest_report="",
        built=SimpleNamespace(
            report=lambda metrics: f"held out {metrics['eval']}" if "eval" in metrics else ""
        ),
    )


def display_of(session: Any, clock: Clock, *, terminal: bool) -> tuple[Display, io.StringIO]:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=120)
    bar = Bar(estimates=False, console=console)
    return Display(session, True, clock=clock, bar=bar), text


def test_the_time_left_is_by_the_pace_of_this_session() -> None:
    """20 of 100 iterations in 40 seconds, after 30 of an earlier one: 50 more take 100."""
    clock = Clock()
    display, _ = display_of(session_of(first=30, iterations=100), clock, terminal=False)
    clock.now = 40.0
    assert display.left(50) == 100.0


def test_the_time_left_ends_with_the_time_limit() -> None:
    clock = Clock()
    session = session_of(iterations=1000, time_limit=60.0)
    display, _ = display_of(session, clock, terminal=False)
    clock.now = 45.0
    assert display.left(10) == 15.0
    clock.now = 61.0
    assert display.left(10) == 0.0


def test_the_bar_keeps_the_newest_evaluation_and_tells_speed_and_time() -> None:
    clock = Clock()
    display, text = display_of(session_of(iterations=10), clock, terminal=True)
    display(1, {"eval": 3.0, "time/seconds": 1.0})
    clock.now = 2.0
    display(2, {"time/env_steps_per_second": 12345.6, "time/seconds": 2.0})
    display.stop()
    shown = text.getvalue()
    assert "held out 3.0, 12,346 steps/s, 0:00:08 left" in shown
    assert "2/10" in shown


def test_the_bar_is_there_from_the_start_and_full_when_the_time_is_up() -> None:
    clock = Clock()
    display, text = display_of(session_of(iterations=10, time_limit=4.0), clock, terminal=True)
    assert "first iteration" in text.getvalue()
    assert "0/10" in text.getvalue()
    for now, share in ((1.0, 0.25), (9.0, 1.0)):
        clock.now = now
        display(2, {"time/seconds": now})
        assert display._share(2) == share
    display.stop()


def test_elsewhere_there_is_a_line_a_minute_the_first_and_the_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    display, _ = display_of(session_of(iterations=6), clock, terminal=False)
    for iteration, now in enumerate((1.0, 30.0, 60.0, 61.0, 62.0, 63.0), start=1):
        clock.now = now
        display(iteration, {"eval": float(iteration), "time/seconds": now})
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1] for line in lines] == [
        " iteration 1",
        " iteration 4",
        " iteration 6",
    ]
    assert lines[0] == "metarl: iteration 1: held out 1.0 (1 s)"

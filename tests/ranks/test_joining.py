"""Processes that join, on a machine with much else to do. Takes half a minute."""

import multiprocessing

import pytest
from forked import on_ranks

from metarl.core.collectives import ranks


def _busy() -> None:
    while True:
        pass


def _rank() -> int:
    return ranks().rank


@pytest.mark.slow
def test_who_ends_at_once_breaks_nobodys_connection() -> None:
    others = [multiprocessing.get_context("fork").Process(target=_busy) for _ in range(6)]
    for process in others:
        process.start()
    try:
        for _ in range(30):
            assert on_ranks(4, _rank) == [0, 1, 2, 3]
    finally:
        for process in others:
            process.kill()
            process.join()

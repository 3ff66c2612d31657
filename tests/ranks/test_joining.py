"""Processes join together: none goes on, and perhaps ends, while another still connects to it."""

import os
import time
from pathlib import Path
from typing import Any

from forked import on_ranks
from torch import distributed as dist

from metarl import training


def _join_again(last: Path) -> bool:
    """Whether the second of two had come when this one was through."""
    training.leave()
    connect = dist.init_process_group

    def connect_slowly(*arguments: Any, **keywords: Any) -> None:
        connect(*arguments, **keywords)
        time.sleep(0.3)
        last.touch()

    if os.environ["RANK"] == "1":
        dist.init_process_group = connect_slowly
    training.join()
    return last.exists()


def test_who_is_connected_waits_for_who_is_not(tmp_path: Path) -> None:
    """On a busy machine one that ended at once broke the connection of others."""
    assert on_ranks(2, _join_again, tmp_path / "last") == [True, True]

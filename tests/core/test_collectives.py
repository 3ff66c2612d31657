"""Parts of the tasks, and sums, of one process; several are in tests/ranks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metarl.core.collectives import Ranks, gathered, of_first, ranks, summed


@given(total=st.integers(0, 100), size=st.integers(1, 9))
def test_parts_are_all_tasks_in_order_and_as_long_as_one_another(total: int, size: int) -> None:
    parts = [Ranks(rank, size).part(total) for rank in range(size)]
    assert [task for part in parts for task in part] == list(range(total))
    lengths = [len(part) for part in parts]
    assert max(lengths) - min(lengths) <= 1
    assert lengths == sorted(lengths, reverse=True)


def test_one_process_has_everything_as_it_is() -> None:
    x = torch.arange(3.0)
    assert ranks() == (0, 1)
    assert summed(x, x)[1] is x
    assert gathered("a") == ["a"]
    assert of_first("a") == "a"


@pytest.mark.parametrize("size", [2, 3])
def test_fewer_tasks_than_ranks_leave_the_last_ones_without(size: int) -> None:
    assert len(Ranks(size - 1, size).part(size - 1)) == 0

"""Sums, what is gathered, and what is said, over processes that have joined."""

import torch
from forked import on_ranks

from metarl import training
from metarl.core.collectives import gathered, of_first, ranks, summed


def _everything() -> tuple[object, ...]:
    rank, size = ranks()
    x = torch.tensor([1.0, 2.0]) * (rank + 1)
    a, b = summed(x, torch.full((1, 2), float(rank)))
    told = gathered({"rank": rank})
    first = of_first({"tensor": x, "number": rank})
    said: list[str] = []
    say = training.once(said.append)
    for line in ("alike", f"of {rank}", "alike"):
        say(line)
    return size, a.tolist(), b.tolist(), told, first["tensor"].tolist(), first["number"], said


def test_all_ranks_get_the_same_sums_and_what_each_has() -> None:
    results = on_ranks(2, _everything)
    for size, a, b, told, tensor, number, _ in results:
        assert (size, a, b) == (2, [3.0, 6.0], [[1.0, 1.0]])
        assert told == [{"rank": 0}, {"rank": 1}]
        assert (tensor, number) == ([1.0, 2.0], 0)


def test_what_all_say_is_said_once() -> None:
    lines = [line for *_, said in on_ranks(2, _everything) for line in said]
    assert sorted(lines) == ["alike", "alike", "of 0", "of 1"]

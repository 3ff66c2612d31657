"""Random streams: independent by name and index, and the same in every version."""

from itertools import combinations
from typing import get_args

import numpy as np
import pytest
import torch

from metarl.core import Streams
from metarl.core.streams import Purpose, Stream


def test_numbers_are_what_they_always_were() -> None:
    """Golden: a change here changes every run that is resumed or repeated."""
    streams = Streams(7, "training").at(2)
    assert streams.seeds("environments", 3, 1, 4) == [857879565, 1522827686, 1479283167]
    assert streams.seed_of("library") == 686287817
    assert streams.numpy("actions", 0).integers(1000, size=3).tolist() == [513, 857, 499]
    drawn = torch.randint(1000, (3,), generator=streams.torch("episodes"))
    assert drawn.tolist() == [652, 523, 446]
    assert Streams(7, "test").seed_of("tasks") == 842701051


def test_names_and_indices_give_different_numbers() -> None:
    every = [
        Streams(seed, purpose, indices).seed_of(stream)
        for seed in (0, 1, 2**63 - 1)
        for purpose in get_args(Purpose)
        for stream in get_args(Stream)
        for indices in ((), (0,), (1,), (0, 0), (0, 1), (1, 0))
    ]
    assert len(set(every)) == len(every)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_streams_are_independent(kind: str) -> None:
    """Correlations of 10,000 numbers of each stream lie within 4.5 standard errors of 0."""
    training = Streams(3, "training")
    pairs = [(training, name) for name in get_args(Stream)]
    pairs += [(training.at(k), "actions") for k in range(3)] + [(Streams(3, "test"), "actions")]
    if kind == "numpy":
        drawn = np.stack([streams.numpy(name).normal(size=10_000) for streams, name in pairs])
    else:
        drawn = np.stack(
            [torch.randn(10_000, generator=s.torch(name)).numpy() for s, name in pairs]
        )
    correlations = np.corrcoef(drawn)
    assert all(abs(correlations[i, j]) < 0.045 for i, j in combinations(range(len(pairs)), 2))


def test_indices_may_be_given_in_parts() -> None:
    whole = Streams(5, "validation", (1, 2))
    assert Streams(5, "validation").at(1).at(2).seed_of("tasks", 3) == whole.at(3).seed_of("tasks")


def test_the_first_seeds_do_not_depend_on_how_many_there_are() -> None:
    streams = Streams(5, "training")
    assert streams.seeds("environments", 1000)[:7] == streams.seeds("environments", 7)


def test_seeds_suit_every_generator() -> None:
    seeds = Streams(2**63 - 1, "test").seeds("environments", 10_000)
    assert min(seeds) >= 0
    assert 2**30 < max(seeds) < 2**31

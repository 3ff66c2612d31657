"""Samplers of episodes whose ways, shots and queries are fixed, and of the sinusoid regression.

:class:`FixedSampler` draws all the episodes of a meta-batch at once: first classes, then examples
of them, then one gather through :meth:`Source.take`. Both draws are :func:`draw_distinct`.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from metarl.fewshot.episodes import Episodes
from metarl.fewshot.sources import Source

_SORT_UP_TO = 4
"""Rows are sorted as a whole up to this many times what is drawn of them; beyond, a draw is
repeated too rarely (each with probability below a quarter) for that to pay."""


def draw_distinct(sizes: Tensor, num_drawn: int, generator: torch.Generator) -> Tensor:
    """Draw distinct integers below ``sizes``, all ordered choices being equally likely.

    Memory does not grow with sizes: ten of 100,000 take as much as ten of 100.

    Args:
        sizes: ``[R]`` int64 on the CPU. Where one is less than ``num_drawn``, what comes after
            the first ``sizes[r]`` of that row means nothing.
        num_drawn: how many a row.
        generator: of the CPU.

    Returns:
        ``[R, num_drawn]`` int64, row r without repetition in ``[0, sizes[r])``.

    >>> draw_distinct(torch.tensor([3, 10**6]), 3, torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3])
    """
    if not len(sizes):
        return sizes.new_empty(0, num_drawn)
    most = _SORT_UP_TO * num_drawn
    smallest, largest = map(int, sizes.aminmax())
    if largest <= most:
        return _draw_by_sorting(sizes, num_drawn, generator)
    if smallest > most:
        return _draw_by_redrawing(sizes, num_drawn, generator)
    small = sizes <= most
    drawn = sizes.new_empty(len(sizes), num_drawn)
    drawn[small] = _draw_by_sorting(sizes[small], num_drawn, generator)
    drawn[~small] = _draw_by_redrawing(sizes[~small], num_drawn, generator)
    return drawn


def _draw_by_sorting(sizes: Tensor, num_drawn: int, generator: torch.Generator) -> Tensor:
    smallest, largest = map(int, sizes.aminmax())
    width = max(largest, num_drawn)
    # Doubles, so that no two keys are equal and their order is the same on every machine.
    keys = torch.rand(len(sizes), width, generator=generator, dtype=torch.float64)
    if smallest < width:
        keys.masked_fill_(torch.arange(width) >= sizes[:, None], 2.0)
    # NumPy sorts short rows in half of torch's time
    return torch.from_numpy(keys.numpy().argsort(1)[:, :num_drawn])


def _draw_by_redrawing(sizes: Tensor, num_drawn: int, generator: torch.Generator) -> Tensor:
    """Draw with replacement, then draw anew what repeats something to the left of it.

    Exact: the rule does not look at what the numbers are, only at which are equal, so that no
    ordered choice can come out more often than another.
    """
    sizes = sizes[:, None].expand(-1, num_drawn)
    drawn = _draw_below(sizes, generator)
    while _has_repeats(drawn):
        repeated = _repeats(drawn)
        drawn[repeated] = _draw_below(sizes[repeated], generator)
    return drawn


def _draw_below(sizes: Tensor, generator: torch.Generator) -> Tensor:
    # Doubles, since the 24 bits of a float would favour some of 100,000 numbers by 1 %.
    return (torch.rand(sizes.shape, generator=generator, dtype=torch.float64) * sizes).long()


def _has_repeats(drawn: Tensor) -> bool:
    ordered = drawn.sort(1).values
    return bool((ordered[:, 1:] == ordered[:, :-1]).any())


def _repeats(drawn: Tensor) -> Tensor:
    """Which entries equal one to the left of them in their row."""
    ordered, order = drawn.sort(dim=1, stable=True)
    repeats = torch.zeros_like(drawn, dtype=torch.bool)
    return repeats.scatter_(1, order[:, 1:], ordered[:, 1:] == ordered[:, :-1])


class FixedSampler:
    """Draws episodes of N ways, K shots and as many queries a class.

    Classes are drawn without replacement in random order, which makes the labels random; examples
    without replacement within a class. Support and query come class by class: label 0 first.

    Args:
        source: where the examples are.
        num_ways: N.
        num_shots: K, support examples a class.
        num_queries: query examples a class.
    """

    def __init__(self, source: Source, *, num_ways: int, num_shots: int, num_queries: int) -> None:
        check_positive(num_ways=num_ways, num_shots=num_shots, num_queries=num_queries)
        check_counts(
            source, num_ways, num_shots + num_queries, f"{num_shots} shots + {num_queries} queries"
        )
        self.source = source
        self.num_ways = num_ways
        self.num_shots = num_shots
        self.num_queries = num_queries
        labels = torch.arange(num_ways)
        self._support_y = labels.repeat_interleave(num_shots)
        self._query_y = labels.repeat_interleave(num_queries)

    def sample(
        self, num_episodes: int, generator: torch.Generator, part: range | None = None
    ) -> list[Episodes]:
        """Draw episodes, all in one batch; see :class:`EpisodeSampler`."""
        ways, shots, queries = self.num_ways, self.num_shots, self.num_queries
        counts = self.source.counts
        classes = draw_distinct(
            torch.full((num_episodes,), len(counts)), ways, generator
        ).flatten()  # [M * N]
        examples = draw_distinct(counts[classes], shots + queries, generator)  # [M * N, K + Q]
        part = range(num_episodes) if part is None else part
        classes, examples = (x[part.start * ways : part.stop * ways] for x in (classes, examples))
        # two gathers: one would leave both parts with gaps, to be copied again
        support, query = (
            self.source.take(classes[:, None].expand_as(part), part)
            for part in (examples[:, :shots], examples[:, shots:])
        )
        shape = support.shape[2:]
        episodes = Episodes(
            support.reshape(len(part), ways * shots, *shape),
            self._support_y.to(support.device).expand(len(part), -1),
            query.reshape(len(part), ways * queries, *shape),
            self._query_y.to(query.device).expand(len(part), -1),
            ways,
        )
        return part_of_batch(episodes, part, num_episodes)


class SinusoidSampler:
    """Draws the sinusoid regression of Finn et al. 2017, section 5.1.

    y = A sin(x − φ) with A ~ U[0.1, 5], φ ~ U[0, π] one an episode and x ~ U[−5, 5]; support and
    query are draws of the same kind.

    Args:
        num_shots: support points, the paper's K.
        num_queries: query points.
    """

    amplitudes = (0.1, 5.0)
    phases = (0.0, math.pi)
    inputs = (-5.0, 5.0)

    def __init__(self, num_shots: int, num_queries: int) -> None:
        check_positive(num_shots=num_shots, num_queries=num_queries)
        self.num_shots = num_shots
        self.num_queries = num_queries

    def sample(
        self, num_episodes: int, generator: torch.Generator, part: range | None = None
    ) -> list[Episodes]:
        """Draw episodes, all in one batch: x and y are ``[M, K, 1]``, ``num_ways`` is 0."""
        num_points = self.num_shots + self.num_queries
        amplitude = _uniform(self.amplitudes, (num_episodes, 1, 1), generator)
        phase = _uniform(self.phases, (num_episodes, 1, 1), generator)
        x = _uniform(self.inputs, (num_episodes, num_points, 1), generator)
        y = amplitude * torch.sin(x - phase)
        part = range(num_episodes) if part is None else part
        x, y = (values[part.start : part.stop] for values in (x, y))
        k = self.num_shots
        episodes = Episodes(x[:, :k], y[:, :k], x[:, k:], y[:, k:], num_ways=0)
        return part_of_batch(episodes, part, num_episodes)


def part_of_batch(episodes: Episodes, part: range, num_drawn: int) -> list[Episodes]:
    """What a process has of one batch: those episodes, or no batch where they are none."""
    shared = len(part) < num_drawn
    return [episodes._replace(first=part.start, shared=shared)] if part else []


def _uniform(
    bounds: tuple[float, float], shape: Sequence[int], generator: torch.Generator
) -> Tensor:
    low, high = bounds
    return low + (high - low) * torch.rand(tuple(shape), generator=generator)


def check_positive(**numbers: int) -> None:
    """Raise unless all numbers are at least 1."""
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")


def check_counts(
    source: Source, num_ways: int, needed: int, what: str, ways_name: str = "num_ways"
) -> None:
    """Raise unless the source has enough classes, each with enough examples.

    Args:
        source: where the examples are.
        num_ways: classes needed.
        needed: examples needed of each class.
        what: which these are, such as ``5 shots + 15 queries``.
        ways_name: what the caller calls ``num_ways``.
    """
    counts = source.counts
    if len(counts) < num_ways:
        remedy = "; take fewer --num-ways, or cut the classes otherwise by --split-fractions"
        raise ValueError(
            f"{source.name}: has {len(counts)} classes, but {ways_name} is {num_ways}"
            f"{remedy if ways_name == 'num_ways' else ''}"
        )
    too_few = torch.nonzero(counts < needed).flatten()
    if len(too_few):
        index = int(too_few[0])
        raise ValueError(
            f"{source.name}: class '{source.class_names[index]}' has {int(counts[index])} examples,"
            f" but {what} need {needed}"
        )

"""What holds of episodes and splits of every data set, on sources whose examples are numbers."""

from collections.abc import Sequence

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from metarl.fewshot.data.arrays import dataset_from_arrays
from metarl.fewshot.data.class_splits import LEAST, seeded_partition
from metarl.fewshot.episodes import Episodes
from metarl.fewshot.samplers import FixedSampler, draw_distinct
from metarl.fewshot.sources import ArraySource, ClassGroups
from metarl.fewshot.variable_sampler import MultiSourceSampler, VariableSampler

SEEDS = st.integers(0, 2**32)


def numbered(
    counts: Sequence[int], groups: ClassGroups | None = None, first: int = 0
) -> ArraySource:
    """Examples ``(class, example)``; classes count from ``first``."""
    pairs = [(float(first + c), float(i)) for c, count in enumerate(counts) for i in range(count)]
    names = [f"c{first + c}" for c in range(len(counts))]
    return ArraySource("numbers", torch.tensor(pairs), counts, names, groups)


def check(episodes: Episodes) -> None:
    """No example twice, in support or query or both; a label is a class, and the other way."""
    parts = ((episodes.support_x, episodes.support_y), (episodes.query_x, episodes.query_y))
    for task in range(len(episodes.support_x)):
        examples = torch.cat([x[task] for x, _ in parts])
        labels = torch.cat([y[task] for _, y in parts])
        assert len(examples.unique(dim=0)) == len(examples)
        pairs = torch.stack([labels, examples[:, 0].long()], 1).unique(dim=0)
        assert pairs[:, 0].tolist() == list(range(episodes.num_ways))
        assert len(pairs[:, 1].unique()) == episodes.num_ways
        for _, y in parts:
            assert len(y[task].unique()) == episodes.num_ways


@st.composite
def fixed_samplers(draw: st.DrawFn) -> FixedSampler:
    shots, queries = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    least = shots + queries
    counts = draw(st.lists(st.integers(least, 40), min_size=1, max_size=8))
    ways = draw(st.integers(1, len(counts)))
    return FixedSampler(numbered(counts), num_ways=ways, num_shots=shots, num_queries=queries)


@given(fixed_samplers(), SEEDS, st.integers(1, 5))
def test_support_and_query_share_nothing(sampler: FixedSampler, seed: int, num_tasks: int) -> None:
    (episodes,) = sampler.sample(num_tasks, torch.Generator().manual_seed(seed))
    check(episodes)
    assert episodes.support_y.shape == (num_tasks, sampler.num_ways * sampler.num_shots)
    assert episodes.query_y.shape == (num_tasks, sampler.num_ways * sampler.num_queries)


@st.composite
def grouped_sources(draw: st.DrawFn, first: int = 0) -> ArraySource:
    counts = draw(st.lists(st.integers(2, 60), min_size=5, max_size=30))
    rule = draw(st.sampled_from(["none", "bilevel", "graph"]))
    if rule == "none":
        return numbered(counts, first=first)
    size = draw(st.integers(5, len(counts)))
    starts = draw(st.lists(st.integers(0, len(counts) - size), min_size=1, max_size=3))
    members = tuple(tuple(range(start, start + size)) for start in starts)
    return numbered(counts, ClassGroups(rule, members), first)  # type: ignore[arg-type]


@given(grouped_sources(), SEEDS)
def test_variable_episodes_share_nothing_and_stay_in_a_group(
    source: ArraySource, seed: int
) -> None:
    for episodes in VariableSampler(source).sample(3, torch.Generator().manual_seed(seed)):
        check(episodes)
        drawn = set(episodes.query_x[0, :, 0].long().tolist())
        if source.groups is not None:
            assert any(drawn <= set(group) for group in source.groups.members)


@given(grouped_sources(), grouped_sources(first=1000), SEEDS)
def test_an_episode_is_of_one_source(one: ArraySource, other: ArraySource, seed: int) -> None:
    sampler = MultiSourceSampler([VariableSampler(one), VariableSampler(other)])
    for episodes in sampler.sample(4, torch.Generator().manual_seed(seed)):
        check(episodes)
        assert len((episodes.support_x[0, :, 0] >= 1000).unique()) == 1


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.integers(1, 30), SEEDS)
def test_draws_are_distinct_and_in_range(sizes: list[int], num_drawn: int, seed: int) -> None:
    """Rows shorter than the draw begin with all that they have."""
    drawn = draw_distinct(torch.tensor(sizes), num_drawn, torch.Generator().manual_seed(seed))
    for size, row in zip(sizes, drawn, strict=True):
        kept = row[: min(size, num_drawn)].tolist()
        assert len(set(kept)) == len(kept)
        assert all(0 <= index < size for index in kept)


def test_classes_are_drawn_uniformly_whatever_their_sizes() -> None:
    """40,000 draws of 3 of 8 classes, of 2 to 4,000 examples: 15,000 of each, give or take 5σ."""
    counts = [2, 3, 5, 10, 40, 200, 1000, 4000]
    sampler = FixedSampler(numbered(counts), num_ways=3, num_shots=1, num_queries=1)
    (episodes,) = sampler.sample(40_000, torch.Generator().manual_seed(0))
    drawn = episodes.support_x[:, :, 0].long().flatten().bincount(minlength=8)
    spread = (40_000 * 3 / 8 * (1 - 3 / 8)) ** 0.5
    assert (drawn - 15_000).abs().max() < 5 * spread


@given(st.integers(3 * LEAST, 60), SEEDS, st.tuples(*[st.floats(0.1, 1.0)] * 3))
def test_parts_of_a_cut_are_all_and_share_nothing(
    number: int, seed: int, weights: tuple[float, float, float]
) -> None:
    train, validation, test = (weight / sum(weights) for weight in weights)
    items = [f"item {index}" for index in range(number)]
    fractions = (train, validation, test)
    try:
        parts = seeded_partition(items, seed=seed, what="items", fractions=fractions)
    except ValueError as error:
        assert "for train" in str(error)  # noqa: PT017 - some fractions leave too few
        return
    assert sorted(item for part in parts for item in part) == sorted(items)
    assert all(len(part) >= LEAST for part in parts)
    again = seeded_partition(items, seed=seed, what="items", fractions=fractions)
    assert parts == again


@given(
    st.lists(st.integers(-5, 5), min_size=6, max_size=80).filter(lambda y: len(set(y)) >= 6), SEEDS
)
def test_splits_by_class_share_no_class_and_lose_no_example(labels: list[int], seed: int) -> None:
    dataset = dataset_from_arrays(
        "t", pixels(len(labels)), np.array(labels), kind="images-hwc", seed=seed
    )
    seen: dict[str, list[int]] = {}
    for source in (dataset.train, dataset.validation, dataset.test):
        starts = source.counts.cumsum(0) - source.counts
        for name, start, count in zip(source.class_names, starts, source.counts, strict=True):
            assert name not in seen
            seen[name] = rows(source.examples[int(start) : int(start + count)])
    assert {name: sorted(taken) for name, taken in seen.items()} == {
        str(label): [row for row, own in enumerate(labels) if own == label] for label in set(labels)
    }


@given(st.integers(1, 4), st.integers(6, 20), SEEDS)
def test_splits_by_example_share_no_example(num_classes: int, count: int, seed: int) -> None:
    labels = np.tile(np.arange(num_classes), count)
    dataset = dataset_from_arrays(
        "t", pixels(len(labels)), labels, kind="images-hwc", split="examples", seed=seed
    )
    taken = [rows(source.examples) for source in (dataset.train, dataset.validation, dataset.test)]
    assert sorted(row for part in taken for row in part) == list(range(len(labels)))


def pixels(number: int) -> np.ndarray:
    """Images of one pixel that shows its row."""
    return np.arange(number, dtype=np.uint8).reshape(number, 1, 1, 1).repeat(3, 3)


def rows(examples: Tensor) -> list[int]:
    return examples[:, 0, 0, 0].tolist()  # type: ignore[no-any-return]

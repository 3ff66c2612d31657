"""Meta-Dataset's episodes against a second computation, written from the paper's section 3.2.

The class tables of its ten sources are needed for that: ``meta_dataset_specs`` beside the other
data. The remaining tests need no data.
"""

import math
import os
import random
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest
import torch

from metarl.fewshot.data.meta_dataset_spec import SplitSpec, read_spec
from metarl.fewshot.episodes import Episodes
from metarl.fewshot.samplers import FixedSampler
from metarl.fewshot.sources import ArraySource, ClassGroups
from metarl.fewshot.variable_sampler import (
    EpisodePlan,
    MultiSourceSampler,
    VariableSampler,
    draw_classes,
    draw_plan,
    num_queries,
    shots_per_class,
    support_size,
)

DATA = Path(os.environ.get("METARL_DATA", Path(__file__).parents[3] / "shared" / "data"))
SPECS = DATA / "meta_dataset_specs"

SIZES = {
    "aircraft": (70, 15, 15),
    "cu_birds": (140, 30, 30),
    "dtd": (33, 7, 7),
    "fungi": (994, 200, 200),
    "ilsvrc_2012": (712, 158, 130),
    "mscoco": (0, 40, 40),
    "omniglot": (883, 81, 659),
    "quickdraw": (241, 52, 52),
    "traffic_sign": (0, 0, 43),
    "vgg_flower": (71, 15, 16),
}
"""Classes of train, validation and test, from the paper's appendix."""

EPISODES = 10_000
"""Of every source, shared out among its splits."""


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@cache
def spec_of(source: str) -> dict[str, SplitSpec]:
    path = SPECS / f"{source}_dataset_spec.json"
    if not path.is_file():
        pytest.skip(f"no {path.name} in {SPECS}: set METARL_DATA to the folder above it")
    return dict(read_spec(path))


def splits() -> Iterator[tuple[str, str, int]]:
    for source, sizes in SIZES.items():
        named = zip(("train", "validation", "test"), sizes, strict=True)
        with_classes = [(split, size) for split, size in named if size]
        for split, _ in with_classes:
            yield source, split, EPISODES // len(with_classes)


def paper_episode(spec: SplitSpec, rng: random.Random) -> tuple[list[int], list[int], int]:
    """Classes, shots and queries by section 3.2, one class at a time."""
    if spec.groups is None:
        pool: Sequence[int] = range(len(spec.counts))
    else:
        pool = rng.choice(spec.groups.members)
    ways = min(50, len(pool))
    if spec.groups is None or spec.groups.rule == "bilevel":
        ways = rng.randint(5, ways)
    classes = rng.sample(pool, ways)
    im = [spec.counts[c] for c in classes]
    q = min(10, min(n // 2 for n in im))
    beta = 1.0 - rng.random()
    size = min(500, sum(math.ceil(beta * min(100, n - q)) for n in im))
    weights = [math.exp(rng.uniform(math.log(0.5), math.log(2.0))) * n for n in im]
    total = sum(weights)
    shots = [
        min(math.floor(w / total * (size - ways)) + 1, n - q)
        for w, n in zip(weights, im, strict=True)
    ]
    return classes, shots, q


def statistics(classes: Sequence[int], shots: Sequence[int], q: int) -> list[float]:
    """What is compared of an episode; the moments tell more than the means."""
    ways, size = len(shots), sum(shots)
    largest, smallest = max(shots), min(shots)
    spread = largest / smallest
    even = sum(c % 2 for c in classes) / ways
    return [ways, ways**2, q, size, size**2, largest, smallest, math.log(spread), even]


def check_bounds(spec: SplitSpec, classes: list[int], shots: list[int], q: int) -> None:
    assert 5 <= len(classes) <= 50
    assert len(set(classes)) == len(classes) == len(shots)
    assert 1 <= q <= 10
    assert len(shots) <= sum(shots) <= 500
    assert all(k >= 1 and k + q <= spec.counts[c] for c, k in zip(classes, shots, strict=True))
    assert q == 10 or any(spec.counts[c] // 2 == q for c in classes)


FEW = ("omniglot", "ilsvrc_2012", "traffic_sign")  # of every kind of draw one: make slow has all


@pytest.mark.parametrize(
    ("source", "split", "num_episodes"),
    [pytest.param(*which, marks=[] if which[0] in FEW else pytest.mark.slow) for which in splits()],
)
def test_plans_are_those_of_the_paper(source: str, split: str, num_episodes: int) -> None:
    """Bounds hold for every episode; the means differ by less than 4.5 standard errors."""
    spec, ours, theirs = spec_of(source)[split], [], []
    counts, draws, rng = torch.tensor(spec.counts), generator(), random.Random(0)
    for _ in range(num_episodes):
        plan = draw_plan(counts, spec.groups, draws)
        episode = plan.classes.tolist(), plan.shots.tolist(), plan.num_queries
        check_bounds(spec, *episode)
        ours.append(statistics(*episode))
        theirs.append(statistics(*paper_episode(spec, rng)))
    a, b = (torch.tensor(of, dtype=torch.float64) for of in (ours, theirs))
    error = ((a.var(0) + b.var(0)) / num_episodes).sqrt()
    assert bool(((a.mean(0) - b.mean(0)).abs() <= 4.5 * error + 1e-9).all())


@pytest.mark.parametrize("source", list(SIZES))
def test_class_tables(source: str) -> None:
    specs = spec_of(source)
    assert tuple(len(specs[split].counts) for split in specs) == SIZES[source]
    ids = [class_id for spec in specs.values() for class_id in spec.class_ids]
    assert ids == list(range(sum(SIZES[source])))


def test_alphabets_of_omniglot_share_no_class() -> None:
    for split, number in (("train", 25), ("validation", 5), ("test", 20)):
        spec = spec_of("omniglot")[split]
        assert spec.groups is not None
        assert spec.groups.rule == "bilevel"
        assert len(spec.groups.members) == number
        assert sum(spec.groups.members, ()) == tuple(range(len(spec.counts)))
        for members in spec.groups.members:
            alphabets = {spec.class_names[index].rpartition("-")[0] for index in members}
            assert len(alphabets) == 1


def test_nodes_of_imagenet_reach_every_class() -> None:
    """392 is the least span that does, for the training graph, as the paper says."""
    for split in ("train", "validation", "test"):
        spec = spec_of("ilsvrc_2012")[split]
        assert spec.groups is not None
        assert spec.groups.rule == "graph"
        assert {index for group in spec.groups.members for index in group} == set(
            range(len(spec.counts))
        )
        assert all(5 <= len(set(group)) == len(group) <= 392 for group in spec.groups.members)
    groups = spec_of("ilsvrc_2012")["train"].groups
    assert groups is not None
    below = {index for group in groups.members if len(group) < 392 for index in group}
    assert len(below) < 712


def test_classes_of_a_node_are_all_its_leaves() -> None:
    nodes = ((0, 2, 4, 6, 8), tuple(range(10, 70)))
    draws = generator()
    orders = set()
    for _ in range(200):
        classes = draw_classes(70, ClassGroups("graph", nodes), draws).tolist()
        if classes[0] < 10:
            assert sorted(classes) == [0, 2, 4, 6, 8]
            orders.add(tuple(classes))
        else:
            assert len(set(classes)) == 50
            assert set(classes) <= set(nodes[1])
    assert len(orders) > 40, "labels are not shuffled"


def test_classes_of_an_alphabet_come_from_it_alone() -> None:
    alphabets = ((0, 1, 2, 3, 4, 5), (6, 7, 8, 9, 10))
    draws = generator()
    ways = []
    for _ in range(600):
        classes = draw_classes(11, ClassGroups("bilevel", alphabets), draws)
        assert set(classes.tolist()) <= set(alphabets[int(classes[0] > 5)])
        ways.append(len(classes))
    assert sorted(set(ways)) == [5, 6]
    assert 100 < ways.count(6) < 200  # a quarter


def test_support_size_of_one_image_a_class_at_the_least() -> None:
    """β → 0 leaves one image a class; β = 1 takes all that count, up to 500."""
    images = torch.tensor([300, 60, 20, 20, 20])
    assert support_size(images, 10, 1e-12) == 5
    assert support_size(images, 10, 1.0) == 100 + 50 + 3 * 10
    assert support_size(torch.full((6,), 300), 10, 1.0) == 500


def test_shots_follow_weighted_class_sizes() -> None:
    """α = (log 2, 0, 0) doubles the first weight: 80, 60, 20 of 160, of |S| − N = 41 images.

    R (|S| − N) = 20.5, 15.375, 5.125; one more each, and the last has only 20 − 15 = 5 left.
    """
    images = torch.tensor([40, 60, 20])
    alpha = torch.tensor([math.log(2.0), 0.0, 0.0], dtype=torch.float64)
    assert shots_per_class(images, 10, 44, alpha).tolist() == [21, 16, 6]
    assert shots_per_class(images, 15, 44, alpha).tolist() == [21, 16, 5]
    assert shots_per_class(images, 10, 3, alpha).tolist() == [1, 1, 1]


@pytest.mark.parametrize(("images", "expected"), [([25, 30], 10), ([19, 20], 9), ([2, 20], 1)])
def test_queries_are_half_the_smallest_class(images: list[int], expected: int) -> None:
    assert num_queries(torch.tensor(images)) == expected


def test_a_plan_is_the_generators() -> None:
    counts = torch.tensor([20] * 9)
    plans = [draw_plan(counts, None, generator(seed)) for seed in (0, 0, 1)]
    assert [same(plan, plans[0]) for plan in plans] == [True, True, False]


def same(one: EpisodePlan, other: EpisodePlan) -> bool:
    pairs = [(one.classes, other.classes), (one.shots, other.shots)]
    return one.num_queries == other.num_queries and all(torch.equal(a, b) for a, b in pairs)


COUNTS = [9, 40, 2000, 13, 25, 8, 60]


def numbered(groups: ClassGroups | None = None, name: str = "fungi train") -> ArraySource:
    """Examples ``(class, example)``."""
    pairs = [(float(c), float(i)) for c, count in enumerate(COUNTS) for i in range(count)]
    return ArraySource(name, torch.tensor(pairs), COUNTS, [f"c{i}" for i in range(7)], groups)


def test_episodes_follow_their_plan() -> None:
    """Sizes from 8 to 2000 in one episode, up to all examples of a class."""
    (episodes_first, *rest) = VariableSampler(numbered()).sample(300, generator())
    for episodes in [episodes_first, *rest]:
        assert episodes.num_episodes == 1
        check_episode(episodes)
    plan = draw_plan(numbered().counts, None, generator())
    assert torch.equal(torch.bincount(episodes_first.support_y[0]), plan.shots)
    assert set(torch.bincount(episodes_first.query_y[0]).tolist()) == {plan.num_queries}


def check_episode(episodes: Episodes) -> None:
    support, query = episodes.support_x[0], episodes.query_x[0]
    everything = torch.cat([support, query])
    assert len(everything.unique(dim=0)) == len(everything)
    labels = torch.cat([episodes.support_y[0], episodes.query_y[0]])
    classes = [everything[labels == label, 0].unique() for label in range(episodes.num_ways)]
    assert [len(of) for of in classes] == [1] * episodes.num_ways
    assert len(torch.cat(classes).unique()) == episodes.num_ways
    assert bool((everything[:, 1] < torch.tensor(COUNTS)[everything[:, 0].long()]).all())
    assert torch.equal(episodes.support_y.sort().values, episodes.support_y)
    assert torch.equal(episodes.query_y.sort().values, episodes.query_y)


def test_every_example_is_in_the_query_equally_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of class c2's 2000 examples, 4 an episode: all but 2000·e⁻² = 271 are expected in 1000."""
    monkeypatch.setattr("metarl.fewshot.variable_sampler.MIN_WAYS", 7)
    sampler = VariableSampler(numbered())
    queries = torch.cat([e.query_x[0] for e in sampler.sample(1_000, generator())])
    seen = queries[queries[:, 0] == 2, 1].long()
    halves = torch.bincount(seen // 1000, minlength=2).double()
    assert abs(float(halves[0] - halves[1])) < 4.5 * math.sqrt(float(halves.sum()))
    assert abs(len(seen.unique()) - 1729) < 4.5 * math.sqrt(2000 * 0.135 * 0.865)


def test_groups_too_small_for_an_episode_are_not_drawn() -> None:
    groups = ClassGroups("bilevel", ((0, 1), (2, 3, 4, 5, 6)))
    for episodes in VariableSampler(numbered(groups)).sample(30, generator()):
        assert set(episodes.support_x[0, :, 0].tolist()) == {2.0, 3.0, 4.0, 5.0, 6.0}


@pytest.mark.parametrize(
    ("groups", "min_ways", "message"),
    [
        (None, 8, "fungi train: has 7 classes, but min_ways is 8"),
        (
            ClassGroups("graph", ((0, 1, 2, 3),)),
            5,
            "fungi train: none of its 1 groups has 5 classes, the least that min_ways allows",
        ),
    ],
)
def test_refuses_sources(
    groups: ClassGroups | None, min_ways: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metarl.fewshot.variable_sampler.MIN_WAYS", min_ways)
    with pytest.raises(ValueError, match=r".") as error:
        VariableSampler(numbered(groups))
    assert str(error.value) == message


def test_refuses_a_class_of_one_image() -> None:
    source = ArraySource("fungi", torch.zeros(11, 1), [2, 2, 2, 2, 2, 1], list("abcdef"))
    with pytest.raises(ValueError, match=r"class 'f' has 1 examples, but 1 shot \+ 1 query need 2"):
        VariableSampler(source)


def test_sources_are_drawn_equally_often() -> None:
    samplers = [
        FixedSampler(numbered(), num_ways=ways, num_shots=1, num_queries=1) for ways in (2, 3, 4)
    ]
    batches = MultiSourceSampler(samplers).sample(1_500, generator())
    assert [batch.num_episodes for batch in batches] == [1] * 1_500
    drawn = torch.bincount(torch.tensor([batch.num_ways for batch in batches]))[2:].double()
    assert bool(((drawn - 500).abs() < 4.5 * math.sqrt(1_500 * 2 / 9)).all())


def test_several_sources_need_one() -> None:
    with pytest.raises(ValueError, match="samplers must be at least one, got none"):
        MultiSourceSampler([])

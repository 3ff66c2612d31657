"""Episodes of fixed ways, shots and queries, on sources whose examples carry their own numbers."""

import math

import pytest
import torch
from torch import Tensor

from metarl.fewshot.episodes import Episodes
from metarl.fewshot.samplers import FixedSampler, SinusoidSampler, draw_distinct
from metarl.fewshot.sources import ArraySource

CRITICAL = 4.5
"""Standard deviations; with fixed seeds a test that passes once always does."""


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(counts: list[int], name: str = "glyphs test") -> ArraySource:
    """Examples ``(class, example)``."""
    pairs = [(float(c), float(i)) for c, count in enumerate(counts) for i in range(count)]
    return ArraySource(name, torch.tensor(pairs), counts, [f"c{i}" for i in range(len(counts))])


def chi_square(observed: Tensor, expected: float) -> float:
    """Deviation of counts from equal ones, in standard deviations (Wilson and Hilferty 1931)."""
    freedom = observed.numel() - 1
    statistic = float(((observed.double() - expected) ** 2 / expected).sum())
    spread = 2 / (9 * freedom)
    return ((statistic / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)


def draw(sampler: FixedSampler, num_episodes: int, seed: int = 0) -> Episodes:
    (episodes,) = sampler.sample(num_episodes, generator(seed))
    return episodes


UNEVEN = [20, 7, 300, 12, 7, 50, 100_000, 9]


@pytest.fixture(scope="module")
def uneven() -> Episodes:
    """Classes smaller and larger than what is sorted as a whole, in one draw."""
    return draw(FixedSampler(numbered(UNEVEN), num_ways=4, num_shots=2, num_queries=5), 500)


def test_shapes_and_types(uneven: Episodes) -> None:
    assert uneven.support_x.shape == (500, 8, 2)
    assert uneven.query_x.shape == (500, 20, 2)
    assert uneven.support_y.shape == (500, 8)
    assert uneven.query_y.shape == (500, 20)
    assert uneven.support_y.dtype == uneven.query_y.dtype == torch.int64
    assert uneven.num_ways == 4


def test_no_example_comes_twice_in_an_episode(uneven: Episodes) -> None:
    for examples in torch.cat([uneven.support_x, uneven.query_x], dim=1):
        assert len(examples.unique(dim=0)) == 28


def test_labels_come_class_by_class(uneven: Episodes) -> None:
    assert uneven.support_y.tolist() == [[0, 0, 1, 1, 2, 2, 3, 3]] * 500
    assert uneven.query_y.tolist() == [[label for label in range(4) for _ in range(5)]] * 500


def test_a_label_is_one_class_and_classes_differ(uneven: Episodes) -> None:
    support = uneven.support_x[..., 0].reshape(500, 4, 2)
    query = uneven.query_x[..., 0].reshape(500, 4, 5)
    classes = support[:, :, 0]
    assert torch.equal(support, classes[..., None].expand_as(support))
    assert torch.equal(query, classes[..., None].expand_as(query))
    assert all(len(set(row)) == 4 for row in classes.tolist())


def test_every_class_is_every_label_equally_often() -> None:
    """10,000 episodes of 3 of 6 classes: a class is expected 10,000/6 times at each label."""
    sampler = FixedSampler(numbered([4] * 6), num_ways=3, num_shots=1, num_queries=1)
    classes = draw(sampler, 10_000).support_x[..., 0].long()
    for label in range(3):
        observed = torch.bincount(classes[:, label], minlength=6)
        assert abs(chi_square(observed, 10_000 / 6)) < CRITICAL
    pairs = torch.bincount(classes[:, 0] * 6 + classes[:, 1], minlength=36).reshape(6, 6)
    different = pairs[~torch.eye(6, dtype=torch.bool)]
    assert abs(chi_square(different, 10_000 / 30)) < CRITICAL
    assert pairs.diagonal().sum() == 0


@pytest.mark.parametrize("size", [6, 40])
def test_every_example_is_support_and_query_equally_often(size: int) -> None:
    """6 examples are sorted as a whole, of 40 those drawn twice are drawn again."""
    sampler = FixedSampler(numbered([size]), num_ways=1, num_shots=2, num_queries=2)
    episodes = draw(sampler, 8_000)
    for x in (episodes.support_x, episodes.query_x):
        for place in range(2):
            observed = torch.bincount(x[:, place, 1].long(), minlength=size)
            assert abs(chi_square(observed, 8_000 / size)) < CRITICAL


@pytest.mark.parametrize("size", [5, 13])
def test_ordered_draws_are_equally_likely(size: int) -> None:
    """3 of 5 (sorted) and of 13 (redrawn): 60 and 1716 ordered choices, 40 expected of each."""
    choices = size * (size - 1) * (size - 2)
    drawn = draw_distinct(torch.full((40 * choices,), size), 3, generator())
    code = (drawn * torch.tensor([size * size, size, 1])).sum(1)
    observed = torch.bincount(code)
    observed = observed[observed > 0]
    assert len(observed) == choices
    assert abs(chi_square(observed, 40)) < CRITICAL


def test_draws_stay_below_each_size() -> None:
    sizes = torch.tensor([16, 17, 64, 65, 10**9, 20]).repeat(50)
    drawn = draw_distinct(sizes, 16, generator())
    assert bool(((drawn >= 0) & (drawn < sizes[:, None])).all())
    assert all(len(set(row)) == 16 for row in drawn.tolist())
    assert int(drawn[4::6].max()) > 9 * 10**8


def test_rows_smaller_than_the_draw_begin_with_all_they_have() -> None:
    drawn = draw_distinct(torch.tensor([3, 10_000, 6]), 8, generator())
    assert sorted(drawn[0, :3].tolist()) == [0, 1, 2]
    assert sorted(drawn[2, :6].tolist()) == list(range(6))


def test_all_examples_of_all_classes_can_be_asked_for() -> None:
    sampler = FixedSampler(numbered([3, 3]), num_ways=2, num_shots=1, num_queries=2)
    episodes = draw(sampler, 5)
    assert torch.cat([episodes.support_x, episodes.query_x], 1)[0].unique(dim=0).shape == (6, 2)


def test_the_generator_decides_everything() -> None:
    sampler = FixedSampler(numbered(UNEVEN), num_ways=4, num_shots=2, num_queries=5)
    state = torch.get_rng_state()
    first, again, other = draw(sampler, 9), draw(sampler, 9), draw(sampler, 9, seed=1)
    assert torch.equal(first.support_x, again.support_x)
    assert torch.equal(first.query_x, again.query_x)
    assert not torch.equal(first.support_x, other.support_x)
    assert torch.equal(torch.get_rng_state(), state)


def test_images_stay_bytes_and_keep_their_shape() -> None:
    images = torch.arange(6 * 2 * 3, dtype=torch.uint8).reshape(6, 1, 2, 3)
    source = ArraySource("glyphs", images, [3, 3], ["a", "b"])
    episodes = draw(FixedSampler(source, num_ways=2, num_shots=1, num_queries=1), 4)
    assert episodes.support_x.shape == (4, 2, 1, 2, 3)
    assert episodes.support_x.dtype == torch.uint8


class MetaSource(ArraySource):
    """Keeps its examples on a device without data; the indices must still come from the CPU."""

    def take(self, classes: Tensor, examples: Tensor) -> Tensor:
        assert classes.device.type == examples.device.type == "cpu"
        return super().take(classes, examples).to("meta")


def test_labels_are_where_the_examples_are() -> None:
    source = MetaSource("glyphs", torch.zeros(6, 2), [3, 3], ["a", "b"])
    episodes = draw(FixedSampler(source, num_ways=2, num_shots=1, num_queries=1), 4)
    assert {tensor.device.type for tensor in episodes[:4]} == {"meta"}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_the_same_episodes_on_a_gpu() -> None:
    source = numbered([30] * 8)
    on_gpu = source.to(torch.device("cuda"))
    expected = draw(FixedSampler(source, num_ways=5, num_shots=1, num_queries=3), 6)
    episodes = draw(FixedSampler(on_gpu, num_ways=5, num_shots=1, num_queries=3), 6)
    for tensor, wanted in zip(episodes[:4], expected[:4], strict=True):
        assert tensor.is_cuda
        assert torch.equal(tensor.cpu(), wanted)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (
            {"num_ways": 4},
            "glyphs test: has 3 classes, but num_ways is 4; take fewer "
            "--num-ways, or cut the classes otherwise by --split-fractions",
        ),
        (
            {"num_shots": 5, "num_queries": 15},
            "glyphs test: class 'c1' has 3 examples, but 5 shots + 15 queries need 20",
        ),
        ({"num_ways": 0}, "num_ways must be at least 1, got 0"),
        ({"num_shots": 0}, "num_shots must be at least 1, got 0"),
        ({"num_queries": -1}, "num_queries must be at least 1, got -1"),
    ],
)
def test_refuses(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        FixedSampler(
            numbered([30, 3, 2]), **({"num_ways": 2, "num_shots": 1, "num_queries": 1} | sizes)
        )
    assert str(error.value) == message


def test_refuses_a_source_without_classes() -> None:
    source = ArraySource("signs train", torch.zeros(0, 2), [], [])
    with pytest.raises(
        ValueError, match=r"^signs train: has 0 classes, but num_ways is 5; take fewer --num-ways"
    ):
        FixedSampler(source, num_ways=5, num_shots=1, num_queries=1)


def test_sinusoid_points_lie_on_one_curve_an_episode() -> None:
    """A sin(x - φ) = a sin x + b cos x: two unknowns for 30 points, support and query alike."""
    (episodes,) = SinusoidSampler(10, 20).sample(400, generator())
    assert episodes.num_ways == 0
    assert episodes.support_x.shape == episodes.support_y.shape == (400, 10, 1)
    assert episodes.query_x.shape == episodes.query_y.shape == (400, 20, 1)
    assert episodes.query_y.dtype == torch.float32
    x = torch.cat([episodes.support_x, episodes.query_x], 1).double()
    y = torch.cat([episodes.support_y, episodes.query_y], 1).double()
    basis = torch.cat([x.sin(), x.cos()], 2)
    ab = torch.linalg.lstsq(basis, y).solution
    torch.testing.assert_close(basis @ ab, y, atol=1e-4, rtol=1e-4)
    amplitude = ab.norm(dim=1).flatten()
    phase = torch.atan2(-ab[:, 1], ab[:, 0]).flatten()
    for drawn, low, high in ((amplitude, 0.1, 5.0), (phase, 0.0, math.pi), (x.flatten(), -5, 5)):
        assert low - 1e-3 <= float(drawn.min()) < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < float(drawn.max()) <= high + 1e-3
        error = (high - low) / math.sqrt(12 * len(drawn))
        assert abs(float(drawn.mean()) - (low + high) / 2) < CRITICAL * error


def test_sinusoid_of_a_zero_predictor() -> None:
    """E[y²]: E[A²] = (5³ - 0.1³) / (3 · 4.9) = 8.5034, times E[sin²(x - φ)] over x and φ.

    With E[sin²] = ½ − ½ E[cos 2(x − φ)], and E over φ in [0, π] of cos 2(x − φ) = 0: half.
    """
    (episodes,) = SinusoidSampler(1, 50).sample(20_000, generator())
    means = episodes.query_y.square().mean((1, 2)).double()
    error = float(means.std()) / math.sqrt(len(means))
    assert abs(float(means.mean()) - (5**3 - 0.1**3) / (3 * 4.9) / 2) < CRITICAL * error


def test_sinusoid_refuses_no_points() -> None:
    with pytest.raises(ValueError, match="num_queries must be at least 1, got 0"):
        SinusoidSampler(5, 0)

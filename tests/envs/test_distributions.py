"""Task distributions: ranges, shapes, and the cut into train and held-out parts."""

import itertools
from statistics import NormalDist
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray

from metarl_envs import (
    FAMILIES,
    Choice,
    Dirichlet,
    Disk,
    Distribution,
    LogUniform,
    Normal,
    Product,
    Uniform,
)
from metarl_envs.tasks import CELLS, Split, is_held_out

SPLITS: tuple[Split, Split] = ("train", "held_out")
NUM = 50_000


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def unit_cube(distribution: Distribution, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The uniforms ``[num, d]`` that gave the values, from the definitions of the distributions."""
    if isinstance(distribution, Disk):
        angle = np.arctan2(values[:, 1], values[:, 0]) % (2 * np.pi)
        radius = np.hypot(values[:, 0], values[:, 1]) / distribution.radius
        return np.stack([radius**2, angle / (2 * np.pi)], -1)
    if isinstance(distribution, Normal):
        scaled = (values - distribution.mean) / distribution.std
        return np.vectorize(NormalDist().cdf)(scaled).reshape(len(values), -1)
    if isinstance(distribution, Dirichlet):
        num = values.shape[-1]
        before = np.cumsum(values, -1) - values
        share = (values / (1 - before))[..., :-1]  # Beta(1, num - 1 - j), of what is left
        return (1 - (1 - share) ** np.arange(num - 1, 0, -1)).reshape(len(values), -1)
    low, high = distribution.space.low, distribution.space.high
    if isinstance(distribution, LogUniform):
        values, low, high = np.log(values), np.log(low), np.log(high)
    return ((values - low) / (high - low)).reshape(len(values), -1)


CONTINUOUS = [
    Uniform(-1.0, 3.0),
    Uniform([-0.5, -0.5], 0.5),
    Uniform(np.zeros(7), np.arange(1.0, 8.0)),
    LogUniform(-3.0, 3.0, base=1.5),
    LogUniform(np.full((2, 2), -1.0), 2.0),
    Disk(3.0),
    Normal(1.0, 2.0),
    Normal([[0.0, 1.0], [-1.0, 5.0]], 0.5),
    Dirichlet((3,)),
    Dirichlet((2, 2, 4)),
]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("distribution", CONTINUOUS)
def test_parts_are_disjoint(distribution: Distribution, split: Split) -> None:
    """Every draw lies in a cell of its part; draws within rounding of an edge are left out."""
    uniforms = unit_cube(distribution, distribution.sample(rng(), NUM, split))
    inside = (np.abs(uniforms * CELLS - np.round(uniforms * CELLS)) > 1e-9).all(-1)
    assert inside.mean() > 0.99
    assert (is_held_out(uniforms[inside]) == (split == "held_out")).all()
    assert distribution.disjoint


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    "distribution",
    [*CONTINUOUS, Choice([-1.0, 1.0]), Choice(np.eye(5), [1, 3]), Product({"x": Disk(1.0)})],
)
def test_the_first_draws_do_not_depend_on_how_many_there_are(
    distribution: Any, split: Split
) -> None:
    whole, first = (distribution.sample(rng(), num, split) for num in (NUM, 7))
    if isinstance(distribution, Product):
        whole, first = whole["x"], first["x"]
    np.testing.assert_array_equal(whole[:7], first)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("env_id", sorted(FAMILIES))
def test_the_first_tasks_of_every_family_do_not_depend_on_how_many_there_are(
    env_id: str, split: Split
) -> None:
    env: Any = gym.make_vec(env_id, num_envs=1)
    whole, first = (env.task_distribution.sample(rng(), num, split) for num in (40, 5))
    for name, values in whole.items():
        np.testing.assert_array_equal(values[:5], first[name])
    env.close()


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    "distribution", [*CONTINUOUS, Choice([-1.0, 1.0]), Choice([[-1.0], [1.0]])]
)
def test_values_fit_the_space(distribution: Distribution, split: Split) -> None:
    values = distribution.sample(rng(), 1000, split)
    assert values.shape == (1000, *distribution.space.shape)
    assert (values >= distribution.space.low).all()
    assert (values <= distribution.space.high).all()
    assert distribution.space.contains(np.asarray(values[0]))
    assert len(distribution.sample(rng(), 0, split)) == 0


@pytest.mark.parametrize("dimensions", [1, 2, 3, 4, 5])
def test_a_fifth_of_the_cells_is_held_out_among_train_cells(dimensions: int) -> None:
    cells = np.array(list(itertools.product(range(CELLS), repeat=dimensions)))
    held_out = is_held_out((cells + 0.5) / CELLS)
    assert held_out.mean() == 0.2
    for axis in range(dimensions):
        for step in (-1, 1):
            neighbours = cells[held_out] + step * np.eye(dimensions, dtype=int)[axis]
            assert not is_held_out((neighbours + 0.5) / CELLS).any()
    # no extreme cell of the line, so that train tasks span the range
    assert dimensions > 1 or not {0, CELLS - 1} & set(cells[held_out].flatten().tolist())


@pytest.mark.parametrize("dimensions", [2, 3, 4])
def test_both_parts_have_uniform_marginals(dimensions: int) -> None:
    cells = np.array(list(itertools.product(range(CELLS), repeat=dimensions)))
    held_out = is_held_out((cells + 0.5) / CELLS)
    for axis in range(dimensions):
        counts = np.bincount(cells[held_out, axis], minlength=CELLS)
        assert (counts == CELLS ** (dimensions - 1) // 5).all()


def test_a_fifth_is_held_out_in_seven_dimensions() -> None:
    assert abs(is_held_out(rng().random((NUM, 7))).mean() - 0.2) < 0.01


@pytest.mark.parametrize(("shape", "tolerance"), [((), 0.07), ((2,), 0.02), ((7,), 0.02)])
def test_train_moments_are_those_of_the_whole(shape: tuple[int, ...], tolerance: float) -> None:
    """On [-1, 3]: mean 1, variance 16/12. On a line the cut itself widens the variance by 6 %:

    cells 2 and 7 of ten are out, so the mean square of the cell index about 4.5 is
    (82.5 - 2 · 2.5²) / 8 = 8.75 in place of 8.25, and (8.75 + 1/12) / (8.25 + 1/12) = 1.06.
    """
    values = Uniform(np.full(shape, -1.0), 3.0).sample(rng(), NUM, "train")
    np.testing.assert_allclose(values.mean(0), 1.0, atol=0.02)
    np.testing.assert_allclose(values.var(0), 16 / 12, rtol=tolerance)


@pytest.mark.parametrize("split", SPLITS)
def test_normal_moments(split: Split) -> None:
    """N(1, 2²): mean 1, variance 4, P(|x - 1| < 2) = 0.6827, P(x < 1 - 4) = 0.0228."""
    values = Normal(np.ones((2, 3)), 2.0).sample(rng(), NUM, split)
    assert values.shape == (NUM, 2, 3)
    np.testing.assert_allclose(values.mean(0), 1.0, atol=5 * 2 / np.sqrt(NUM))
    np.testing.assert_allclose(values.var(0), 4.0, rtol=5 * np.sqrt(2 / NUM))
    np.testing.assert_allclose((np.abs(values - 1) < 2).mean(0), 0.6827, atol=0.0105)
    np.testing.assert_allclose((values < -3).mean(0), 0.0228, atol=0.0035)
    correlations = np.corrcoef(values.reshape(NUM, -1).T) - np.eye(6)
    assert np.abs(correlations).max() < 5 / np.sqrt(NUM)


def test_the_least_uniform_is_a_finite_normal() -> None:
    assert np.isfinite(Normal(0.0, 1.0).transform(np.zeros((1, 1)))).all()


@pytest.mark.parametrize("split", SPLITS)
def test_dirichlet_moments(split: Split) -> None:
    """All concentrations 1, K = 4: mean 1/K, variance (K-1) / (K²(K+1)) = 3/80, covariance -1/80;

    each entry is Beta(1, 3): P(p < 1/2) = 1 - 1/2³. Rows are independent.
    """
    rows = Dirichlet((2, 4)).sample(rng(), NUM, split)
    assert (rows >= 0).all()
    np.testing.assert_allclose(rows.sum(-1), 1.0, atol=1e-12)
    np.testing.assert_allclose(rows.mean(0), 1 / 4, atol=5 * np.sqrt(3 / 80 / NUM))
    np.testing.assert_allclose((rows < 0.5).mean(0), 7 / 8, atol=5 * np.sqrt(7 / 64 / NUM))
    covariance = np.cov(rows.reshape(NUM, 8).T)
    block = np.full((4, 4), -1 / 80) + np.eye(4) * 4 / 80
    # the variance of a product of two entries' deviations is below that of a squared one, 0.0031
    tolerance = 5 * np.sqrt(0.0031 / NUM)
    np.testing.assert_allclose(covariance, np.kron(np.eye(2), block), atol=tolerance)


@pytest.mark.parametrize("split", SPLITS)
def test_disk_is_uniform_in_area(split: Split) -> None:
    """Ten rings of equal area hold a tenth of the draws each, ten sectors of equal angle too."""
    values = Disk(3.0).sample(rng(), NUM, split)
    area = (values**2).sum(-1) / 9.0
    sector = np.arctan2(values[:, 1], values[:, 0]) % (2 * np.pi) / (2 * np.pi)
    for uniform in (area, sector):
        counts, _ = np.histogram(uniform, 10, (0.0, 1.0))
        np.testing.assert_allclose(counts / NUM, 0.1, atol=0.006)


def test_log_uniform_range() -> None:
    """1.5 ** U(-3, 3) spans 0.296 to 3.375, with its logarithm symmetric about zero."""
    distribution = LogUniform(-3.0, 3.0, base=1.5)
    np.testing.assert_allclose([distribution.space.low, distribution.space.high], [1.5**-3, 3.375])
    values = distribution.sample(rng(), NUM, "train")
    assert values.min() < 0.3
    assert values.max() > 3.37
    assert abs(np.log(values).mean()) < 0.02


def test_a_base_below_one_turns_the_range() -> None:
    space = LogUniform(0.0, 1.0, base=0.5).space
    assert [space.low.item(), space.high.item()] == [0.5, 1.0]


def test_choice_draws_each_value_of_its_part() -> None:
    choice = Choice([[0.0], [1.0], [2.0], [3.0]], held_out=[1, 3])
    assert set(choice.sample(rng(), 100, "train").flatten()) == {0.0, 2.0}
    assert set(choice.sample(rng(), 100, "held_out").flatten()) == {1.0, 3.0}
    assert choice.disjoint


def test_held_out_values_are_drawn_in_turn() -> None:
    """So that an evaluation covers them: 5 draws of 2 values are 3 and 2, 1 draw is either."""
    choice = Choice([0.0, 1.0, 2.0, 3.0], held_out=[1, 3])
    generator = rng()
    for _ in range(10):
        counts = np.bincount(choice.sample(generator, 5, "held_out").astype(int), minlength=4)
        assert sorted(counts) == [0, 0, 2, 3]
    first = {float(choice.sample(generator, 1, "held_out")[0]) for _ in range(20)}
    assert first == {1.0, 3.0}


def test_choice_without_held_out_values_shares_them() -> None:
    choice = Choice([-1.0, 1.0])
    assert not choice.disjoint
    for split in SPLITS:
        assert set(choice.sample(rng(), 100, split)) == {-1.0, 1.0}


def test_product_draws_every_entry_from_the_same_part() -> None:
    product = Product({"goal": Uniform([0.0, 0.0], 1.0), "mass": Choice([1.0, 2.0, 3.0], [1])})
    for split in SPLITS:
        tasks = product.sample(rng(), 1000, split)
        assert tasks["goal"].shape == (1000, 2)
        assert (is_held_out(tasks["goal"]) == (split == "held_out")).all()
        assert set(tasks["mass"]) == ({2.0} if split == "held_out" else {1.0, 3.0})
    assert set(product.space.spaces) == {"goal", "mass"}


@pytest.mark.parametrize(
    ("parts", "disjoint"), [(["goal"], True), (["side"], False), (["goal", "side"], True)]
)
def test_one_disjoint_entry_makes_tasks_disjoint(parts: list[str], disjoint: bool) -> None:
    entries: dict[str, Distribution] = {"goal": Uniform(0.0, 1.0), "side": Choice([-1.0, 1.0])}
    assert Product({name: entries[name] for name in parts}).disjoint is disjoint


@pytest.mark.parametrize("distribution", [*CONTINUOUS, Choice([0.0, 1.0])])
def test_the_same_generator_gives_the_same_draws(distribution: Distribution) -> None:
    first, second = (distribution.sample(rng(), 10, "train") for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Uniform([0.0, 1.0], 1.0), "needs low < high, got low=.0.0, 1.0., high=.1.0, 1.0."),
        (lambda: LogUniform(0.0, 1.0, base=0.0), "needs a positive base, got 0.0"),
        (lambda: Normal([0.0, 1.0], [1.0, 0.0]), "needs positive std, got .1.0, 0.0."),
        (lambda: Dirichlet((3, 1)), "needs at least 2 entries in the last axis, got .3, 1."),
        (lambda: Dirichlet(()), "needs at least 2 entries in the last axis"),
        (lambda: Disk(0.0), "needs a positive radius, got 0.0"),
        (lambda: Choice([]), "needs at least one value"),
        (lambda: Choice([1.0, 2.0], held_out=[0, 1]), "one value that is not held out"),
        (lambda: Choice([1.0, 2.0], held_out=[2.0]), r"whole numbers from 0 to 1, got \[2\.0\]"),
        (lambda: Choice([1.0, 2.0], held_out=[2]), "held_out must be a list of indices"),
        (lambda: Choice([1.0, 2.0], held_out=[-1]), "held_out must be a list of indices"),
        (lambda: Choice([1.0, 2.0], held_out=[True, False]), "held_out must be a list of indices"),
    ],
)
def test_impossible_distributions(build: object, message: str) -> None:
    assert callable(build)
    with pytest.raises(ValueError, match=message):
        build()

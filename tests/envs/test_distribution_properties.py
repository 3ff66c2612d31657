"""Held-out tasks are never drawn in training, whatever the distribution."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metarl_envs import Choice, Dirichlet, Disk, LogUniform, Normal, Product, Uniform
from metarl_envs.tasks import Distribution, is_held_out

SHAPES = st.lists(st.integers(1, 3), max_size=2).map(tuple)
BOUNDS = st.floats(-1e6, 1e6)
WIDTHS = st.floats(1e-3, 1e6)


@st.composite
def continuous(draw: Any) -> Distribution:
    """Any of those that are cut in the space of their uniforms."""
    shape, low, width = draw(SHAPES), draw(BOUNDS), draw(WIDTHS)
    lows = np.full(shape, low)
    return draw(
        st.sampled_from(
            [
                Uniform(lows, low + width),
                LogUniform(np.full(shape, -width / 1e6), width / 1e6, base=2.0),
                Normal(lows, width),
                Dirichlet((*shape, 3)),
                Disk(width),
            ]
        )
    )


class Recorded(np.random.Generator):
    """A generator that keeps what it drew."""

    def __init__(self, seed: int) -> None:
        super().__init__(np.random.PCG64(seed))
        self.drawn: list[Any] = []

    def random(self, *size: Any) -> Any:  # type: ignore[override]
        self.drawn.append(super().random(*size))
        return self.drawn[-1]


@given(continuous(), st.integers(0, 2**32), st.integers(1, 40))
def test_the_parts_of_a_continuous_one_are_cells_that_differ(
    distribution: Any, seed: int, num: int
) -> None:
    for split in ("train", "held_out"):
        rng = Recorded(seed)
        values = distribution.sample(rng, num, split)
        uniforms = np.concatenate(rng.drawn)
        ours = uniforms[is_held_out(uniforms) == (split == "held_out")][:num]
        np.testing.assert_array_equal(values, distribution.transform(ours))
        assert values.shape == (num, *distribution.space.shape)
        low, high = distribution.space.low, distribution.space.high
        assert ((values >= low) & (values <= high)).all()


@given(continuous(), st.integers(0, 2**32))
def test_no_value_is_in_both_parts(distribution: Any, seed: int) -> None:
    parts = [distribution.sample(np.random.default_rng(seed), 60, s) for s in ("train", "held_out")]
    train, held_out = ({tuple(np.ravel(value)) for value in part} for part in parts)
    assert distribution.disjoint
    assert not train & held_out


@given(st.data(), st.integers(0, 2**32))
def test_choices_hold_out_what_they_are_told(data: Any, seed: int) -> None:
    values = data.draw(st.lists(st.integers(-5, 5), min_size=2, max_size=8))
    held_out = data.draw(st.sets(st.integers(0, len(values) - 1), max_size=len(values) - 1))
    kept = {value for i, value in enumerate(values) if i not in held_out}
    out = {values[i] for i in held_out}
    if kept & out:
        with pytest.raises(ValueError, match="among the held-out values"):
            Choice(values, sorted(held_out))
        return
    choice = Choice(values, sorted(held_out))
    assert choice.disjoint == bool(held_out)
    rng = np.random.default_rng(seed)
    drawn = [set(choice.sample(rng, 80, split).tolist()) for split in ("train", "held_out")]
    assert drawn[0] <= kept
    assert drawn[1] == (out or kept)


@given(st.integers(0, 2**32), st.integers(1, 30))
def test_products_are_disjoint_where_a_part_is(seed: int, num: int) -> None:
    product = Product({"a": Choice([1.0, 2.0, 3.0]), "b": Uniform([0.0, 0.0], 1.0)})
    assert product.disjoint
    draws = [product.sample(np.random.default_rng(seed), num, s) for s in ("train", "held_out")]
    seen = [{(float(a), *b) for a, b in zip(d["a"], d["b"], strict=True)} for d in draws]
    assert not seen[0] & seen[1]
    assert not Product({"a": Choice([1.0, 2.0])}).disjoint


@pytest.mark.parametrize(
    "make",
    [
        lambda: Choice([1.0, 2.0, 1.0], held_out=[0]),
        lambda: Choice([[0.0, -0.0], [0.0, 0.0]], held_out=[1]),
        lambda: LogUniform(-1.0, 1.0, base=1.0),
        lambda: Uniform(1e16, 1e16 + 2),
        lambda: LogUniform(0.0, 1e-17),
        lambda: Normal(1e18, 1.0),
    ],
)
def test_ones_whose_parts_cannot_differ_are_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="held-out"):
        make()

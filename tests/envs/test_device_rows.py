"""Random numbers by row, in tensors: those of NumPy."""

import array_api_compat.torch as xp
import numpy as np
import pytest
import torch
from torch import Tensor

from metarl_envs import Arrays
from metarl_envs.rows import DeviceRowRandom, RowRandom

SEEDS = [0, 1, 7, 2**31, 2**63 - 1]
SIZES = [(5,), (5, 3), (5, 2, 2), (5, 0), (5,)]


def rows_of(dtype: torch.dtype, seeds: list[int]) -> DeviceRowRandom:
    return DeviceRowRandom(Arrays(xp, dtype, "cpu"), torch.tensor(seeds))


def test_uniforms_are_those_of_numpy_bit_for_bit() -> None:
    ours, theirs = rows_of(torch.float64, SEEDS), RowRandom(SEEDS)
    for size in SIZES:
        assert np.array_equal(ours.random(size).numpy(), theirs.random(size))
        numbers = ours.uniform(-0.2, 0.3, size).numpy(), theirs.uniform(-0.2, 0.3, size)
        assert np.array_equal(*numbers)


def test_normals_are_those_of_numpy_but_for_the_last_digits() -> None:
    ours, theirs = rows_of(torch.float64, SEEDS), RowRandom(SEEDS)
    for size in SIZES:
        expected = torch.from_numpy(theirs.standard_normal(size))
        torch.testing.assert_close(ours.standard_normal(size), expected, rtol=1e-14, atol=1e-14)


def test_float32_is_float64_rounded() -> None:
    single, double = rows_of(torch.float32, SEEDS), rows_of(torch.float64, SEEDS)
    for name in ("random", "standard_normal"):
        ours, exact = (getattr(rows, name)((5, 100)) for rows in (single, double))
        assert ours.dtype == torch.float32
        assert torch.equal(ours, exact.float())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_uniforms_stay_below_one(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """The greatest of 53 bits is 1 in float32: there it would draw what has no probability."""
    rows = rows_of(dtype, SEEDS)
    greatest = torch.full((5,), 1.0 - 2.0**-53, dtype=torch.float64)
    monkeypatch.setattr(rows, "_uniforms", lambda size: greatest)
    assert (rows.random((5,)) < 1).all()


def test_some_rows_take_the_sequences_of_others_in_place() -> None:
    rows, others = rows_of(torch.float64, [1, 2, 3]), rows_of(torch.float64, [7, 8, 9])
    rows.random((3, 2))
    place = state_of(rows).data_ptr()
    rows.take(others, torch.tensor([False, True, False]))
    expected = RowRandom([1, 8, 3])
    expected.of(np.array([True, False, True])).random((2, 2))
    assert np.array_equal(rows.random((3, 4)).numpy(), expected.random((3, 4)))
    assert state_of(rows).data_ptr() == place


def state_of(rows: DeviceRowRandom) -> Tensor:
    state: Tensor = rows._state
    return state

"""Counter-based random numbers of rows."""

import math

import numpy as np
import pytest
import torch

from metarl.core import Streams
from metarl.core.rows import mixed, row_uniforms
from metarl.nn import CategoricalPolicy, GaussianPolicy, Policy, policy_network
from metarl_envs import rows


def test_the_hash_is_the_one_of_the_families() -> None:
    states = np.random.default_rng(0).integers(-(2**63), 2**63, 1000)
    expected = rows._hashed(states.view(np.uint64)).view(np.int64)
    assert mixed(torch.from_numpy(states)).tolist() == expected.tolist()


def test_numbers_of_a_row_depend_on_its_seed_and_their_place_alone() -> None:
    seeds = torch.tensor([[3, 2**63 - 1], [0, 4]])
    whole = row_uniforms(seeds, 0, 6)
    assert whole.shape == (6, 2, 2)
    assert torch.equal(row_uniforms(seeds[1], 4, 2), whole[4:, 1])


def test_uniform_numbers_have_the_moments_and_stay_inside() -> None:
    """Mean 1/2 and variance 1/12 within 5 standard errors, lag 1 and rows uncorrelated."""
    seeds = Streams(0, "training").rows("actions", range(50), range(20))
    numbers = row_uniforms(seeds, 0, 200).double()
    assert 0 < numbers.min() < numbers.max() < 1
    error = 5 / math.sqrt(numbers.numel())
    assert numbers.mean().item() == pytest.approx(0.5, abs=error * math.sqrt(1 / 12))
    assert numbers.var().item() == pytest.approx(1 / 12, abs=error * math.sqrt(1 / 180))
    centred = (numbers - 0.5) * math.sqrt(12)
    for pair in (centred[1:] * centred[:-1], centred[:, 1:] * centred[:, :-1]):
        assert abs(pair.mean().item()) < error * 1.01


def test_rows_of_streams_are_told_apart() -> None:
    streams = Streams(0, "training")
    drawn = [
        part.rows(stream, range(3), range(4))
        for part in (streams, streams.at(0), streams.at(1), Streams(1, "training"))
        for stream in ("actions", "environments")
    ]
    together = torch.cat([seeds.flatten() for seeds in drawn])
    assert len(set(together.tolist())) == 8 * 12
    assert together.min() >= 0


@pytest.mark.parametrize(
    ("kind", "mean", "std"),
    [(GaussianPolicy, 0.0, 1.0), (CategoricalPolicy, 0.57722, math.pi / math.sqrt(6))],
)
def test_noise_of_uniform_numbers(kind: type[Policy], mean: float, std: float) -> None:
    """Standard normals; Gumbel numbers, whose mean is Euler's constant. 5 standard errors."""
    policy = kind(policy_network(2, 3), 3)  # type: ignore[call-arg]
    uniforms = row_uniforms(torch.arange(1000), 0, 300)
    noise = policy.noise_of(uniforms).double()
    error = 5 / math.sqrt(noise.numel())
    assert torch.isfinite(noise).all()
    assert noise.mean().item() == pytest.approx(mean, abs=error * std)
    assert noise.std().item() == pytest.approx(std, abs=error * std * 1.5)

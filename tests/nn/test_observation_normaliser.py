"""Running statistics of observations, and policies with them in front."""

import numpy as np
import pytest
import torch
from stable_baselines3.common.running_mean_std import RunningMeanStd

from metarl.core import expand, parameters_of
from metarl.nn import GaussianPolicy, ObservationNormaliser, policy_network


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sizes", [[7], [1, 1, 5], [100, 3, 0, 20]])
def test_statistics_are_those_of_all_that_was_shown(sizes: list[int]) -> None:
    """Also where means are a million times the spread, in single precision's own numbers."""
    parts = [
        1e3 + draw(i, size, 4) * torch.tensor([1e-3, 1, 100, 0]) for i, size in enumerate(sizes)
    ]
    normaliser = ObservationNormaliser(4)
    for part in parts:
        normaliser.update(part)
    every = torch.cat(parts).double()
    torch.testing.assert_close(normaliser.mean, every.mean(0))
    torch.testing.assert_close(
        normaliser.variance, every.var(0, correction=0), atol=1e-12, rtol=1e-6
    )
    assert normaliser.count == sum(sizes)
    seen = normaliser(torch.cat(parts))
    assert not seen[:, 3].any()  # what never changes is 0
    assert seen.dtype == torch.float32


def test_it_agrees_with_stable_baselines3() -> None:
    """Whose statistics begin with 10⁻⁴ of an observation."""
    theirs, ours = RunningMeanStd(shape=(3,)), ObservationNormaliser(3)
    for seed in range(3):
        part = 5 + 2 * draw(seed, 200, 3)
        theirs.update(part.numpy())
        ours.update(part)
    np.testing.assert_allclose(ours.mean, theirs.mean, rtol=1e-5)
    np.testing.assert_allclose(ours.variance, theirs.var, rtol=1e-4)


def test_before_the_first_update_it_only_cuts() -> None:
    given = torch.tensor([[0.5, -20.0, 9.0]])
    torch.testing.assert_close(
        ObservationNormaliser(3)(given), torch.tensor([[0.5, -10.0, 9.0]]), rtol=1e-7, atol=0
    )


def test_a_policy_sees_normalised_observations_and_its_context_as_it_is() -> None:
    policy = GaussianPolicy(policy_network(2, 1, context_size=1), 1, context_size=1)
    params = expand(parameters_of(policy), 3)
    params["context"] = torch.full((3, 1), 7.0)
    observations = 100 + draw(0, 3, 5, 2)
    policy.normaliser = normaliser = ObservationNormaliser(2)
    normaliser.update(observations.flatten(0, 1))
    shown = policy.distribution(params, observations).mean
    seen = normaliser(observations)
    policy.normaliser = None
    torch.testing.assert_close(policy.distribution(params, seen).mean, shown)
    assert set(parameters_of(policy)) == set(params)  # statistics are no parameters

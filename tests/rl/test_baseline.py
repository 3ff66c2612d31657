"""The linear baseline: exact where it can be, blind to padding, task by task."""

from math import nan

import numpy as np
import pytest
import torch
from rl_samples import make_rollout
from torch.testing import assert_close

from metarl.rl import Rollout
from metarl.rl.baseline import RIDGE, features, fit_values

LENGTHS = [[150, 90], [40, 130]]


def returns_of(rollout: Rollout, filler: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    returns = torch.randn(rollout.mask.shape, generator=generator, dtype=torch.float64)
    return torch.where(rollout.mask, returns, filler)


def test_features() -> None:
    """Golden: 12 is clipped to 10, t/100 = 0.5."""
    row = features(torch.tensor([12.0, -1.0]), torch.tensor(50))
    assert row.tolist() == [10.0, -1.0, 100.0, 1.0, 0.5, 0.25, 0.125, 1.0]


def linear_values(
    rollout: Rollout, observations: torch.Tensor, times: torch.Tensor
) -> torch.Tensor:
    """A value function inside the features, another one for every task."""
    coefficients = torch.linspace(-1, 1, 8, dtype=torch.float64) * torch.tensor([[1.0], [3.0]])
    return torch.einsum("m...f,mf->m...", features(observations, times), coefficients)


def test_recovers_what_is_linear_in_the_features() -> None:
    """Up to the ridge of 1e-5; at ends the true successor's value comes from its observation."""
    rollout = make_rollout(LENGTHS)
    mask, lengths = rollout.mask, rollout.mask.sum(1)
    times = torch.arange(mask.shape[1])[:, None].expand(mask.shape)
    exact = linear_values(rollout, rollout.observations, times)
    values = fit_values(rollout, exact)
    assert_close(values.current[mask], exact[mask], rtol=0, atol=1e-4)

    final = linear_values(rollout, rollout.final_observations, lengths)
    last = values.following.gather(1, lengths[:, None] - 1)[:, 0]
    assert_close(last, final, rtol=0, atol=1e-4)
    inner = mask[:, 1:]  # steps with a successor in the rollout
    assert_close(values.following[:, :-1][inner], values.current[:, 1:][inner])


@pytest.mark.parametrize("filler", [nan, float("inf"), 1e30])
def test_padding_changes_nothing(filler: float) -> None:
    clean, dirty = make_rollout(LENGTHS), make_rollout(LENGTHS, filler=filler)
    expected = fit_values(clean, returns_of(clean))
    values = fit_values(dirty, returns_of(dirty, filler))
    for value, reference in zip(values, expected, strict=True):
        assert torch.equal(value, reference)


def test_batched_fit_is_a_loop_over_tasks() -> None:
    rollout = make_rollout(LENGTHS)
    returns = returns_of(rollout)
    current = fit_values(rollout, returns).current
    times = torch.arange(rollout.mask.shape[1])[:, None].expand(rollout.mask.shape[1:])
    for m, real in enumerate(rollout.mask):
        x = features(rollout.observations[m], times)[real].numpy()
        gram = x.T @ x + RIDGE * np.eye(x.shape[1])
        expected = x @ np.linalg.solve(gram, x.T @ returns[m][real].numpy())
        np.testing.assert_allclose(current[m][real].numpy(), expected, rtol=1e-8)


def test_predictions_keep_the_dtype_of_the_returns() -> None:
    rollout = make_rollout(LENGTHS)
    values = fit_values(rollout, returns_of(rollout).float())
    assert [value.dtype for value in values] == [torch.float32, torch.float32]


@pytest.mark.parametrize(("width", "expected"), [(512, 2 * 512 + 4), (513, 4)])
def test_images_leave_only_the_time(width: int, expected: int) -> None:
    shown = features(torch.ones(2, width), torch.tensor([0, 50]))
    assert shown.shape == (2, expected)
    assert shown[1, -4:].tolist() == [0.5, 0.25, 0.125, 1.0]


@pytest.mark.parametrize(
    ("num_steps", "free"), [(16, True), (15, False), (8, False), (7, False), (1, False)]
)
def test_few_steps_carry_few_features(num_steps: int, free: bool) -> None:
    """Of observations of 2 numbers there are 8: with as many steps they would explain any return.

    Under 16 steps the baseline does not look at observations, under 8 it is the mean.
    """
    rollout = make_rollout([[num_steps]])
    values = fit_values(rollout, returns_of(rollout)).current
    moved = rollout._replace(observations=-2.0 * rollout.observations)
    changed = fit_values(moved, returns_of(rollout)).current
    assert torch.equal(values, changed) is not free
    if num_steps < 8:
        mean = returns_of(rollout).mean()
        assert_close(values, mean.expand(values.shape), rtol=1e-4, atol=0)


def test_tasks_have_as_many_features_as_their_own_steps_carry() -> None:
    rollout = make_rollout([[40, 40], [4, 5]])
    together = fit_values(rollout, returns_of(rollout)).current
    alone = make_rollout([[40, 40]])
    observations = rollout.observations[:1]
    expected = fit_values(alone._replace(observations=observations), returns_of(rollout)[:1])
    assert_close(together[:1], expected.current)

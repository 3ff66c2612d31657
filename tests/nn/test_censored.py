"""The likelihood of clipped Gaussian actions, and its gradient, against scipy and integrals."""

import numpy as np
import pytest
import torch
from scipy import special, stats

from metarl.nn.distributions import Gaussian, log_cdf

POINTS = np.concatenate([-np.logspace(4, -3, 40), np.logspace(-3, 1.5, 40)])


def hazard(x: np.ndarray) -> np.ndarray:
    """d/dx log Φ(x) = φ(x) / Φ(x), in double precision, by the scaled erfc."""
    below = np.sqrt(2 / np.pi) / special.erfcx(-np.minimum(x, 0) / np.sqrt(2))
    return np.where(x < 0, below, stats.norm.pdf(x) / stats.norm.cdf(np.maximum(x, 0)))


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 2e-5), (torch.float64, 1e-12)])
def test_log_cdf_and_its_gradient_far_out(dtype: torch.dtype, rtol: float) -> None:
    x = torch.tensor(POINTS, dtype=dtype, requires_grad=True)
    values = log_cdf(x)
    (gradient,) = torch.autograd.grad(values.sum(), x)
    points = x.detach().double().numpy()
    tiny = 1e-37 if dtype == torch.float32 else 1e-300
    np.testing.assert_allclose(
        values.detach().double(), special.log_ndtr(points), rtol=rtol, atol=1e-7
    )
    np.testing.assert_allclose(gradient.double(), hazard(points), rtol=20 * rtol, atol=tiny)


def test_gradients_are_exact() -> None:
    """Of the analytic expression, by finite differences in double precision."""
    generator = torch.Generator().manual_seed(0)
    mean, log_std, draws = (
        torch.randn(2, 5, 3, generator=generator, dtype=torch.float64) for _ in range(3)
    )
    sides = (draws > 0.5).double() - (draws < -0.5).double()
    actions = draws.clamp(-0.5, 0.5)

    def total(mean: torch.Tensor, log_std: torch.Tensor) -> torch.Tensor:
        return Gaussian(mean, log_std).censored_log_prob(actions, sides)

    inputs = mean.requires_grad_(), log_std[:, :1].detach().requires_grad_()
    assert torch.autograd.gradcheck(total, inputs)


def test_it_is_the_density_within_and_the_mass_at_the_bounds() -> None:
    """Which add up to 1: ∫ density + both masses."""
    policy = Gaussian(torch.full((1, 1, 1), 0.3, dtype=torch.float64), torch.zeros(1, 1, 1))
    grid = torch.linspace(-1, 1, 20001, dtype=torch.float64)[None, :, None]
    none = torch.zeros_like(grid)
    inside = policy.censored_log_prob(grid, none)
    torch.testing.assert_close(inside, policy.log_prob(grid))
    bounds = torch.tensor([-1.0, 1.0], dtype=torch.float64)[None, :, None]
    masses = policy.censored_log_prob(bounds, bounds).exp()
    assert masses.flatten().tolist() == pytest.approx([stats.norm.cdf(-1.3), stats.norm.sf(0.7)])
    whole = torch.trapezoid(inside.exp(), grid[..., 0]) + masses.sum()
    assert float(whole) == pytest.approx(1.0, abs=1e-8)

"""Trust-region step: the solver, the Fisher products and the line search."""

from collections.abc import Sequence
from contextlib import nullcontext

import pytest
import torch
from device_tensors import NoHostCopies
from torch import Tensor
from torch.testing import assert_close

from metarl.core import SGD, adapt, expand, parameters_of
from metarl.nn import Gaussian, GaussianPolicy, policy_network
from metarl.rl import AdvantageBatch
from metarl.rl.losses import inner_loss, mean_kl
from metarl.rl.trust_region import (
    Candidate,
    Solution,
    Step,
    TrustRegion,
    conjugate_gradient,
    fisher_product,
    trust_region_step,
)


def draw(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def positive_definite(size: int) -> Tensor:
    root = draw(0, size, size)
    return root @ root.T + torch.eye(size, dtype=torch.float64)


def test_conjugate_gradient_solves() -> None:
    a, b = positive_definite(12), draw(1, 12)
    x, residual = conjugate_gradient(lambda v: a @ v, b, iterations=50, tolerance=1e-24)
    assert_close(x, torch.linalg.solve(a, b), rtol=1e-8, atol=1e-10)
    assert_close(residual, b - a @ x, rtol=0, atol=1e-9)


def test_conjugate_gradient_takes_no_more_products_than_allowed_or_needed() -> None:
    calls: list[Tensor] = []

    def identity(v: Tensor) -> Tensor:
        calls.append(v)
        return v

    x, _ = conjugate_gradient(identity, draw(1, 12), iterations=5)
    assert_close(x, draw(1, 12))
    assert len(calls) == 1
    conjugate_gradient(lambda v: positive_definite(12) @ identity(v), draw(1, 12), iterations=3)
    assert len(calls) == 1 + 3


@pytest.mark.parametrize("watched", [True, False])
def test_conjugate_gradient_of_zero_is_zero(watched: bool) -> None:
    x, _ = conjugate_gradient(lambda v: 2 * v, torch.zeros(3), iterations=5, watched=watched)
    assert x.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("tolerance", [1e-10, 1e-2])
def test_conjugate_gradient_is_the_same_to_the_bit_where_nobody_looks(tolerance: float) -> None:
    a, b = positive_definite(12), draw(1, 12)

    def solve(watched: bool) -> Solution:
        with NoHostCopies() if not watched else nullcontext():
            return conjugate_gradient(
                lambda v: a @ v, b, iterations=30, tolerance=tolerance, watched=watched
            )

    assert all(map(torch.equal, solve(True), solve(False)))


class Adaptation:
    """Two tasks, a policy of 3 observations, 2 hidden units and 1 action, in double."""

    def __init__(self, num_steps: int, *, first_order: bool) -> None:
        generator = torch.Generator().manual_seed(0)
        self.policy = GaussianPolicy(
            policy_network(3, 1, hidden_sizes=(2,), generator=generator), 1
        ).double()
        self.supports = [self._batch(10 * k) for k in range(num_steps)]
        self.query = self._batch(100)
        self.first_order = first_order
        self.sizes = [p.numel() for p in self.policy.parameters()]

    @staticmethod
    def _batch(seed: int) -> AdvantageBatch:
        weights = draw(seed + 3, 2, 6).square()
        weights[:, -1] = 0.0
        weights = weights / weights.sum(1, keepdim=True)
        shape = 2, 6
        return AdvantageBatch(
            draw(seed, *shape, 3),
            draw(seed + 1, *shape, 1),
            draw(seed + 2, *shape),
            weights,
            rewards=torch.zeros_like(weights),
            scale=torch.ones_like(weights[:, :1]),
            num_trajectories=2,
        )

    def adapted(self, parameters: Sequence[Tensor]) -> Gaussian:
        names = parameters_of(self.policy)
        params = adapt(
            SGD(0.3, first_order=self.first_order),
            lambda p, batch: inner_loss(
                self.policy.distribution(p, batch.observations), batch, "lvc"
            ),
            expand(dict(zip(names, parameters, strict=True)), 2),
            self.supports,
        )
        return self.policy.distribution(params, self.query.observations)

    def true_hessian(self) -> Tensor:
        """Of the KL averaged over tasks, by double backward through KL and adaptation."""
        start = list(self.policy.parameters())
        old = self.adapted(start).detach()
        kl = mean_kl(self.adapted(start), old, self.query).mean()
        gradient = flat(torch.autograd.grad(kl, start, create_graph=True))
        rows = [flat(torch.autograd.grad(g, start, retain_graph=True)) for g in gradient]
        return torch.stack(rows)

    def products(self, damping: float) -> Tensor:
        """The matrix column by column."""
        parameters = list(self.policy.parameters())
        product = fisher_product(
            self.adapted(parameters), self.query.weights / 2, parameters, damping=damping
        )
        identity = torch.eye(sum(self.sizes), dtype=torch.float64)
        return torch.stack([product(column) for column in identity], dim=1)


def flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


ADAPTATIONS = pytest.mark.parametrize(
    ("num_steps", "first_order"), [(0, False), (1, False), (2, False), (1, True), (2, True)]
)


@ADAPTATIONS
def test_fisher_product_is_the_hessian_of_the_kl(num_steps: int, first_order: bool) -> None:
    adaptation = Adaptation(num_steps, first_order=first_order)
    ours, hessian = adaptation.products(0.0), adaptation.true_hessian()
    assert_close(ours, hessian, rtol=1e-9, atol=1e-12)
    assert_close(ours, ours.T)
    assert torch.linalg.matrix_rank(hessian) > 8  # not trivially zero


def test_the_hessian_sees_the_adaptation() -> None:
    """A guard for the test above: the matrices of its cases differ."""
    matrices = [
        Adaptation(num_steps, first_order=first_order).products(0.0)
        for num_steps, first_order in [(0, False), (1, False), (1, True)]
    ]
    assert (matrices[1] - matrices[0]).abs().max() > 1e-2
    assert (matrices[1] - matrices[2]).abs().max() > 1e-2


def test_damping_is_added_to_the_diagonal() -> None:
    adaptation = Adaptation(1, first_order=False)
    difference = adaptation.products(0.7) - adaptation.products(0.0)
    assert_close(difference, 0.7 * torch.eye(sum(adaptation.sizes), dtype=torch.float64))


class Quadratic:
    """Loss ½ xᵀ A x - bᵀ x, KL ½ ‖x - x0‖²_F with F = A: the natural gradient is Newton's."""

    def __init__(self, kl_factor: float = 1.0) -> None:
        self.a, self.b, self.x0 = positive_definite(4), draw(1, 4), draw(2, 4)
        self.kl_factor = kl_factor
        self.tried: list[Tensor] = []

    def at(self, x: Tensor) -> Candidate:
        self.tried.append(x)
        move = x - self.x0
        loss = 0.5 * x @ self.a @ x - self.b @ x
        kl = 0.5 * self.kl_factor * move @ self.a @ move
        return Candidate(loss.item(), kl.item())

    def step(self, max_kl: float, *, uphill: bool = False) -> Step:
        gradient = self.a @ self.x0 - self.b
        start = self.at(self.x0)
        self.tried.clear()
        return trust_region_step(
            self.x0,
            start,
            -gradient if uphill else gradient,
            lambda v: self.a @ v,
            self.at,
            TrustRegion(max_kl=max_kl, cg_iterations=20),
        )


def test_the_full_step_reaches_the_edge_of_the_region() -> None:
    """Golden: with a KL that is ½ xᵀ F x exactly, the first step has KL = δ."""
    quadratic = Quadratic()
    before = quadratic.at(quadratic.x0)
    step = quadratic.step(max_kl=0.0099)
    assert (step.accepted, step.backtracks) in [(True, 0), (True, 1)]  # KL = δ up to rounding
    assert quadratic.at(quadratic.tried[0]).kl == pytest.approx(0.0099, rel=1e-9)
    assert step.candidate.loss < before.loss
    assert step.candidate.kl <= 0.0099
    assert step.candidate == quadratic.at(step.parameters)


def test_the_direction_is_the_natural_gradient() -> None:
    quadratic = Quadratic()
    move = quadratic.step(max_kl=0.01).parameters - quadratic.x0
    newton = torch.linalg.solve(quadratic.a, quadratic.b) - quadratic.x0
    assert_close(move / move.norm(), newton / newton.norm(), rtol=1e-6, atol=1e-8)


def test_backtracks_while_the_kl_is_too_large() -> None:
    """Golden: a KL twice the estimate needs a step below sqrt(1/2) = 0.707 of the full one, and
    0.8² = 0.64 is the first such power."""
    step = Quadratic(kl_factor=2.0).step(max_kl=0.01)
    assert step.accepted
    assert step.backtracks == 2
    assert step.candidate.kl == pytest.approx(0.01 * 2 * 0.64**2)


def test_backtracks_while_the_loss_rises() -> None:
    """A huge region: the full step overshoots the minimum by far."""
    quadratic = Quadratic()
    step = quadratic.step(max_kl=1e3)
    assert step.accepted
    assert step.backtracks > 0
    assert (
        quadratic.at(quadratic.tried[step.backtracks - 1]).loss >= quadratic.at(quadratic.x0).loss
    )


@pytest.mark.parametrize("case", ["uphill", "kl", "nan"])
def test_gives_up_where_nothing_helps(case: str) -> None:
    quadratic = Quadratic(kl_factor={"uphill": 1.0, "kl": 1e9, "nan": float("nan")}[case])
    before = quadratic.at(quadratic.x0)
    step = quadratic.step(max_kl=0.01, uphill=case == "uphill")
    assert not step.accepted
    assert step.parameters is quadratic.x0
    assert step.candidate.loss == before.loss
    assert len(quadratic.tried) == step.backtracks == TrustRegion().max_backtracks

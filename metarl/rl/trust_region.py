"""Trust-region step: Fisher products, conjugate gradient, backtracking on true loss and KL.

At the old parameters the Hessian of the mean KL is the Fisher matrix F = Jᵀ W J, where J is the
Jacobian of the adapted policies' distribution parameters with respect to the meta-parameters and W
the Fisher information of the action distributions (Schulman et al. 2015, appendix C). So no second
derivative of the KL through the adaptation is ever taken: :func:`fisher_product` keeps one graph of
the adaptation and goes through it twice a product. :class:`TrustRegion` is the outer step.
"""

import math
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from metarl.configs import STRICT, Count, NonNegative, Positive
from metarl.nn import ActionDistribution
from metarl.rl.estimators import TRAJECTORY_WISE
from metarl.rl.experience import Experience
from metarl.rl.losses import mean_kl
from metarl.rl.meta_problem import MetaGradient, MetaProblem, OuterStep, State
from metarl.rl.objectives import LossObjective
from metarl.types import Metrics

Product = Callable[[Tensor], Tensor]
"""A symmetric positive semi-definite matrix, given by what it does to a vector ``[P]``."""


def fisher_product(
    distribution: ActionDistribution,
    weights: Tensor,
    parameters: Sequence[Tensor],
    *,
    damping: float,
    over_processes: Callable[[Tensor], list[Tensor]] = lambda own: [own],
) -> Product:
    """Products v ↦ (F + damping) v with the mean Fisher information of the distributions.

    J v comes from the pull-back g(u) = Jᵀ u, which is linear in u: its derivative in direction v
    is J v. Both passes run over retained graphs, so a product costs two backward passes and no
    forward one.

    Args:
        distribution: adapted policies' distributions of ``[M, B]`` actions, with their graph to
            ``parameters``.
        weights: weight of every step, ``[M, B]``; the mean Fisher information is the sum over them.
        parameters: what the distributions depend on, P numbers in all.
        damping: added to the diagonal.
        over_processes: sums up what each has of its own tasks.
    """
    outputs = tuple(distribution)
    seeds = [torch.zeros_like(output, requires_grad=True) for output in outputs]
    pulled_back = torch.autograd.grad(
        outputs, parameters, seeds, create_graph=True, materialize_grads=True
    )
    metric = distribution.detach()
    sizes = [parameter.numel() for parameter in parameters]

    def product(v: Tensor) -> Tensor:
        pieces = zip(torch.split(v, sizes), parameters, strict=True)
        direction = [piece.view_as(parameter) for piece, parameter in pieces]
        tangent = torch.autograd.grad(pulled_back, seeds, direction, retain_graph=True)
        cotangent = tuple(metric.fisher_product(type(metric)(*tangent), weights))
        gradients = torch.autograd.grad(
            outputs, parameters, cotangent, retain_graph=True, materialize_grads=True
        )
        (of_all,) = over_processes(parameters_to_vector(gradients))
        return of_all + damping * v

    return product


class Solution(NamedTuple):
    """Result of :func:`conjugate_gradient`."""

    x: Tensor
    """Approximate solution of A x = b."""
    residual: Tensor
    """b - A x."""


def conjugate_gradient(
    product: Product, b: Tensor, *, iterations: int, tolerance: float = 1e-10, watched: bool = True
) -> Solution:
    """Solve A x = b for a symmetric positive definite A given by its products.

    Args:
        product: x to A x.
        b: right-hand side ``[P]``.
        iterations: most products to take.
        tolerance: stop when the squared residual falls below this share of ``b``'s square.
        watched: take no products after that. To see it is to wait for a device: without, all are
            taken, and those that are too many change nothing.

    >>> a = torch.tensor([[2.0, 0.0], [0.0, 4.0]])
    >>> conjugate_gradient(lambda x: a @ x, torch.tensor([2.0, 2.0]), iterations=2).x
    tensor([1.0000, 0.5000])
    """
    x = torch.zeros_like(b)
    residual, direction = b.clone(), b.clone()
    squared = residual.dot(residual)
    enough = tolerance * squared
    for _ in range(iterations):
        over = squared <= enough  # from then on nothing moves
        if watched and over:
            break
        image = product(direction)
        step = (squared / direction.dot(image)).masked_fill(over, 0.0)
        x = x + step * direction
        residual = residual - step * image
        previous, squared = squared, residual.dot(residual)
        direction = residual + (squared / previous).masked_fill(over, 0.0) * direction
    return Solution(x, residual)


class Candidate(NamedTuple):
    """What the line search sees of a parameter vector."""

    loss: float
    """The true objective, adaptation included."""
    kl: float
    """Mean KL from the old adapted policies."""


class Step(NamedTuple):
    """Outcome of a trust-region step."""

    parameters: Tensor
    """The accepted vector, or the old one."""
    candidate: Candidate
    """Loss and KL at ``parameters``."""
    backtracks: int
    """How often the step was shrunk."""
    accepted: bool
    """False where no step within ``max_backtracks`` was good enough."""


def trust_region_step(
    parameters: Tensor,
    start: Candidate,
    gradient: Tensor,
    product: Product,
    evaluate: Callable[[Tensor], Candidate],
    region: "TrustRegion",
) -> Step:
    """Longest natural-gradient step that lowers the true loss and keeps the true KL within δ.

    Args:
        parameters: θ ``[P]``.
        start: loss and KL at θ.
        gradient: gradient of the loss at θ ``[P]``.
        product: x to F x.
        evaluate: loss and KL at a candidate vector.
        region: constants of the step.
    """
    descent = -gradient
    direction, residual = conjugate_gradient(
        product, descent, iterations=region.cg_iterations, watched=descent.device.type == "cpu"
    )
    curvature = direction.dot(descent - residual)  # xᵀ A x, without one more product
    full = torch.sqrt(2.0 * region.max_kl / curvature.clamp(min=1e-12)) * direction
    for backtracks in range(region.max_backtracks):
        proposal = parameters + region.backtrack_factor**backtracks * full
        candidate = evaluate(proposal)
        if candidate.loss < start.loss and candidate.kl <= region.max_kl:
            return Step(proposal, candidate, backtracks, accepted=True)
    return Step(parameters, start, region.max_backtracks, accepted=False)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrustRegion(OuterStep):
    """One :func:`trust_region_step` of the adapted policies (Finn et al. 2017, section 5.3).

    The constants are the MAML family's usual ones.
    """

    max_kl: Positive = 0.01
    """δ, in nats."""
    cg_iterations: Count = 10
    """Products for the direction."""
    cg_damping: NonNegative = 1e-5
    """Added to the diagonal of the Fisher matrix."""
    fisher_stride: Count = 9
    """The Fisher matrix is estimated on every n-th step, n raised to the next number coprime to the
    trajectories a task, so that all of them count."""
    backtrack_factor: Positive = 0.8
    """Each shrinking of the step."""
    max_backtracks: Count = 15
    """Shrinkings tried before the step is given up."""

    judged_by: ClassVar[type] = LossObjective
    step_metrics: ClassVar[tuple[str, ...]] = (
        "meta/kl",
        "meta/improvement",
        "meta/backtracks",
        "meta/accepted",
    )

    def step(self, problem: MetaProblem, meta: MetaGradient, state: State) -> tuple[Metrics, State]:
        """The longest step that is good enough, or none."""
        parameters = problem.theta.tensors()
        step = trust_region_step(
            parameters_to_vector(parameters).detach(),
            Candidate(meta.loss, 0.0),
            meta.gradient,
            self.fisher(problem),
            lambda vector: candidate(vector, problem, meta),
            self,
        )
        vector_to_parameters(step.parameters, parameters)
        improvement = meta.loss - step.candidate.loss
        values = step.candidate.kl, improvement, float(step.backtracks), float(step.accepted)
        return dict(zip(self.step_metrics, values, strict=True)), state

    def fisher(self, problem: MetaProblem) -> Product:
        """Fisher matrix of the adapted policies, on a part of the steps of all tasks at once."""
        stride = self.fisher_stride
        while math.gcd(stride, problem.chunks[0].query.num_trajectories) > 1:
            stride += 1
        stepwise = problem.objective.estimator not in TRAJECTORY_WISE
        parts = [chunk.thin(stride, supports=stepwise) for chunk in problem.chunks]
        thinned = Experience.concatenate(parts)
        (adapted,) = problem.distributions(problem.theta, thinned)
        weights = thinned.query.weights / problem.num_tasks
        return fisher_product(
            adapted,
            weights,
            problem.theta.tensors(),
            damping=self.cg_damping,
            over_processes=problem.summed,
        )


def candidate(vector: Tensor, problem: MetaProblem, meta: MetaGradient) -> Candidate:
    """True objective and KL at other meta-parameters ``[P]``, on all steps."""
    objective, theta = problem.objective, problem.theta.proposed(vector)
    theta = theta._replace(network=problem.policy.within_bounds(theta.network))
    assert isinstance(objective, LossObjective)
    losses, divergences = [], []
    with torch.no_grad():
        for chunk, old in zip(problem.chunks, meta.acting, strict=True):
            new = problem.distributions(theta, chunk, supports=objective.needs_supports, old=old)
            losses.append(objective.losses(new, old, chunk))
            divergences.append(mean_kl(new[-1], old[-1], chunk.query))
    columns = problem.rows(torch.cat(losses), torch.cat(divergences))
    return Candidate(*torch.stack([c.mean() for c in columns]).tolist())  # read at once

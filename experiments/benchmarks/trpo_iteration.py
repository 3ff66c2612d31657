"""Where the time of a ``maml-trpo`` iteration on 2-D navigation goes, and its Fisher products.

Everything as ``metarl train maml-trpo`` has it by default: 20 tasks of 20 trajectories of 100
steps. The peer of a Fisher product is the Hessian-vector product of the mean KL by double backward
through the whole adaptation. Both must agree in double precision before anything is timed.
"""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import harness
import torch
from policy_learners import make_learner
from torch import Tensor
from torch.nn.utils import parameters_to_vector

import metarl.rl.learner
import metarl.rl.trust_region
from metarl.nn import ActionDistribution
from metarl.rl import Experience, MAMLLearner, MetaProblem, TrustRegion
from metarl.rl.losses import mean_kl
from metarl.rl.trust_region import Product, fisher_product


class Stopwatch:
    """Seconds spent in functions, by label."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def timed(self, label: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time added to ``label``."""

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[label] += time.perf_counter() - start

        return wrapper


def print_breakdown(learner: MAMLLearner, iterations: int) -> None:
    """Time an iteration part by part."""
    watch, make_fisher = Stopwatch(), TrustRegion.fisher
    learner_module, step_module = metarl.rl.learner, metarl.rl.trust_region

    def timed_fisher(step: TrustRegion, problem: MetaProblem) -> Product:
        label = "Fisher products"
        return watch.timed(label, watch.timed(label, make_fisher)(step, problem))

    places = [
        (MetaProblem, "gradient", "meta-gradient"),
        (step_module, "candidate", "line search"),
        (learner.sampler, "collect", "collect"),
        (learner_module, "advantage_batch", "advantages"),
    ]
    with ExitStack() as patches:
        patches.enter_context(patch.object(TrustRegion, "fisher", timed_fisher))
        for place, name, label in places:
            timed = watch.timed(label, getattr(place, name))
            patches.enter_context(patch.object(place, name, timed))
        start = time.perf_counter()
        for _ in range(iterations):
            learner.update(learner.collect())
        whole = time.perf_counter() - start
    watch.seconds["inner steps and the rest"] = whole - watch.seconds.total()
    parts = [*watch.seconds.items(), ("iteration", whole)]
    harness.print_table(
        ("part of an iteration", "seconds", "share"),
        [[name, f"{s / iterations:.4f}", f"{s / whole:.0%}"] for name, s in parts],
    )


def adapted(learner: MAMLLearner, data: Experience) -> tuple[ActionDistribution, list[Tensor]]:
    """The adapted policies on the query, and what they depend on."""
    problem = learner.problem(data)
    (acting,) = problem.distributions(problem.theta, data)
    return acting, problem.theta.tensors()


def ours(learner: MAMLLearner, data: Experience) -> Product:
    """Fisher products as the learner takes them."""
    acting, theta = adapted(learner, data)
    weights = data.query.weights / len(data.query.weights)
    return fisher_product(acting, weights, theta, damping=0.0)


def double_backward(learner: MAMLLearner, data: Experience) -> Product:
    """Products with the Hessian of the mean KL."""
    new, theta = adapted(learner, data)
    kl = mean_kl(new, new.detach(), data.query).mean()
    slope = parameters_to_vector(torch.autograd.grad(kl, theta, create_graph=True))

    def product(v: Tensor) -> Tensor:
        products = torch.autograd.grad(slope @ v, theta, retain_graph=True)
        return parameters_to_vector(products)

    return product


def check_same(learner: MAMLLearner, data: Experience) -> None:
    """Raise unless both products agree in double precision."""
    learner.policy.double()
    exact = Experience([], [batch.map(torch.Tensor.double) for batch in data.batches], data.scores)
    vector = parameters_to_vector(learner.policy.parameters()).detach()
    mine, other = ours(learner, exact)(vector), double_backward(learner, exact)(vector)
    difference = float((mine - other).norm() / other.norm())
    if not difference < 1e-6:
        raise AssertionError(f"the products differ by a relative {difference}")
    learner.policy.float()


def main() -> None:
    """Break an iteration down, then compare the products."""
    quick = harness.quick_asked(__doc__)
    learner = make_learner("maml-trpo", "metarl/PointGoal-v0")
    step = learner.outer_step
    assert isinstance(step, TrustRegion)
    learner.update(learner.collect())
    print_breakdown(learner, 3 if quick else 20)

    full = learner.collect()
    thinned = full.thin(step.fisher_stride, supports=True)
    check_same(learner, thinned)
    count = step.cg_iterations
    vector = torch.randn(
        sum(p.numel() for p in learner.policy.parameters()),
        generator=torch.Generator().manual_seed(0),
    )

    def solve(
        make: Callable[[MAMLLearner, Experience], Product], data: Experience
    ) -> harness.Measure:
        # the graph and the products of one conjugate gradient, divided by the products
        def work() -> None:
            product = make(learner, data)
            for _ in range(count):
                product(vector)

        measure = harness.milliseconds(work)
        return lambda: measure() / count

    rows = []
    for name, data in {"fisher-product": full, "fisher-product-same-data": thinned}.items():
        mine, other = harness.alternate(
            solve(ours, thinned), solve(double_backward, data), pairs=3 if quick else 10
        )
        rows.append(
            harness.Row(
                name=name, against="double-backward", unit="milliseconds", ours=mine, theirs=other
            )
        )
    harness.report(rows)


if __name__ == "__main__":
    main()

"""How noisy a run's meta-gradient is: the tasks beyond which a larger meta-batch gains little.

    python experiments/noise_scale.py RUN ... [--tasks 256] [--trajectories E]

The gradient of M tasks is G plus noise whose square is tr(Σ) / M on average. Where both are as
large, M is the noise scale B = tr(Σ) / |G|² (McCandlish et al. 2018, "An empirical model of
large-batch training", section 2.2), here in tasks. The gradients of groups of tasks give both
without bias: the products of two groups' gradients are |G|² on average, the squares of one
|G|² + tr(Σ) / its tasks. Adam's and plain steps go by this one. A natural gradient's is measured by
the inverse Fisher matrix: tr(F⁻¹Σ) / (Gᵀ F⁻¹ G), each F⁻¹g by conjugate gradient as in training.
docs/gpu-physics.md says what follows for step sizes.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
import tyro
from torch import Tensor

import metarl
from metarl.rl.learner import MAMLLearner
from metarl.rl.trust_region import TrustRegion, conjugate_gradient


class NoiseScale(NamedTuple):
    """Of a gradient that is a mean over tasks."""

    tasks: float
    """B; infinite where no signal was found."""
    error: float
    """Its standard error, by leaving out one group after another."""


@dataclass(frozen=True)
class Options:
    """What to measure."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders of learners by gradients, at their newest checkpoints."""
    tasks: int = 256
    """In all."""
    group: int = 16
    """Tasks of a gradient."""
    trajectories: int | None = None
    """A task; those of the run by default."""


def noise_scale(products: Tensor, group: int) -> NoiseScale:
    """B from all products g_iᵀ F⁻¹ g_j of the gradients of groups.

    Args:
        products: ``[K, K]``.
        group: tasks of a gradient.

    >>> noise_scale(torch.eye(4) + 1.0, 8).tasks  # |G|² = 1, and |g|² = 2 in groups of 8
    8.0
    """
    num = len(products)
    left_out = [_scale(products, [j for j in range(num) if j != i], group) for i in range(num)]
    values = torch.tensor(left_out)
    error = ((num - 1) * values.var(correction=0)).sqrt()
    return NoiseScale(_scale(products, list(range(num)), group), float(error))


def _scale(products: Tensor, chosen: list[int], group: int) -> float:
    part = products[chosen][:, chosen].double()
    squares = part.diagonal().mean()
    signal = (part.sum() - part.trace()) / (len(part) * (len(part) - 1))
    return float(group * (squares - signal) / signal) if signal > 0 else float("inf")


def measured(learner: MAMLLearner, options: Options) -> dict[str, NoiseScale]:
    """Both noise scales on one meta-batch of the learner's policy."""
    sampler: Any = learner.sampler
    each = options.trajectories or sampler.num_trajectories
    envs = replace(sampler.env, num_envs=options.tasks * each)
    learner.sampler = sampler.over(envs, options.tasks, each)
    learner.task_chunk = options.group
    problem = learner.problem(learner.collect())
    parts = [replace(problem, chunks=[chunk]) for chunk in problem.chunks]
    gradients = torch.stack([part.gradient().gradient for part in parts])
    step = learner.outer_step
    region = step if isinstance(step, TrustRegion) else TrustRegion()
    fisher, iterations = region.fisher(problem), region.cg_iterations
    natural = [conjugate_gradient(fisher, g, iterations=iterations).x for g in gradients]
    learner.sampler.close()
    return {
        "plain": noise_scale(gradients @ gradients.T, options.group),
        "natural": noise_scale(gradients @ torch.stack(natural).T, options.group),
    }


def main(options: Options) -> None:
    """A line a run."""
    for folder in options.runs:
        learner = metarl.load_run(folder).learner
        if not isinstance(learner, MAMLLearner):
            raise SystemExit(f"{folder}: {type(learner).__name__} is no learner by gradients")
        found = measured(learner, options)
        scales = ", ".join(
            f"{name} {scale.tasks:.0f} ± {scale.error:.0f}" for name, scale in found.items()
        )
        print(f"{folder.name}, iteration {learner.iteration - 1}: {scales} tasks")


if __name__ == "__main__":
    main(tyro.cli(Options))

"""What outer steps remember, and when they stop."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from rl_samples import make_learner
from torch import Tensor
from torch.testing import assert_close

from metarl.rl import Adam, ClippedEpochs, MetaGradient, MetaProblem, OuterStep, TrustRegion


def vector(tensors: list[Tensor]) -> Tensor:
    return torch.cat([value.detach().reshape(-1) for value in tensors])


def test_adam_remembers_its_moments() -> None:
    """Three steps, as torch's optimiser takes them over the same gradients."""
    learner = make_learner("maml-vpg", outer_lr=0.01)
    by_hand = vector(learner.meta_parameters().tensors()).requires_grad_()
    optimiser = torch.optim.Adam([by_hand], lr=0.01)
    for _ in range(3):
        experience = learner.collect()
        by_hand.grad = learner.problem(experience).gradient().gradient
        optimiser.step()
        learner.update(experience)
        assert_close(vector(learner.meta_parameters().tensors()), by_hand.detach())


class Spoiling(OuterStep):
    """Counts its steps, after the second of which no gradient is finite."""

    def step(
        self, problem: MetaProblem, meta: MetaGradient, state: dict[str, Any]
    ) -> tuple[dict[str, float], dict[str, Any]]:
        count = state.get("count", 0) + 1
        if count == 2:
            with torch.no_grad():
                problem.theta.tensors()[0].fill_(float("nan"))
        return {}, {"count": count}


def test_a_gradient_that_is_not_finite_ends_the_epochs() -> None:
    """And what is reported is of the last one that was."""
    learner = make_learner("promp")
    problem = learner.problem(learner.collect())
    metrics, state = ClippedEpochs(Spoiling(), 5).step(problem, problem.gradient(), {})
    assert state == {"count": 2}
    assert metrics == {"meta/kl": 0.0, "meta/inner_kl": 0.0, "meta/clipped": 0.0}
    whole = make_learner("promp")
    problem = whole.problem(whole.collect())
    step = ClippedEpochs(Adam(), 5)
    _, kept = step.step(problem, problem.gradient(), step.init(problem.theta))
    assert {moments["step"].item() for moments in kept["state"].values()} == {5.0}


@pytest.mark.parametrize(("kl_stop", "steps"), [(1e-9, 1.0), (1e9, 5.0), (None, 5.0)])
def test_epochs_end_once_the_policies_are_far_away(kl_stop: float | None, steps: float) -> None:
    """A KL that is beyond any, and none, leave all five epochs; the first step is always taken."""
    learner = make_learner("promp", kl_stop=kl_stop)
    problem = learner.problem(learner.collect())
    assert isinstance(learner.outer_step, ClippedEpochs)
    state = learner.outer_step.init(problem.theta)
    metrics, kept = learner.outer_step.step(problem, problem.gradient(), state)
    assert {moments["step"].item() for moments in kept["state"].values()} == {steps}
    assert metrics["meta/kl"] > 1e-9


@pytest.mark.parametrize("stride", [2, 4])
def test_the_fisher_matrix_sees_all_trajectories(stride: int) -> None:
    """Of 2 a task: every second or fourth row would be of the same one."""
    learner = make_learner()
    problem = learner.problem(learner.collect())
    step = learner.outer_step
    assert isinstance(step, TrustRegion)
    direction = torch.linspace(-1, 1, len(vector(problem.theta.tensors())))
    raised, next_one, other = (
        replace(step, fisher_stride=s).fisher(problem)(direction)
        for s in (stride, stride + 1, stride + 3)
    )
    assert torch.equal(raised, next_one)
    assert not torch.equal(raised, other)

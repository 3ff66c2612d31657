"""Later epochs of ProMP: what adaptation sees counts by its ratio to the policy that sampled."""

import pytest
import torch
from rl_samples import in_double, make_learner
from torch import Tensor
from torch.testing import assert_close

from metarl.core import expand, parameters_of
from metarl.rl import Experience, MAMLLearner
from metarl.rl.estimators import INNER_LOSSES, Estimator
from metarl.rl.meta_problem import Acting
from metarl.rl.trust_region import candidate

LR, STEPS, CLIP, INNER_KL = 0.1, 2, 0.3, 0.02


def after_an_epoch(**options: object) -> tuple[MAMLLearner, Experience, Acting]:
    """A learner whose parameters have moved since the experience, and the policies that acted."""
    numbers = {"inner_kl": INNER_KL, "inner_lr": LR, "num_inner_steps": STEPS, **options}
    learner = make_learner("promp", **numbers)
    experience = in_double(learner)
    old = learner.problem(experience).gradient().acting
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for value in learner.meta_parameters().tensors():
            value += 0.1 * torch.randn(value.shape, generator=generator, dtype=torch.float64)
    return learner, experience, old


def loop_gradient(learner: MAMLLearner, experience: Experience, old: Acting) -> Tensor:
    """The same meta-gradient task by task, written out."""
    parameters = parameters_of(learner.policy)
    total = torch.zeros((), dtype=torch.float64)
    for m in range(3):
        task = experience.tasks(slice(m, m + 1))
        before = [type(one)(*(v if len(v) == 1 else v[m : m + 1] for v in one)) for one in old[0]]
        params, divergence = expand(parameters, 1), 0.0
        for k, support in enumerate(task.supports):
            acting = learner.policy.distribution(params, support.observations)
            ratios = (acting.log_prob(support.actions) - before[k].log_prob(support.actions)).exp()
            loss = -(ratios * support.advantages * support.weights).sum()
            slopes = torch.autograd.grad(loss, list(params.values()), create_graph=True)
            divergence = divergence + (acting.kl_from(before[k]) * support.weights).sum() / STEPS
            params = {n: v - LR * g for (n, v), g in zip(params.items(), slopes, strict=True)}
        query = task.query
        acting = learner.policy.distribution(params, query.observations)
        ratios = (acting.log_prob(query.actions) - before[-1].log_prob(query.actions)).exp()
        clipped = ratios.clamp(1 - CLIP, 1 + CLIP)
        gain = torch.minimum(ratios * query.advantages, clipped * query.advantages)
        total = total - (gain * query.weights).sum() / 3 + INNER_KL * divergence / 3
    gradients = torch.autograd.grad(total, list(parameters.values()))
    return torch.cat([gradient.flatten() for gradient in gradients])


def test_later_epochs_are_a_loop_over_tasks() -> None:
    learner, experience, old = after_an_epoch()
    gradient = learner.problem(experience).gradient(old).gradient
    assert_close(gradient, loop_gradient(learner, experience, old), rtol=1e-9, atol=1e-12)


def test_without_the_option_adaptation_takes_the_samples_for_its_own() -> None:
    learner, experience, old = after_an_epoch(inner_importance_weights=False)
    gradient = learner.problem(experience).gradient(old).gradient
    weighted = loop_gradient(learner, experience, old)
    assert (gradient - weighted).norm() > 1e-3 * weighted.norm()


def test_the_first_epoch_has_no_ratios() -> None:
    gradients = []
    for option in (True, False):
        learner = make_learner("promp", inner_importance_weights=option)
        gradients.append(learner.problem(in_double(learner)).gradient().gradient)
    assert torch.equal(*gradients)


def test_line_searches_weigh_as_gradients_do() -> None:
    learner, experience, old = after_an_epoch()
    problem = learner.problem(experience)
    meta = problem.gradient(old)
    vector = torch.cat([value.detach().flatten() for value in problem.theta.tensors()])
    assert candidate(vector, problem, meta._replace(acting=old)).loss == pytest.approx(meta.loss)


@pytest.mark.parametrize("estimator", INNER_LOSSES)
def test_at_the_policy_that_sampled_ratios_change_nothing(estimator: Estimator) -> None:
    generator = torch.Generator().manual_seed(0)
    log_probs, signal, weights = torch.randn(3, 2, 4, 3, generator=generator, dtype=torch.float64)
    loss, theta = INNER_LOSSES[estimator], log_probs.requires_grad_()
    both = [loss(theta, signal, weights), loss(theta, signal, weights, theta.detach())]
    slopes = [torch.autograd.grad(one.sum(), theta, create_graph=True)[0] for one in both]
    assert_close(both[0], both[1])
    assert_close(slopes[0], slopes[1])
    if estimator in ("lvc", "dice", "loaded-dice"):
        curved = [
            torch.autograd.grad(s.square().sum(), theta, retain_graph=True)[0] for s in slopes
        ]
        assert_close(curved[0], curved[1])

"""Meta-gradient estimators on an MDP of which every trajectory is enumerated, in float64.

Two states, two actions, horizon 2: 16 trajectories (s0, a0, s1, a1). Whatever is averaged over them
with their probabilities is an expectation, and derivatives of the return are exact by autograd.
"""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from metarl.core import inner_step
from metarl.rl.estimators import INNER_LOSSES, sampling_credit

LR = 0.7
DISCOUNT = 0.9
STATES = torch.tensor([[s0, s1] for s0 in (0, 1) for _ in (0, 1) for s1 in (0, 1) for _ in (0, 1)])
ACTIONS = torch.tensor([[a0, a1] for _ in (0, 1) for a0 in (0, 1) for _ in (0, 1) for a1 in (0, 1)])
START = torch.tensor([0.4, 0.6], dtype=torch.float64)
MOVES = torch.tensor([[[0.8, 0.2], [0.3, 0.7]], [[0.5, 0.5], [0.1, 0.9]]], dtype=torch.float64)
REWARDS = torch.tensor([[1.0, -0.5], [0.3, 2.0]], dtype=torch.float64)  # of (s, a)
LOGITS = torch.tensor([[0.2, -0.4], [0.9, 0.1]], dtype=torch.float64)
ESTIMATORS = list(INNER_LOSSES)


class Steps(NamedTuple):
    """What a loss consumes, ``[M, 2, E]`` each."""

    states: Tensor
    actions: Tensor
    signal: Tensor
    weights: Tensor


def log_probs(logits, states, actions):
    """log π of steps ``[M, T, E]`` by logits ``[M, 2, 2]``."""
    table = torch.log_softmax(logits, -1)
    return torch.stack([row[s, a] for row, s, a in zip(table, states, actions, strict=True)])


def probabilities(logits):
    """Of the 16 trajectories by logits ``[2, 2]``."""
    policy = torch.softmax(logits, -1)
    (s0, s1), (a0, a1) = STATES.T, ACTIONS.T
    return START[s0] * policy[s0, a0] * MOVES[s0, a0, s1] * policy[s1, a1]


def rewards():
    """γ^t r_t of the 16 trajectories, ``[2, 16]``."""
    powers = torch.tensor([1.0, DISCOUNT], dtype=torch.float64)
    return powers[:, None] * REWARDS[STATES.T, ACTIONS.T]


def expected_return(logits):
    return (probabilities(logits) * rewards().sum(0)).sum()


def signal_of(estimator, baseline):
    """Rewards for dice; for others what follows a step, minus a baseline of the state and time."""
    per_step = rewards()
    if estimator == "dice":
        return per_step
    to_go = per_step.flip(0).cumsum(0).flip(0)
    states = STATES.T.double()
    return to_go - baseline * torch.stack([1.0 + 2.0 * states[0], 0.4 - states[1]])


def loss_of(estimator):
    def loss(params, steps):
        taken = log_probs(params["logits"], steps.states, steps.actions)
        return INNER_LOSSES[estimator](taken, steps.signal, steps.weights)

    return loss


def all_at_once(estimator, baseline):
    """One task that sees every trajectory with its probability."""
    weights = probabilities(LOGITS).expand(2, 16)
    one = (STATES.T, ACTIONS.T, signal_of(estimator, baseline), weights)
    return Steps(*(value[None] for value in one))


def one_each(estimator):
    """Sixteen tasks, each of which sees one trajectory."""
    signal = signal_of(estimator, 0.0)
    values = (STATES.T, ACTIONS.T, signal, torch.ones_like(signal))
    return Steps(*(value.T[:, :, None] for value in values))


def adapted(theta, steps, estimator):
    params = inner_step(
        loss_of(estimator),
        {"logits": theta.expand(len(steps.states), 2, 2)},
        steps,
        lr=LR,
        first_order=estimator == "first-order",
    )
    return params["logits"]


def exact_maml_gradient():
    """Of J(θ + α ∇J(θ))."""
    theta = LOGITS.clone().requires_grad_()
    (ascent,) = torch.autograd.grad(expected_return(theta), theta, create_graph=True)
    (gradient,) = torch.autograd.grad(expected_return(theta + LR * ascent), theta)
    return gradient


def exact_emaml_gradient():
    """Of E_τ[J(θ + α Σ_t A_t ∇log π(a_t|s_t))], the trajectory's probability included."""
    theta = LOGITS.clone().requires_grad_()
    after = adapted(theta, one_each("log-likelihood"), "log-likelihood")
    outcomes = torch.stack([expected_return(logits) for logits in after])
    (gradient,) = torch.autograd.grad((probabilities(theta) * outcomes).sum(), theta)
    return gradient


def maml_gradient(estimator, baseline=0.0):
    """Mean of the estimator over all trajectories, as an estimate of J(θ + α ∇J(θ))'s gradient."""
    theta = LOGITS.clone().requires_grad_()
    after = adapted(theta, all_at_once(estimator, baseline), estimator)
    (gradient,) = torch.autograd.grad(expected_return(after[0]), theta)
    return gradient


def emaml_gradient(estimator, *, credit):
    """Mean over all trajectories of estimates that see one each."""
    theta = LOGITS.clone().requires_grad_()
    steps = one_each(estimator)
    after = adapted(theta, steps, estimator)
    outcomes = torch.stack([expected_return(logits) for logits in after])
    losses = -outcomes
    if credit:
        taken = log_probs(theta.expand(16, 2, 2), steps.states, steps.actions)
        scores = outcomes.detach() - 0.3  # any constant may be subtracted
        losses = losses + sampling_credit(taken, scores, torch.ones_like(taken))
    (gradient,) = torch.autograd.grad((probabilities(LOGITS) * -losses).sum(), theta)
    return gradient


def distance(gradient, exact):
    """Relative to the exact one."""
    return float((gradient - exact).norm() / exact.norm())


def test_the_enumeration_is_complete():
    assert probabilities(LOGITS).sum().item() == pytest.approx(1.0, abs=1e-12)
    assert len(torch.unique(torch.cat([STATES, ACTIONS], 1), dim=0)) == 16


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_inner_step_follows_the_policy_gradient(estimator):
    theta = LOGITS.clone().requires_grad_()
    (ascent,) = torch.autograd.grad(expected_return(theta), theta)
    for baseline in (0.0, 1.0):
        after = adapted(LOGITS, all_at_once(estimator, baseline), estimator)[0]
        torch.testing.assert_close(after, LOGITS + LR * ascent, rtol=0, atol=1e-12)


@pytest.mark.parametrize("estimator", ["dice", "loaded-dice"])
@pytest.mark.parametrize("baseline", [0.0, 1.0])
def test_unbiased_for_maml(estimator, baseline):
    assert distance(maml_gradient(estimator, baseline), exact_maml_gradient()) < 1e-8


def test_log_likelihood_with_credit_is_unbiased_for_emaml():
    gradient = emaml_gradient("log-likelihood", credit=True)
    assert distance(gradient, exact_emaml_gradient()) < 1e-8


def test_exact_gradients_are_finite_differences():
    def maml(logits):
        theta = logits.clone().requires_grad_()
        (ascent,) = torch.autograd.grad(expected_return(theta), theta)
        return expected_return(logits + LR * ascent)

    def emaml(logits):
        after = adapted(logits, one_each("log-likelihood"), "log-likelihood").detach()
        outcomes = torch.stack([expected_return(one) for one in after])
        return (probabilities(logits) * outcomes).sum()

    for objective, exact in [(maml, exact_maml_gradient()), (emaml, exact_emaml_gradient())]:
        for place in torch.eye(4, dtype=torch.float64).reshape(4, 2, 2):
            step = 1e-5 * place
            slope = (objective(LOGITS + step) - objective(LOGITS - step)) / 2e-5
            assert float(slope) == pytest.approx(float((exact * place).sum()), abs=1e-8)


# the figures in the estimators' docstrings
BIAS_FOR_MAML = {"first-order": 0.195, "log-likelihood": 0.476, "lvc": 0.028}
BIAS_FOR_EMAML = {"first-order": 0.251, "lvc": 0.349, "dice": 0.253, "loaded-dice": 0.253}


@pytest.mark.parametrize(("estimator", "bias"), BIAS_FOR_MAML.items())
def test_bias_for_maml(estimator, bias):
    distance_to = distance(maml_gradient(estimator), exact_maml_gradient())
    assert distance_to == pytest.approx(bias, abs=5e-4)


@pytest.mark.parametrize(("estimator", "bias"), BIAS_FOR_EMAML.items())
def test_bias_for_emaml(estimator, bias):
    gradient = emaml_gradient(estimator, credit=True)
    assert distance(gradient, exact_emaml_gradient()) == pytest.approx(bias, abs=5e-4)


def test_bias_for_emaml_without_the_credit():
    gradient = emaml_gradient("log-likelihood", credit=False)
    assert distance(gradient, exact_emaml_gradient()) == pytest.approx(0.425, abs=5e-4)

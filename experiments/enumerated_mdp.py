"""An MDP of which every trajectory is enumerated: exact meta-gradients, estimates, their spread.

Two states, two actions, horizon 2: 16 trajectories (s0, a0, s1, a1), in float64. Whatever is
averaged over them with their probabilities is an expectation, and derivatives of the return are
exact by autograd. ``tests/rl/test_estimators.py`` and ``estimators.py`` share it.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from metarl.core import SGD, adapt
from metarl.rl.estimators import INNER_LOSSES, Estimator, sampling_credit
from metarl.types import LossFn, Params

LR = 0.7
DISCOUNT = 0.9
STATES = torch.tensor([[s0, s1] for s0 in (0, 1) for _ in (0, 1) for s1 in (0, 1) for _ in (0, 1)])
ACTIONS = torch.tensor([[a0, a1] for _ in (0, 1) for a0 in (0, 1) for _ in (0, 1) for a1 in (0, 1)])
START = torch.tensor([0.4, 0.6], dtype=torch.float64)
MOVES = torch.tensor([[[0.8, 0.2], [0.3, 0.7]], [[0.5, 0.5], [0.1, 0.9]]], dtype=torch.float64)
REWARDS = torch.tensor([[1.0, -0.5], [0.3, 2.0]], dtype=torch.float64)  # of (s, a)
LOGITS = torch.tensor([[0.2, -0.4], [0.9, 0.1]], dtype=torch.float64)
BASELINE = 0.3
"""Subtracted from outcomes by the sampling credit; any constant may be."""


class Steps(NamedTuple):
    """What a loss consumes, ``[M, 2, E]`` each."""

    states: Tensor
    actions: Tensor
    signal: Tensor
    weights: Tensor


def log_probs(logits: Tensor, states: Tensor, actions: Tensor) -> Tensor:
    """Log π of steps ``[M, T, E]`` by logits ``[M, 2, 2]``."""
    table = torch.log_softmax(logits, -1)
    return torch.stack([row[s, a] for row, s, a in zip(table, states, actions, strict=True)])


def probabilities(logits: Tensor) -> Tensor:
    """Of the 16 trajectories by logits ``[2, 2]``."""
    policy = torch.softmax(logits, -1)
    (s0, s1), (a0, a1) = STATES.T, ACTIONS.T
    return START[s0] * policy[s0, a0] * MOVES[s0, a0, s1] * policy[s1, a1]


def rewards() -> Tensor:
    """γ^t r_t of the 16 trajectories, ``[2, 16]``."""
    powers = torch.tensor([1.0, DISCOUNT], dtype=torch.float64)
    return powers[:, None] * REWARDS[STATES.T, ACTIONS.T]


def expected_return(logits: Tensor) -> Tensor:
    """J of logits ``[2, 2]``."""
    return (probabilities(logits) * rewards().sum(0)).sum()


def values() -> Tensor:
    """Expected γ^t-discounted reward that follows each step's state, ``[2, 16]``."""
    policy = torch.softmax(LOGITS, -1)
    last = DISCOUNT * (policy * REWARDS).sum(-1)  # [s1]
    first = (policy * (REWARDS + MOVES @ last)).sum(-1)  # [s0]
    return torch.stack([first[STATES[:, 0]], last[STATES[:, 1]]])


def signal_of(estimator: Estimator, baseline: float) -> Tensor:
    """Rewards for dice; for others what follows a step, minus a share of the state's value."""
    per_step = rewards()
    if estimator == "dice":
        return per_step
    to_go = per_step.flip(0).cumsum(0).flip(0)
    return to_go - baseline * values()


def loss_of(estimator: Estimator) -> LossFn[Steps]:
    """The inner loss of the tabular policy."""

    def loss(params: Params, steps: Steps) -> Tensor:
        taken = log_probs(params["logits"], steps.states, steps.actions)
        return INNER_LOSSES[estimator](taken, steps.signal, steps.weights)

    return loss


def all_at_once(estimator: Estimator, baseline: float) -> Steps:
    """One task that sees every trajectory with its probability."""
    weights = probabilities(LOGITS).expand(2, 16)
    one = (STATES.T, ACTIONS.T, signal_of(estimator, baseline), weights)
    return Steps(*(value[None] for value in one))


def one_each(estimator: Estimator) -> Steps:
    """Sixteen tasks, each of which sees one trajectory."""
    signal = signal_of(estimator, 0.0)
    values = (STATES.T, ACTIONS.T, signal, torch.ones_like(signal))
    return Steps(*(value.T[:, :, None] for value in values))


def adapted(theta: Tensor, steps: Steps, estimator: Estimator) -> Tensor:
    """Logits ``[M, 2, 2]`` after one inner step from ``[2, 2]``."""
    rule = SGD(LR, first_order=estimator == "first-order")
    start = {"logits": theta.expand(len(steps.states), 2, 2)}
    params = adapt(rule, loss_of(estimator), start, [steps])
    return params["logits"]


def exact_maml_gradient() -> Tensor:
    """Of J(θ + α ∇J(θ))."""
    theta = LOGITS.clone().requires_grad_()
    (ascent,) = torch.autograd.grad(expected_return(theta), theta, create_graph=True)
    (gradient,) = torch.autograd.grad(expected_return(theta + LR * ascent), theta)
    return gradient


def exact_emaml_gradient() -> Tensor:
    """Of E_τ[J(θ + α Σ_t A_t ∇log π(a_t|s_t))], the trajectory's probability included."""
    theta = LOGITS.clone().requires_grad_()
    after = adapted(theta, one_each("log-likelihood"), "log-likelihood")
    outcomes = torch.stack([expected_return(logits) for logits in after])
    (gradient,) = torch.autograd.grad((probabilities(theta) * outcomes).sum(), theta)
    return gradient


def maml_gradient(estimator: Estimator, baseline: float = 0.0) -> Tensor:
    """Mean of the estimator over all trajectories, as an estimate of J(θ + α ∇J(θ))'s gradient."""
    theta = LOGITS.clone().requires_grad_()
    after = adapted(theta, all_at_once(estimator, baseline), estimator)
    (gradient,) = torch.autograd.grad(expected_return(after[0]), theta)
    return gradient


def emaml_gradient(estimator: Estimator, *, credit: bool) -> Tensor:
    """Mean over all trajectories of estimates that see one each."""
    theta = LOGITS.clone().requires_grad_()
    steps = one_each(estimator)
    after = adapted(theta, steps, estimator)
    outcomes = torch.stack([expected_return(logits) for logits in after])
    losses = -outcomes
    if credit:
        taken = log_probs(theta.expand(16, 2, 2), steps.states, steps.actions)
        scores = outcomes.detach() - BASELINE
        losses = losses + sampling_credit(taken, scores, torch.ones_like(taken))
    (gradient,) = torch.autograd.grad((probabilities(LOGITS) * -losses).sum(), theta)
    return gradient


def maml_spread(estimator: Estimator, baseline: float) -> float:
    """Standard deviation of one trajectory's estimate of MAML's gradient, its four numbers' norm.

    The adapted policy is the exact one; what is estimated is the derivative of the step.
    """
    theta = LOGITS.clone().requires_grad_()
    steps = all_at_once(estimator, baseline)
    after = adapted(LOGITS, steps, estimator)[0].detach().requires_grad_()
    (slope,) = torch.autograd.grad(expected_return(after), after)
    estimates = []
    for i in range(16):
        one = Steps(*(value[:, :, i : i + 1] for value in steps))._replace(
            weights=torch.ones(1, 2, 1, dtype=torch.float64)
        )
        if estimator == "first-order":
            estimates.append(slope)
            continue
        loss = loss_of(estimator)({"logits": theta[None]}, one).sum()
        (gradient,) = torch.autograd.grad(loss, theta, create_graph=True)
        (curvature,) = torch.autograd.grad((gradient * slope).sum(), theta)
        estimates.append(slope - LR * curvature)
    return _spread(torch.stack(estimates))


def emaml_spread(estimator: Estimator, *, credit: bool) -> float:
    """Standard deviation of one trajectory's estimate of E-MAML's gradient, its numbers' norm."""
    estimates = []
    for i in range(16):
        theta = LOGITS.clone().requires_grad_()
        steps = Steps(*(value[i : i + 1] for value in one_each(estimator)))
        after = adapted(theta, steps, estimator)
        outcome = expected_return(after[0])
        total = outcome
        if credit:
            taken = log_probs(theta[None], steps.states, steps.actions)
            scores = (outcome.detach() - BASELINE)[None]
            total = total - sampling_credit(taken, scores, torch.ones_like(taken)).sum()
        estimates.append(torch.autograd.grad(total, theta)[0])
    return _spread(torch.stack(estimates))


def _spread(estimates: Tensor) -> float:
    weights = probabilities(LOGITS)[:, None, None]
    centred = estimates - (weights * estimates).sum(0)
    return float((weights * centred.square()).sum().sqrt())


def distance(gradient: Tensor, exact: Tensor) -> float:
    """Of a gradient from the exact one, relative to that one's length."""
    return float((gradient - exact).norm() / exact.norm())

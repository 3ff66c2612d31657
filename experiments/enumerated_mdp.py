"""MDPs of which every trajectory is enumerated: exact meta-gradients, estimates, their spread.

Two states and two actions, in float64. One has two steps always; one has up to three, and ends
before with a probability that depends on state and action; one has one step.
Whatever is averaged over the trajectories with their probabilities is an expectation, and
derivatives of the return are exact by autograd. ``tests/rl`` and ``estimators.py`` share them.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from metarl.core import SGD, adapt
from metarl.rl.estimators import INNER_LOSSES, Estimator, sampling_credit
from metarl.types import LossFn, Params

LR = 0.7
DISCOUNT = 0.9
BASELINE = 0.3
"""Subtracted from outcomes by the sampling credit; any constant may be."""


def doubles(*values: object) -> Tensor:
    """A tensor of double precision."""
    return torch.tensor(values, dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class MDP:
    """A task, the policy that acts in it, and all its trajectories."""

    start: Tensor
    """Probabilities of the first state, ``[S]``."""
    moves: Tensor
    """Of the next state, ``[S, A, S]``; what they lack of 1 is that of an end."""
    step_rewards: Tensor
    """Of state and action, ``[S, A]``."""
    horizon: int
    """T, most steps of a trajectory."""
    logits: Tensor
    """Of the policy, ``[S, A]``."""
    discount: float = DISCOUNT
    """γ."""

    @cached_property
    def steps(self) -> tuple[Tensor, Tensor, Tensor]:
        """States, actions and the mask of real steps of all N trajectories, ``[T, N]`` each."""
        states, actions = (range(n) for n in self.step_rewards.shape)
        going: list[list[tuple[int, int]]] = [[]]
        whole = []
        for _ in range(self.horizon):
            going = [[*path, (s, a)] for path in going for s in states for a in actions]
            whole += going
        mask = torch.tensor([[t < len(path) for path in whole] for t in range(self.horizon)])
        padded = [path + [(0, 0)] * (self.horizon - len(path)) for path in whole]
        table = torch.tensor(padded)  # [N, T, 2]
        return table[..., 0].T, table[..., 1].T, mask

    def log_probs(self, logits: Tensor) -> Tensor:
        """Log π of all steps by logits ``[..., S, A]``; 0 in padding. ``[..., T, N]``."""
        states, actions, mask = self.steps
        return torch.log_softmax(logits, -1)[..., states, actions] * mask

    @cached_property
    def dynamics(self) -> Tensor:
        """The environment's part of every trajectory's probability, ``[N]``."""
        states, actions, mask = self.steps
        ends = (1.0 - self.moves.sum(-1)).clamp(min=0.0)
        total = self.start[states[0]]
        for t in range(self.horizon - 1):
            now = states[t], actions[t]
            onward = self.moves[(*now, states[t + 1])]
            factor = torch.where(mask[t + 1], onward, ends[now])
            total = total * torch.where(mask[t], factor, 1.0)
        return total

    def probabilities(self, logits: Tensor) -> Tensor:
        """Of the trajectories by logits ``[..., S, A]``, ``[..., N]``."""
        return self.dynamics * self.log_probs(logits).sum(-2).exp()

    @cached_property
    def rewards(self) -> Tensor:
        """γ^t r_t of the trajectories, 0 in padding, ``[T, N]``."""
        states, actions, mask = self.steps
        powers = self.discount ** torch.arange(self.horizon, dtype=torch.float64)
        return powers[:, None] * self.step_rewards[states, actions] * mask

    def expected_return(self, logits: Tensor) -> Tensor:
        """J of logits ``[..., S, A]``, ``[...]``."""
        return self.probabilities(logits) @ self.rewards.sum(0)

    @cached_property
    def values(self) -> Tensor:
        """Expected γ^t-discounted reward that follows each step's state, ``[T, N]``."""
        policy = torch.softmax(self.logits, -1)
        following, values = torch.zeros_like(self.start), []
        for t in reversed(range(self.horizon)):
            gains = self.discount**t * self.step_rewards + self.moves @ following
            following = (policy * gains).sum(-1)
            values.append(following[self.steps[0][t]])
        return torch.stack(values[::-1]) * self.steps[2]


FIXED = MDP(
    start=doubles(0.4, 0.6),
    moves=doubles([[0.8, 0.2], [0.3, 0.7]], [[0.5, 0.5], [0.1, 0.9]]),
    step_rewards=doubles([1.0, -0.5], [0.3, 2.0]),
    horizon=2,
    logits=doubles([0.2, -0.4], [0.9, 0.1]),
)
"""Two steps, always."""
ENDING = MDP(
    start=doubles(0.4, 0.6),
    moves=doubles([[0.7, 0.2], [0.1, 0.2]], [[0.5, 0.5], [0.0, 0.3]]),
    step_rewards=FIXED.step_rewards,
    horizon=3,
    logits=FIXED.logits,
)
"""Up to three steps: the second action mostly ends the trajectory, the first seldom."""
ONE_STEP = MDP(
    start=FIXED.start,
    moves=torch.zeros(2, 2, 2, dtype=torch.float64),
    step_rewards=FIXED.step_rewards,
    horizon=1,
    logits=FIXED.logits,
)
"""A contextual bandit."""


class Steps(NamedTuple):
    """What a loss consumes of M tasks: columns of trajectories, and ``[M, T, E]`` each."""

    columns: Tensor
    """Numbers of the trajectories, ``[M, E]``."""
    signal: Tensor
    weights: Tensor


def signal_of(mdp: MDP, estimator: Estimator, baseline: float) -> Tensor:
    """Rewards for dice; for others what follows a step, minus a share of the state's value."""
    if estimator == "dice":
        return mdp.rewards
    to_go = mdp.rewards.flip(0).cumsum(0).flip(0)
    return to_go - baseline * mdp.values


def loss_of(mdp: MDP, estimator: Estimator) -> LossFn[Steps]:
    """The inner loss of the tabular policy."""

    def loss(params: Params, steps: Steps) -> Tensor:
        taken = mdp.log_probs(params["logits"])
        columns = steps.columns[:, None].expand(-1, mdp.horizon, -1)
        return INNER_LOSSES[estimator](taken.gather(2, columns), steps.signal, steps.weights)

    return loss


def all_at_once(mdp: MDP, estimator: Estimator, baseline: float) -> Steps:
    """One task that sees every trajectory with its probability."""
    weights = mdp.probabilities(mdp.logits) * mdp.steps[2]
    columns = torch.arange(weights.shape[1])[None]
    return Steps(columns, signal_of(mdp, estimator, baseline)[None], weights[None])


def one_each(mdp: MDP, estimator: Estimator, baseline: float = 0.0) -> Steps:
    """N tasks, each of which sees one trajectory."""
    signal = signal_of(mdp, estimator, baseline)
    columns = torch.arange(signal.shape[1])[:, None]
    return Steps(columns, signal.T[..., None], mdp.steps[2].double().T[..., None])


def adapted(mdp: MDP, theta: Tensor, steps: Steps, estimator: Estimator) -> Tensor:
    """Logits ``[M, S, A]`` after one inner step from ``[S, A]``."""
    rule = SGD(LR, first_order=estimator == "first-order")
    start = {"logits": theta.expand(len(steps.columns), *theta.shape)}
    return adapt(rule, loss_of(mdp, estimator), start, [steps])["logits"]


def exact_maml_gradient(mdp: MDP) -> Tensor:
    """Of J(θ + α ∇J(θ))."""
    theta = mdp.logits.clone().requires_grad_()
    (ascent,) = torch.autograd.grad(mdp.expected_return(theta), theta, create_graph=True)
    (gradient,) = torch.autograd.grad(mdp.expected_return(theta + LR * ascent), theta)
    return gradient


def exact_emaml_gradient(mdp: MDP) -> Tensor:
    """Of E_τ[J(θ + α Σ_t A_t ∇log π(a_t|s_t))], the trajectory's probability included."""
    theta = mdp.logits.clone().requires_grad_()
    after = adapted(mdp, theta, one_each(mdp, "log-likelihood"), "log-likelihood")
    outcome = mdp.probabilities(theta) @ mdp.expected_return(after)
    return torch.autograd.grad(outcome, theta)[0]


def maml_gradient(mdp: MDP, estimator: Estimator, baseline: float = 0.0) -> Tensor:
    """Mean of the estimator over all trajectories, as an estimate of J(θ + α ∇J(θ))'s gradient."""
    theta = mdp.logits.clone().requires_grad_()
    after = adapted(mdp, theta, all_at_once(mdp, estimator, baseline), estimator)
    return torch.autograd.grad(mdp.expected_return(after[0]), theta)[0]


def _emaml_gains(mdp: MDP, theta: Tensor, estimator: Estimator, *, credit: bool) -> Tensor:
    """What each trajectory's estimate of E-MAML's gradient is the derivative of, ``[N]``."""
    steps = one_each(mdp, estimator)
    gains = mdp.expected_return(adapted(mdp, theta, steps, estimator))
    if not credit:
        return gains
    taken = mdp.log_probs(theta).T[..., None]
    return gains - sampling_credit(taken, gains.detach() - BASELINE, steps.weights)


def emaml_gradient(mdp: MDP, estimator: Estimator, *, credit: bool) -> Tensor:
    """Mean over all trajectories of estimates that see one each."""
    theta = mdp.logits.clone().requires_grad_()
    gains = _emaml_gains(mdp, theta, estimator, credit=credit)
    mean = (mdp.probabilities(mdp.logits) * gains).sum()
    return torch.autograd.grad(mean, theta)[0]


def maml_estimates(mdp: MDP, estimator: Estimator, baseline: float) -> Tensor:
    """What one trajectory makes of MAML's gradient, of each of them, ``[N, S, A]``.

    The adapted policy is the exact one; what is estimated is the derivative of the step.
    """
    theta = mdp.logits.clone().requires_grad_()
    whole = all_at_once(mdp, estimator, baseline)
    after = adapted(mdp, mdp.logits, whole, estimator)[0].detach().requires_grad_()
    (slope,) = torch.autograd.grad(mdp.expected_return(after), after)
    steps = one_each(mdp, estimator, baseline)
    if estimator == "first-order":
        return slope.expand(len(steps.columns), -1, -1)
    params = {"logits": theta.expand(len(steps.columns), -1, -1)}
    losses = loss_of(mdp, estimator)(params, steps)
    estimates = []
    for loss in losses:
        (gradient,) = torch.autograd.grad(loss, theta, create_graph=True)
        (curvature,) = torch.autograd.grad((gradient * slope).sum(), theta, retain_graph=True)
        estimates.append(slope - LR * curvature)
    return torch.stack(estimates)


def maml_spread(mdp: MDP, estimator: Estimator, baseline: float) -> float:
    """Standard deviation of :func:`maml_estimates`, its numbers' norm."""
    return _spread(mdp, maml_estimates(mdp, estimator, baseline))


def emaml_spread(mdp: MDP, estimator: Estimator, *, credit: bool) -> float:
    """Standard deviation of one trajectory's estimate of E-MAML's gradient, its numbers' norm."""
    theta = mdp.logits.clone().requires_grad_()
    gains = _emaml_gains(mdp, theta, estimator, credit=credit)
    estimates = [torch.autograd.grad(gain, theta, retain_graph=True)[0] for gain in gains]
    return _spread(mdp, torch.stack(estimates))


def _spread(mdp: MDP, estimates: Tensor) -> float:
    weights = mdp.probabilities(mdp.logits)[:, None, None]
    centred = estimates - (weights * estimates).sum(0)
    return float((weights * centred.square()).sum().sqrt())


def distance(gradient: Tensor, exact: Tensor) -> float:
    """Of a gradient from the exact one, relative to that one's length."""
    return float((gradient - exact).norm() / exact.norm())

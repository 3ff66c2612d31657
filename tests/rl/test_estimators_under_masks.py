"""Signals, masks and estimators together, on trajectories that end when their actions say so.

Expectations are sums over all trajectories, or over all pairs of them, with their probabilities.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import nan

import pytest
import torch
from enumerated_mdp import ENDING, FIXED, MDP, ONE_STEP, distance, doubles
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from metarl.nn import Categorical
from metarl.rl import Rollout
from metarl.rl.advantages import advantage_batch, reward_signal
from metarl.rl.estimators import INNER_LOSSES, Estimator, dice, loaded_dice, sampling_credit
from metarl.rl.losses import inner_loss


def two_actions(reward: float, at_end: float) -> MDP:
    """One state, up to 6 steps, γ = 0.99; the second action ends the trajectory."""
    return MDP(
        start=doubles(1.0),
        moves=doubles([[1.0], [0.0]]),
        step_rewards=doubles([reward, at_end]),
        horizon=6,
        logits=doubles([0.4, -0.4]),
        discount=0.99,
    )


STAYING = two_actions(1.0, 1.0)
LEAVING = two_actions(1.0, 2.0)


def pairs(mdp: MDP) -> tuple[Tensor, Tensor]:
    """All pairs of possible trajectories ``[P, 2]``, and their probabilities ``[P]``."""
    probabilities = mdp.probabilities(mdp.logits)
    possible = torch.cartesian_prod(*[torch.nonzero(probabilities).flatten()] * 2)
    return possible, probabilities[possible].prod(1)


def since_start(mdp: MDP) -> Tensor:
    """γ^t, ``[T, 1]``."""
    return mdp.discount ** torch.arange(mdp.horizon, dtype=torch.float64)[:, None]


def facts(mdp: MDP) -> tuple[Tensor, Tensor, Tensor]:
    """Undiscounted rewards, discounts and mask of all trajectories, ``[T, N]``."""
    states, actions, mask = mdp.steps
    following = torch.cat([mask[1:], torch.zeros_like(mask[:1])])
    discounts = mdp.discount * following.double()  # 0 at ends, as of a task that terminates
    return mdp.step_rewards[states, actions] * mask, discounts, mask


def of_pairs(values: Tensor, chosen: Tensor) -> Tensor:
    """Values ``[T, N]`` of pairs ``[P, 2]`` as ``[P, T, 2]``."""
    return values[:, chosen].transpose(0, 1)


def dice_mean(mdp: MDP, theta: Tensor) -> Tensor:
    """Mean of dice's loss of two trajectories, with the signal that the learners give it."""
    chosen, probabilities = pairs(mdp)
    rewards, _, mask = (of_pairs(v, chosen) for v in facts(mdp))
    signal = reward_signal(rewards, since_start(mdp), mask)
    losses = dice(of_pairs(mdp.log_probs(theta), chosen), signal, mask / 2)
    return (probabilities * losses).sum()


@pytest.mark.parametrize(("mdp", "slope"), [(STAYING, 1.30), (LEAVING, 1.09)])
def test_dice_follows_the_return_where_an_action_ends_the_trajectory(
    mdp: MDP, slope: float
) -> None:
    """Staying is better by reward, and better although leaving pays twice once."""
    theta = mdp.logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(-dice_mean(mdp, theta), theta)
    assert gradient[0].tolist() == pytest.approx([slope, -slope], abs=5e-3)


@pytest.mark.parametrize("mdp", [FIXED, ENDING, ONE_STEP, STAYING, LEAVING])
def test_the_signal_of_dice_is_unbiased_to_the_second_derivative(mdp: MDP) -> None:
    """Of two trajectories, each of which is the other's baseline."""
    exact, mean = (derivatives(f, mdp) for f in (mdp.expected_return, lambda t: -dice_mean(mdp, t)))
    for ours, expected in zip(mean, exact, strict=True):
        assert_close(ours, expected, rtol=0, atol=1e-10)


def derivatives(function: Callable[[Tensor], Tensor], mdp: MDP) -> tuple[Tensor, Tensor]:
    """Gradient and Hessian at the policy's logits."""
    hessian = torch.autograd.functional.hessian(function, mdp.logits)
    return torch.autograd.functional.jacobian(function, mdp.logits), hessian


HALVES = MDP(
    start=doubles(0.5, 0.5),
    moves=doubles([[0.5, 0.5], [0.0, 0.0]], [[0.0, 1.0], [0.5, 0.0]]),
    step_rewards=doubles([1.0, 1.7], [0.3, 2.0]),
    horizon=3,
    logits=torch.zeros(2, 2, dtype=torch.float64),
)
"""So that 256 trajectories are the whole distribution: all probabilities are multiples of that."""


def population(mdp: MDP) -> tuple[Tensor, Rollout]:
    """Each trajectory as often as its probability says: their numbers, and one task of them."""
    times = 256 * mdp.probabilities(mdp.logits)
    assert_close(times, times.round())
    columns = torch.arange(len(times)).repeat_interleave(times.round().long())
    states, actions, _ = (v[:, columns] for v in mdp.steps)
    rewards, discounts, mask = (v[:, columns] for v in facts(mdp))
    rollout = Rollout(
        observations=torch.nn.functional.one_hot(states, 2).double()[None],
        actions=actions.double()[None, ..., None],
        rewards=rewards[None],
        discounts=discounts[None],
        mask=mask[None],
        final_observations=torch.full((1, len(columns), 2), nan, dtype=torch.float64),
        diverged=torch.zeros(1, len(columns), dtype=torch.bool),
    )
    return columns, rollout


def pipeline_loss(mdp: MDP, estimator: Estimator, theta: Tensor) -> Tensor:
    """Baseline, GAE of λ = 1, normalisation and estimator on the population, in the return's unit.

    That is, times the scale and the mean length, for dice discounted as its rewards; its baseline
    is of the 255 others.
    """
    columns, rollout = population(mdp)
    batch = advantage_batch(rollout, gae_lambda=1.0)
    logits = theta[rollout.observations[0].argmax(-1)].flatten(0, 1)[None]
    loss = inner_loss(Categorical(logits), batch, estimator)
    powers = since_start(mdp) if estimator == "dice" else 1.0
    unit = batch.scale.sum() * (powers * rollout.mask).sum() / len(columns)
    return loss.sum() * unit * (255 / 256 if estimator == "dice" else 1.0)


@pytest.mark.parametrize("estimator", INNER_LOSSES)
def test_all_estimators_follow_the_return_through_baseline_and_normalisation(
    estimator: Estimator,
) -> None:
    """Undiscounted, of a whole population; the baseline is the one that is fitted."""
    mdp = replace(HALVES, discount=1.0)
    gradient, hessian = derivatives(lambda theta: -pipeline_loss(mdp, estimator, theta), mdp)
    exact_gradient, exact_hessian = derivatives(mdp.expected_return, mdp)
    assert_close(gradient, exact_gradient, rtol=0, atol=1e-7)
    if estimator in ("dice", "loaded-dice"):
        assert_close(hessian, exact_hessian, rtol=0, atol=1e-7)
    else:
        assert (hessian - exact_hessian).norm() > 1e-2


def test_where_rewards_are_discounted_dice_alone_follows_the_discounted_return() -> None:
    """The others' advantages are not discounted from the start on, as is usual."""
    exact = derivatives(HALVES.expected_return, HALVES)[0]
    off = {}
    for estimator in INNER_LOSSES:
        loss = partial(pipeline_loss, HALVES, estimator)
        off[estimator] = distance(-derivatives(loss, HALVES)[0], exact)
    assert off.pop("dice") < 1e-7
    for figure in off.values():
        assert figure == pytest.approx(off["lvc"])
    assert off["lvc"] > 0.01


@pytest.mark.parametrize("estimator", INNER_LOSSES)
def test_other_policies_samples_count_by_their_ratios(estimator: Estimator) -> None:
    """Of the trajectories so far, for both DiCE, whose gradients stay those of the return."""
    moved = ENDING.logits + doubles([0.3, -0.2], [-0.4, 0.5])
    chances = ENDING.probabilities(ENDING.logits) * ENDING.steps[2]
    sampled = ENDING.log_probs(ENDING.logits)[None]
    to_go = ENDING.rewards.flip(0).cumsum(0).flip(0)
    signal = ENDING.rewards if estimator == "dice" else to_go

    def mean(theta: Tensor) -> Tensor:
        taken = ENDING.log_probs(theta)[None]
        return -INNER_LOSSES[estimator](taken, signal[None], chances[None], sampled).sum()

    gradient = torch.autograd.functional.jacobian(mean, moved)
    exact = torch.autograd.functional.jacobian(ENDING.expected_return, moved)
    exactly = estimator in ("dice", "loaded-dice")
    assert (float((gradient - exact).norm()) < 1e-12) is exactly
    assert torch.nn.functional.cosine_similarity(gradient.flatten(), exact.flatten(), dim=0) > 0.9


@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    estimator=st.sampled_from(list(INNER_LOSSES)),
    garbage=st.floats(-1e6, 1e6),
    ratios=st.booleans(),
)
def test_garbage_in_masked_steps_changes_no_loss(
    lengths: list[int], estimator: Estimator, garbage: float, ratios: bool
) -> None:
    generator = torch.Generator().manual_seed(len(lengths))
    horizon, num_envs = max(lengths), len(lengths)
    mask = torch.arange(horizon)[:, None] < torch.tensor(lengths)
    clean = torch.randn(3, 1, horizon, num_envs, generator=generator, dtype=torch.float64)
    results = []
    for filler in (0.0, garbage):
        log_probs, signal, sampled = torch.where(mask, clean, filler)
        theta = log_probs.clone().requires_grad_()
        weights = mask / mask.sum()
        sampled = sampled if ratios else None
        loss = INNER_LOSSES[estimator](theta, signal, weights[None], sampled)
        credit = sampling_credit(theta, torch.ones(1), mask[None])
        results.append(torch.autograd.grad((loss + credit).sum(), theta)[0])
        results[-1] = torch.cat([loss.detach(), credit.detach(), results[-1].flatten()])
    assert_close(results[0], results[1], rtol=0, atol=0)


def test_loaded_dice_of_a_constant_signal_has_no_derivatives() -> None:
    """So that centring advantages is no bias, where trajectories end early, too."""
    weights = (ENDING.probabilities(ENDING.logits) * ENDING.steps[2])[None]

    def mean(theta: Tensor) -> Tensor:
        taken = ENDING.log_probs(theta)[None]
        return loaded_dice(taken, torch.ones_like(taken), weights).sum()

    for derivative in derivatives(mean, ENDING):
        assert_close(derivative, torch.zeros_like(derivative), rtol=0, atol=1e-12)

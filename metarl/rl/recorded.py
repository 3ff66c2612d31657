"""Recorded trajectories of one task as a source of data to adapt to, for learners by gradients.

The first step takes them as the data of the policy before adaptation. Later ones take fresh data,
if there are any, or the same again: every step of these then counts by the ratio of its probability
under the policy that adaptation has come to, to that under the policy that drew it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metarl.core import InnerRule, expand, parameters_of, select
from metarl.files import check_finite
from metarl.memory import check_memory
from metarl.nn import GaussianPolicy, Policy
from metarl.nn.distributions import HALF_LOG_TWO_PI
from metarl.rl.actions import ActionMap, ActionScaling
from metarl.rl.actor import Actor
from metarl.rl.advantages import advantage_batch
from metarl.rl.estimators import TRAJECTORY_WISE
from metarl.rl.losses import log_prob
from metarl.rl.meta_problem import Objective
from metarl.rl.rollout import AdvantageBatch, Rollout
from metarl.rl.task_sampler import TaskSampler
from metarl.rl.trajectories import TOLERANCE, Trajectories
from metarl.types import Adaptation, Params

LARGEST_WEIGHT = 10.0
"""Ratios of probabilities count as this at most."""
LEAST_SHARE = 0.05
"""Of the steps that the effective sample size has to be, unless data are forced."""


@dataclass(frozen=True, kw_only=True)
class RecordedTrajectories:
    """One task, of which recordings are all that there is."""

    parts: Sequence[Trajectories]
    """One a step of adaptation; the last also serves all later steps."""
    force: bool = False
    """Take them however little they say of the policy that adapts."""

    option: ClassVar[str] = "trajectories"
    """What a complaint about the source is about."""

    @property
    def default_steps(self) -> int:
        """One a part."""
        return len(self.parts)

    @property
    def facts(self) -> dict[str, Any]:
        """What is worth keeping of them."""
        sizes = [(len(part), part.num_steps) for part in self.parts]
        return {"trajectories": [n for n, _ in sizes], "num_steps": [s for _, s in sizes]}

    @property
    def returns(self) -> NDArray[np.float64]:
        """Mean return of every part."""
        return np.array([part.returns().mean() for part in self.parts])

    def adaptation(
        self,
        policy: Policy,
        rule: InnerRule[Any],
        objective: Objective,
        steps: int,
        *,
        like: TaskSampler[Any],
        actor: Callable[[Params | None], Actor],
    ) -> Adaptation[Actor]:
        """Adapt to them by gradients.

        Args:
            policy: that adapts.
            rule: how it does, with its learned values.
            objective: that adaptation descends.
            steps: of adaptation.
            like: the sampler of training, whose discount and actions are the data's.
            actor: the policy with the parameters of one task, or as it is.

        Raises:
            NonFiniteError: adaptation diverged.
            ValueError: the data do not fit the policy, or are too few.
        """
        support = RecordedSupport(self, policy, like, objective)
        start = expand(parameters_of(policy), 1)
        with torch.no_grad():
            params = objective.adapt(policy, rule, start, [support] * steps)
        check_finite(params, "adapted")
        return Adaptation(
            values=self.returns[:, None],
            measure="returns",
            unit="gradient steps",
            model=lambda task, after: actor(select(params, task) if after else None),
            tasks=[{}],
            figures={
                "inner_lr": rule.fixed_step_sizes(steps),
                "effective_sample_size": support.shares,
                "weights_clipped": support.clipped,
            },
        )


class RecordedSupport:
    """The batch of every step of adaptation in turn, from the parameters that it is taken at.

    Arguments are as of :meth:`RecordedTrajectories.adaptation`.
    """

    def __init__(
        self,
        source: RecordedTrajectories,
        policy: Policy,
        like: TaskSampler[Any],
        objective: Objective,
    ) -> None:
        self.shares: list[float | None] = []
        """Effective sample size of every step of adaptation, as a share of the data's steps; None
        where no log-probabilities tell, and data are taken for the adapting policy's own."""
        self.clipped: list[float] = []
        """Share of ratios that were beyond :data:`LARGEST_WEIGHT`."""
        self._policy = policy
        self._whole = objective.estimator in TRAJECTORY_WISE
        self._force = source.force
        device = next(policy.parameters()).device
        for part in source.parts:
            objective.check_trajectories(len(part), int(part.lengths.max()))
        self._batches = [
            _batch(part, policy, like, objective.gae_lambda).map(lambda value: value.to(device))
            for part in source.parts
        ]

    @torch.no_grad()
    def __call__(self, params: Params) -> AdvantageBatch:
        """The next one; :class:`ValueError` if the data say too little of that policy."""
        index = min(len(self.shares), len(self._batches) - 1)
        batch = self._batches[index]
        now = log_prob(self._policy.distribution(params, batch.observations), batch)
        told = batch.sampled is not None
        if batch.sampled is None:  # not recorded: of the policy that comes to the data first
            batch = self._batches[index] = batch._replace(sampled=now)
        assert batch.sampled is not None
        ratios = torch.where(batch.weights > 0, now - batch.sampled, 0.0)
        if self._whole:  # these estimators weigh a step by the trajectory until then
            ratios = batch.by_time(ratios).cumsum(1).flatten(1)
        self._note(ratios[batch.weights > 0], told)
        ratios = ratios.clamp(max=math.log(LARGEST_WEIGHT))
        if self._whole:
            ratios = batch.by_time(ratios)
            ratios = torch.diff(ratios, dim=1, prepend=torch.zeros_like(ratios[:, :1])).flatten(1)
        return batch._replace(sampled=now - ratios)

    def _note(self, ratios: Tensor, told: bool) -> None:
        share = effective_share(ratios)
        self.shares.append(share if told else None)
        self.clipped.append(float((ratios > math.log(LARGEST_WEIGHT)).float().mean()))
        if share < LEAST_SHARE and not self._force:
            raise ValueError(
                f"say too little of the policy that adapts, at step {len(self.shares)}: their "
                f"effective sample size is {share * len(ratios):.1f} of {len(ratios)} steps, less "
                f"than {LEAST_SHARE:.0%}, for they are of another policy. Give a file of that "
                "one's for the step, take fewer --steps, or --force"
            )


def effective_share(log_ratios: Tensor) -> float:
    """(Σw)² / (n Σw²) of weights with these logarithms, in (0, 1]  (Kong 1992).

    >>> effective_share(torch.tensor([0.0, 0.0])), effective_share(torch.tensor([0.0, -50.0]))
    (1.0, 0.5)
    """
    weights = torch.exp(log_ratios.double() - log_ratios.max())
    return float(weights.sum() ** 2 / (len(weights) * weights.square().sum()))


def policy_actions(
    trajectories: Trajectories, to_env: ActionMap
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Actions as the policy has them ``[S, A]``, and which of them are known by a bound alone.

    The second, as :attr:`AdvantageBatch.censored`, is nothing where all are known.
    """
    if trajectories.raw_actions is not None:
        return trajectories.raw_actions.astype(np.float32), None
    assert trajectories.actions is not None
    known = to_env.inverse(trajectories.actions).astype(np.float32)
    if not isinstance(to_env, ActionScaling):
        return known, None
    at_bound = np.abs(known) >= to_env.scale * (1 - TOLERANCE)
    return known, np.where(at_bound, np.sign(known), 0.0).astype(np.float32)


def check_log_probs(trajectories: Trajectories, policy: Policy) -> None:
    """Raise a :class:`ValueError` for log-probabilities that no such policy can have given."""
    if trajectories.log_probs is None:
        return
    gaussian = isinstance(policy, GaussianPolicy)
    if gaussian and trajectories.raw_actions is None:
        raise ValueError("log_probs are of raw_actions, which are missing: leave both out")
    largest, of_what = 0.0, "the logarithm of 1"
    if isinstance(policy, GaussianPolicy):
        largest = -policy.num_outputs * (policy.min_log_std + HALF_LOG_TWO_PI)
        of_what = f"the largest log density where log σ is at least {policy.min_log_std:g}"
    given = trajectories.log_probs
    if (above := given > largest + 1e-3).any():
        step = int(np.flatnonzero(above)[0])
        place = f"trajectory {trajectories.trajectory[step]}, step {trajectories.time[step]}"
        raise ValueError(
            f"log_probs has {given[step]:g} in {place}, above {largest:.4g}, {of_what}"
        )


def _batch(
    trajectories: Trajectories, policy: Policy, like: TaskSampler[Any], gae_lambda: float
) -> AdvantageBatch:
    """What a loss consumes of them, with what is known of how they were drawn."""
    check_log_probs(trajectories, policy)
    actions, sides = policy_actions(trajectories, like.to_env)
    rollout = rollout_of(trajectories, actions, like.discount)
    log_probs = trajectories.log_probs
    extras = {"sampled": log_probs, "censored": sides}
    padded: dict[str, Any] = {
        name: _padded(trajectories, value.astype(np.float32)).flatten(1, 2)
        for name, value in extras.items()
        if value is not None
    }
    batch = advantage_batch(rollout, gae_lambda=gae_lambda, seen=policy.normaliser)
    return batch._replace(**padded)


def rollout_of(
    trajectories: Trajectories, actions: NDArray[np.float32], discount: float
) -> Rollout:
    """Trajectories of one task, M = 1, with the policy's actions ``[S, A]``."""
    num, steps = len(trajectories), trajectories.num_steps
    last = trajectories.time == trajectories.lengths[trajectories.trajectory] - 1
    over = last & trajectories.terminated[trajectories.trajectory]
    columns: list[NDArray[Any]] = [
        trajectories.before().reshape(steps, -1).astype(np.float32),
        actions.astype(np.float32),
        trajectories.rewards.astype(np.float32),
        (discount * ~over).astype(np.float32),
        np.ones(steps, bool),
    ]
    parts = [_padded(trajectories, column) for column in columns]
    final = trajectories.final().reshape(1, num, -1).astype(np.float32)
    parts += [torch.from_numpy(final), torch.zeros(1, num, dtype=torch.bool)]
    return Rollout(*parts)


def _padded(trajectories: Trajectories, values: NDArray[Any]) -> Tensor:
    """Values of every step ``[S, ...]`` as ``[1, T, E, ...]``."""
    shape = int(trajectories.lengths.max()), len(trajectories), *values.shape[1:]
    check_memory(4 * math.prod(shape), f"{shape[1]} trajectories of up to {shape[0]} steps")
    padded = np.zeros(shape, values.dtype)
    padded[trajectories.time, trajectories.trajectory] = values
    return torch.from_numpy(padded)[None]

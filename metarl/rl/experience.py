"""What one meta-iteration collects, and the adaptation that happens while it is collected."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metarl.core import inner_step
from metarl.rl.adaptation import Adaptation
from metarl.rl.advantages import advantage_batch
from metarl.rl.rollout import AdvantageBatch, Rollout
from metarl.rl.sampler import Sampler
from metarl.types import LossFn, Params, StepSize


class Experience(NamedTuple):
    """Rollouts of K inner steps and of the adapted policy."""

    rollouts: list[Rollout]
    """K + 1 rollouts: before the first step, ..., after the last."""
    batches: list[AdvantageBatch]
    """What the losses consume, one a rollout: K supports, then the query."""
    scores: Tensor
    """Mean return after adaptation, minus that of the other tasks, in the unit of the query's
    advantages, ``[M]``; see :func:`metarl.rl.estimators.sampling_credit`."""

    @property
    def supports(self) -> list[AdvantageBatch]:
        """The batches that the inner steps descend."""
        return self.batches[:-1]

    @property
    def query(self) -> AdvantageBatch:
        """The batch of the adapted policy."""
        return self.batches[-1]

    def returns(self) -> Tensor:
        """Mean return of every task after 0..K steps, ``[K + 1, M]``."""
        return torch.stack([rollout.returns().mean(1) for rollout in self.rollouts])

    def num_steps(self) -> int:
        """Environment steps in all rollouts."""
        return sum(rollout.num_steps() for rollout in self.rollouts)

    def num_diverged(self) -> int:
        """Trajectories in all rollouts that ended because their simulation diverged."""
        return sum(int(rollout.diverged.sum()) for rollout in self.rollouts)

    def tasks(self, chosen: slice) -> "Experience":
        """The batches of some tasks; the rollouts stay behind."""
        return Experience([], [batch.tasks(chosen) for batch in self.batches], self.scores[chosen])

    def thin(self, stride: int, *, supports: bool) -> "Experience":
        """Every ``stride``-th step of the query and, if asked, the supports; without rollouts."""
        kept = [batch.thin(stride) for batch in self.supports] if supports else self.supports
        return Experience([], [*kept, self.query.thin(stride)], self.scores)

    @staticmethod
    def concatenate(parts: Sequence["Experience"]) -> "Experience":
        """The batches of several groups of tasks as one."""
        columns = zip(*(part.batches for part in parts), strict=True)
        return Experience(
            [],
            [AdvantageBatch.concatenate(column) for column in columns],
            torch.cat([part.scores for part in parts]),
        )


def collect_experience(
    adaptation: Adaptation,
    sampler: Sampler,
    loss: LossFn[AdvantageBatch],
    *,
    step_sizes: Sequence[StepSize],
    gae_lambda: float,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> tuple[Experience, Params]:
    """Roll out, adapt on it, roll out again, once for each step size.

    Fresh trajectories are taken at every inner step with the parameters of that step.

    Args:
        adaptation: the policy, and what of it adapts.
        sampler: with its tasks set.
        loss: the inner objective.
        step_sizes: inner learning rates, one a step; may be empty.
        gae_lambda: λ of the advantages.
        rng: seeds the environments.
        generator: source of the action noise.

    Returns:
        The experience, and the adapted parameters outside autograd.
    """
    params = adaptation.start(sampler.num_tasks)
    rollouts, batches = [], []
    for step_size in [*step_sizes, None]:
        rollouts.append(sampler.collect(adaptation.policy, params, rng, generator))
        batches.append(advantage_batch(rollouts[-1], gae_lambda=gae_lambda))
        if step_size is not None:
            with torch.no_grad():
                params = inner_step(loss, params, batches[-1], lr=step_size, mask=adaptation.mask)
    return Experience(rollouts, batches, outcome_scores(rollouts[-1], batches[-1])), params


def outcome_scores(rollout: Rollout, batch: AdvantageBatch) -> Tensor:
    """Mean return of every task, minus the mean of the other tasks, by the advantages' scale.

    The other tasks' trajectories are independent of this one's, so the mean is a proper baseline.
    With one task there is none, and the score is 0.
    """
    outcomes = rollout.returns().mean(1)
    others = (outcomes.sum() - outcomes) / max(len(outcomes) - 1, 1)
    scores = (outcomes - others) / batch.scale[:, 0]
    return scores if len(scores) > 1 else torch.zeros_like(scores)

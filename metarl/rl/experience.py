"""What one meta-iteration collects."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metarl.core.collectives import Part
from metarl.nn import ActionDistribution
from metarl.rl.env_faults import check_share
from metarl.rl.rollout import AdvantageBatch, Rollout
from metarl.rl.summary import Summary, mean_outcomes
from metarl.rl.task_sampler import TaskSampler

LEAST_CHUNK, CHUNK_STEPS = 4, 8000  # tasks, and steps of them, that a CPU's cache takes
LEAST_UNIT = 0.5  # of a score; where a task says nothing, its own is next to 0


class Experience(NamedTuple):
    """Rollouts of K inner steps and of the adapted policy."""

    rollouts: list[Rollout]
    """K + 1 rollouts: before the first step, ..., after the last."""
    batches: list[AdvantageBatch]
    """What the losses consume, one a rollout: K supports, then the query."""
    scores: Tensor
    """Mean return after adaptation, minus that of the other tasks, in the unit of the query's
    advantages, ``[M]``; see :func:`metarl.rl.estimators.sampling_credit`."""
    info_keys: tuple[str, ...] = ()
    """What was asked for of the environments' info."""
    summary: Summary | None = None
    """Of the tasks of all processes, where there are several."""

    @staticmethod
    def collected(
        rollouts: list[Rollout],
        batches: list[AdvantageBatch],
        sampler: TaskSampler[Any],
    ) -> "Experience":
        """What was just collected.

        Args:
            rollouts: K + 1.
            batches: one a rollout.
            sampler: that has collected.

        Raises:
            EnvironmentFaultError: too many trajectories were left out.
        """
        summary, part = None, sampler.part
        if part.is_all:
            sampler.check(rollouts)
        else:
            own = Summary.of(rollouts, sampler.info_keys, sampler.faults)
            summary = own.of_all(part)
            total = len(rollouts) * part.total * sampler.num_trajectories
            check_share(summary.left_out, total, summary.faults)
        scores = outcome_scores(rollouts[-1], batches[-1], part)
        return Experience(rollouts, batches, scores, sampler.info_keys, summary)

    @property
    def supports(self) -> list[AdvantageBatch]:
        """The batches that the inner steps descend."""
        return self.batches[:-1]

    @property
    def query(self) -> AdvantageBatch:
        """The batch of the adapted policy."""
        return self.batches[-1]

    def returns(self) -> Tensor:
        """Mean return of every task after 0..K steps, ``[K + 1, M]``; NaN without trajectories."""
        return torch.stack([rollout.mean_returns() for rollout in self.rollouts])

    def observations(self) -> Tensor:
        """All that was observed where a step was taken, ``[N, D]``."""
        return torch.cat([rollout.observations[rollout.mask] for rollout in self.rollouts])

    def outcomes(self) -> dict[str, NDArray[np.float64]]:
        """See :func:`metarl.rl.summary.mean_outcomes`."""
        return mean_outcomes(self.rollouts, self.info_keys)

    def num_steps(self) -> int:
        """Environment steps in all rollouts, of all processes."""
        if self.summary is not None:
            return self.summary.steps
        return sum(rollout.num_steps() for rollout in self.rollouts)

    def told(self) -> Summary:
        """What there is to report, of all processes."""
        return self.summary or Summary.of(self.rollouts, self.info_keys)

    def chunks(self, num_tasks: int | None = None) -> list["Experience"]:
        """The batches of so many tasks each; 0 for all of them at once.

        By default as many as have 8,000 steps together, but at least 4: small chunks stay in a
        CPU's cache, and too small ones are all overhead.
        """
        weights = self.query.weights
        if num_tasks is None:
            size = max(LEAST_CHUNK, CHUNK_STEPS // weights.shape[1])
        else:
            size = num_tasks or len(weights)
        return [self.tasks(slice(i, i + size)) for i in range(0, len(weights), size)]

    def tasks(self, chosen: slice) -> "Experience":
        """The batches of some tasks; the rollouts stay behind."""
        return Experience([], [batch.tasks(chosen) for batch in self.batches], self.scores[chosen])

    def thin(self, stride: int, *, supports: bool) -> "Experience":
        """Every ``stride``-th step of the query and, if asked, the supports; without rollouts."""
        kept = [batch.thin(stride) for batch in self.supports] if supports else self.supports
        return Experience([], [*kept, self.query.thin(stride)], self.scores)

    def sampled_by(self, acting: Sequence[ActionDistribution]) -> "Experience":
        """With the log-probabilities of the policies that drew the supports' actions."""
        supports = [
            batch._replace(sampled=policy.log_prob(batch.actions))
            for batch, policy in zip(self.supports, acting[:-1], strict=True)
        ]
        return self._replace(batches=[*supports, self.query])

    @staticmethod
    def concatenate(parts: Sequence["Experience"]) -> "Experience":
        """The batches of several groups of tasks as one."""
        columns = zip(*(part.batches for part in parts), strict=True)
        return Experience(
            [],
            [AdvantageBatch.concatenate(column) for column in columns],
            torch.cat([part.scores for part in parts]),
        )


def outcome_scores(rollout: Rollout, batch: AdvantageBatch, part: Part | None = None) -> Tensor:
    """Mean return of every task, minus the mean of the other tasks, by the advantages' scale.

    The other tasks' trajectories are independent of this one's, so the mean is a proper baseline.
    With one task there is none, and the score is 0. Scales below half of the tasks' mean count as
    that: a task whose trajectories say nothing must not drown the others. Where these tasks are a
    part of those of several processes, all of them count.
    """
    part = part or Part(0, len(batch.scale), len(batch.scale))
    counted = rollout.kept().any(1)
    outcomes = torch.where(counted, rollout.mean_returns(), 0.0)
    outcomes, told, scale = part.rows(outcomes, counted.to(outcomes), batch.scale[:, 0])
    counted = told > 0
    others = (outcomes.sum() - outcomes) / (counted.sum() - 1).clamp(min=1)
    units = torch.maximum(scale, LEAST_UNIT * scale.mean())
    scores = torch.where(counted & (counted.sum() > 1), (outcomes - others) / units, 0.0)
    return scores if part.is_all else scores[part.start : part.stop]

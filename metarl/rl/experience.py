"""What one meta-iteration collects."""

from collections.abc import Sequence
from math import isfinite
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metarl.nn import ActionDistribution
from metarl.rl.outcomes import mean_told, named
from metarl.rl.rollout import AdvantageBatch, Rollout
from metarl.types import Metrics

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
        """What environments told, mean of every task after 0..K steps, ``[K + 1, M]`` by name.

        Success is a share of the trajectories that told of it; what left trajectories told, too, is
        left out. NaN where a task told nothing.
        """
        told = [
            torch.where(rollout.kept()[..., None], rollout.outcomes, torch.nan)
            for rollout in self.rollouts
            if rollout.outcomes.numel()
        ]
        if not told:
            return {}
        return named(mean_told(torch.stack(told).cpu().numpy(), 2), self.info_keys)

    def num_steps(self) -> int:
        """Environment steps in all rollouts."""
        return sum(rollout.num_steps() for rollout in self.rollouts)

    def metrics(self) -> Metrics:
        """What a learner reports of it."""
        returns = [float(r.mean_returns()[r.kept().any(1)].mean()) for r in self.rollouts]
        diverged = sum(int(rollout.diverged.sum()) for rollout in self.rollouts)
        return {
            **self._outcome_metrics("rollout"),
            "rollout/return_pre": returns[0],
            "rollout/return_post": returns[-1],
            "rollout/steps": float(self.num_steps()),
            "rollout/diverged": float(diverged),
            "rollout/left_out": float(sum(rollout.num_left_out() for rollout in self.rollouts)),
            "adapt/gain": returns[-1] - returns[0],
        }

    def evaluation_metrics(self) -> Metrics:
        """What a learner reports of it where the tasks are held out."""
        own = self.metrics()
        return {
            **self._outcome_metrics("eval"),
            "eval/return_pre": own["rollout/return_pre"],
            "eval/return_post": own["rollout/return_post"],
            "eval/adaptation_gain": own["adapt/gain"],
        }

    def _outcome_metrics(self, group: str) -> Metrics:
        ends = {
            f"{name}_{when}": float(mean_told(values[step], 0))
            for name, values in self.outcomes().items()
            for when, step in (("pre", 0), ("post", -1))
        }
        return {f"{group}/{name}": value for name, value in ends.items() if isfinite(value)}

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


def outcome_scores(rollout: Rollout, batch: AdvantageBatch) -> Tensor:
    """Mean return of every task, minus the mean of the other tasks, by the advantages' scale.

    The other tasks' trajectories are independent of this one's, so the mean is a proper baseline.
    With one task there is none, and the score is 0. Scales below half of the tasks' mean count as
    that: a task whose trajectories say nothing must not drown the others.
    """
    counted = rollout.kept().any(1)
    outcomes = torch.where(counted, rollout.mean_returns(), 0.0)
    others = (outcomes.sum() - outcomes) / (counted.sum() - 1).clamp(min=1)
    units = torch.maximum(batch.scale[:, 0], LEAST_UNIT * batch.scale.mean())
    return torch.where(counted & (counted.sum() > 1), (outcomes - others) / units, 0.0)

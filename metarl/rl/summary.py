"""What a meta-iteration's rollouts say of each task; of those of all processes as of one's own."""

from collections.abc import Sequence
from math import isfinite
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metarl.core.collectives import Part, gathered
from metarl.rl.outcomes import mean_told, named
from metarl.rl.rollout import Rollout
from metarl.types import Metrics


class Summary(NamedTuple):
    """Of K inner steps and of the adapted policy."""

    returns: list[Tensor]
    """Mean return after 0..K steps, K + 1 of ``[M]``; NaN without trajectories."""
    counted: list[Tensor]
    """Whether there are any, K + 1 of ``[M]``."""
    outcomes: dict[str, NDArray[np.float64]]
    """What environments told, ``[K + 1, M]`` by name; NaN where a task told nothing."""
    steps: int
    """Environment steps in all rollouts."""
    diverged: int
    """Trajectories that an environment ended because its physics diverged."""
    left_out: int
    """Trajectories that are left out."""
    faults: tuple[str, ...]
    """Why the newest one was."""

    @classmethod
    def of(
        cls, rollouts: Sequence[Rollout], info_keys: tuple[str, ...], faults: Sequence[str] = ()
    ) -> "Summary":
        """Of these tasks, before adaptation, ..., after it."""
        return cls(
            returns=[rollout.mean_returns() for rollout in rollouts],
            counted=[rollout.kept().any(1) for rollout in rollouts],
            outcomes=mean_outcomes(rollouts, info_keys),
            steps=sum(rollout.num_steps() for rollout in rollouts),
            diverged=sum(int(rollout.diverged.sum()) for rollout in rollouts),
            left_out=(left_out := sum(rollout.num_left_out() for rollout in rollouts)),
            faults=tuple(faults[-1:]) if left_out else (),
        )

    def of_all(self, part: Part) -> "Summary":
        """Of the tasks of all processes, in their order, of which these are a part."""
        if part.is_all:
            return self
        own = self._replace(
            returns=[values.cpu() for values in self.returns],
            counted=[values.cpu() for values in self.counted],
        )
        parts: list[Summary] = gathered(own)
        columns = zip(*(one.returns for one in parts), strict=True)
        counted = zip(*(one.counted for one in parts), strict=True)
        return Summary(
            returns=[torch.cat(column) for column in columns],
            counted=[torch.cat(column) for column in counted],
            outcomes=_joined(parts),
            steps=sum(one.steps for one in parts),
            diverged=sum(one.diverged for one in parts),
            left_out=sum(one.left_out for one in parts),
            faults=sum((one.faults for one in parts), ()),
        )

    def metrics(self) -> Metrics:
        """What a learner reports of training."""
        returns = self._mean_returns()
        return {
            **self._outcome_metrics("rollout"),
            "rollout/return_pre": returns[0],
            "rollout/return_post": returns[-1],
            "rollout/steps": float(self.steps),
            "rollout/diverged": float(self.diverged),
            "rollout/left_out": float(self.left_out),
            "adapt/gain": returns[-1] - returns[0],
        }

    def evaluation_metrics(self) -> Metrics:
        """What a learner reports where the tasks are held out."""
        returns = self._mean_returns()
        return {
            **self._outcome_metrics("eval"),
            "eval/return_pre": returns[0],
            "eval/return_post": returns[-1],
            "eval/adaptation_gain": returns[-1] - returns[0],
        }

    def _mean_returns(self) -> list[float]:
        pairs = zip(self.returns, self.counted, strict=True)
        return [float(returns[counted].mean()) for returns, counted in pairs]

    def _outcome_metrics(self, group: str) -> Metrics:
        ends = {
            f"{name}_{when}": float(mean_told(values[step], 0))
            for name, values in self.outcomes.items()
            for when, step in (("pre", 0), ("post", -1))
        }
        return {f"{group}/{name}": value for name, value in ends.items() if isfinite(value)}


def mean_outcomes(
    rollouts: Sequence[Rollout], info_keys: tuple[str, ...]
) -> dict[str, NDArray[np.float64]]:
    """What environments told, mean of every task after 0..K steps, ``[K + 1, M]`` by name.

    Success is a share of the trajectories that told of it; what left trajectories told, too, is
    left out. NaN where a task told nothing.
    """
    told = [
        torch.where(rollout.kept()[..., None], rollout.outcomes, torch.nan)
        for rollout in rollouts
        if rollout.outcomes.numel()
    ]
    if not told:
        return {}
    return named(mean_told(torch.stack(told).cpu().numpy(), 2), info_keys)


def _joined(parts: Sequence[Summary]) -> dict[str, NDArray[np.float64]]:
    """Outcomes of all tasks; NaN of those where none of a process's told of one."""
    names = dict.fromkeys(name for part in parts for name in part.outcomes)
    untold = [np.full((len(part.returns), len(part.returns[0])), np.nan) for part in parts]
    return {
        name: np.concatenate(
            [part.outcomes.get(name, none) for part, none in zip(parts, untold, strict=True)], 1
        )
        for name in names
    }

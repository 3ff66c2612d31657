"""Finished trials of one iteration, as data for the encoder of tasks."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metarl.embedding.encoders import TaskEncoder
from metarl.embedding.prototypes import Trajectories, whole_prototypes
from metarl.embedding.trials import Trials


class HardNegatives(NamedTuple):
    """Groups of trials with prototypes near to each other, the hardest to tell apart."""

    prototypes: Tensor
    """Of all trials, ``[n, D]``."""
    group: int
    """Size of a group: a trial and its nearest."""

    def drawn(self, rows: Tensor, num: int) -> Tensor:
        """At most ``num`` of ``rows``: groups around the first of them, each row once."""
        anchors = rows[: max(num // self.group, 1)]
        distances = torch.cdist(self.prototypes[anchors], self.prototypes[rows])
        nearest = distances.topk(min(self.group, len(rows)), largest=False).indices
        return rows[torch.from_numpy(np.unique(nearest.cpu().numpy())).to(rows.device)]


class TrialData:
    """Draws trajectories of different tasks from trials.

    Args:
        trials: n of them, of at least two trajectories each.
        device: of what is drawn.
    """

    def __init__(self, trials: Trials, device: torch.device) -> None:
        self._transitions = torch.from_numpy(trials.transitions).to(device)
        self._lengths = torch.from_numpy(trials.lengths).to(device)
        self._tasks = trials.tasks

    def real_transitions(self) -> Tensor:
        """Every transition that happened, ``[num, F]``."""
        time = torch.arange(self._transitions.shape[2], device=self._lengths.device)
        return self._transitions[time < self._lengths[..., None]]

    def firsts(self, num_transitions: int | None, generator: torch.Generator) -> Trajectories:
        """The first trajectory of every trial; arguments as of :meth:`draw`."""
        rows = torch.arange(len(self._lengths), device=self._lengths.device)
        return self._some(rows, torch.zeros_like(rows), num_transitions, generator)

    def draw(
        self,
        num_tasks: int,
        generator: torch.Generator,
        num_transitions: int | None = None,
        negatives: HardNegatives | None = None,
    ) -> list[Trajectories]:
        """Two trajectories of each of at most ``num_tasks`` trials, whose tasks all differ.

        Args:
            num_tasks: M.
            generator: draws trials, trajectories and transitions.
            num_transitions: only so many of each trajectory, in their order and with replacement.
            negatives: draw the trials in groups that are hard to tell apart.
        """
        order = torch.randperm(len(self._tasks), generator=generator)
        _, first = np.unique(self._tasks[order.numpy()], axis=0, return_index=True)
        among = torch.from_numpy(first)[torch.randperm(len(first), generator=generator)]
        rows = order[among].to(self._lengths.device)
        rows = rows[:num_tasks] if negatives is None else negatives.drawn(rows, num_tasks)
        ranks = torch.rand(len(rows), self._lengths.shape[1], generator=generator).argsort(1)
        both = ranks.T[:2].to(self._lengths.device)
        return [self._some(rows, k, num_transitions, generator) for k in both]

    def _some(
        self, rows: Tensor, k: Tensor, num_transitions: int | None, generator: torch.Generator
    ) -> Trajectories:
        """Trajectory k of every row, or some transitions of it."""
        lengths = self._lengths[rows, k]
        if num_transitions is None:
            return Trajectories(self._transitions[rows, k], lengths)
        times = ordered_times(lengths, num_transitions, generator)
        some = self._transitions[rows[:, None], k[:, None], times]
        return Trajectories(some, torch.full_like(lengths, num_transitions))


def ordered_times(lengths: Tensor, num: int, generator: torch.Generator) -> Tensor:
    """``num`` times of each of M trajectories in their order, drawn with replacement, ``[M, num]``.

    Args:
        lengths: of the trajectories, ``[M]``.
        num: how many.
        generator: draws them.
    """
    drawn = torch.rand(len(lengths), num, generator=generator).sort(1).values
    return (drawn.to(lengths.device) * lengths[:, None]).long()


def first_prototypes(encoder: TaskEncoder, trials: Trials) -> Tensor:
    """Those of the first trajectory of every trial, ``[n, D]``."""
    device = next(encoder.parameters()).device
    firsts = TrialData(trials, device).firsts(None, torch.Generator())
    with torch.no_grad():
        return whole_prototypes(encoder, firsts)

"""Finished trials of one iteration, as data for the encoder of tasks."""

import numpy as np
import torch
from torch import Tensor

from metarl.rl.task_embedding import Trajectories, ordered_times
from metarl.sb3.recorder import Trials


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

    def draw(
        self, num_tasks: int, generator: torch.Generator, num_transitions: int | None = None
    ) -> list[Trajectories]:
        """Two trajectories of each of at most ``num_tasks`` trials, whose tasks all differ.

        Args:
            num_tasks: M.
            generator: draws trials, trajectories and transitions.
            num_transitions: only so many of each trajectory, in their order and with replacement.
        """
        order = torch.randperm(len(self._tasks), generator=generator)
        _, first = np.unique(self._tasks[order.numpy()], axis=0, return_index=True)
        among = torch.from_numpy(first)[torch.randperm(len(first), generator=generator)]
        rows = order[among[:num_tasks]].to(self._lengths.device)
        ranks = torch.rand(len(rows), self._lengths.shape[1], generator=generator).argsort(1)
        drawn = []
        for k in ranks.T[:2].to(self._lengths.device):
            lengths = self._lengths[rows, k]
            if num_transitions is None:
                drawn.append(Trajectories(self._transitions[rows, k], lengths))
            else:
                times = ordered_times(lengths, num_transitions, generator)
                some = self._transitions[rows[:, None], k[:, None], times]
                drawn.append(Trajectories(some, torch.full_like(lengths, num_transitions)))
        return drawn

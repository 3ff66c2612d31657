"""What collection observes (``Rollout``) and what a loss consumes (``AdvantageBatch``).

Every environment contributes one trajectory. Shorter ones are padded to ``T`` and ``mask`` marks
the steps that happened; whatever stands in the others changes nothing.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Rollout(NamedTuple):
    """Facts of E trajectories in each of M tasks."""

    observations: Tensor
    """``[M, T, E, D]``."""
    actions: Tensor
    """As the policy drew them, before scaling and clipping, ``[M, T, E, A]``."""
    rewards: Tensor
    """``[M, T, E]``."""
    discounts: Tensor
    """γ, or 0 where the task terminated in this step; a time limit keeps γ. ``[M, T, E]``."""
    mask: Tensor
    """True where the step belongs to the trajectory, bool ``[M, T, E]``."""
    final_observations: Tensor
    """Successor of each trajectory's last step, ``[M, E, D]``."""
    diverged: Tensor
    """Whether the simulation diverged, which ended the trajectory, bool ``[M, E]``."""

    def returns(self) -> Tensor:
        """Undiscounted return of every trajectory, ``[M, E]``."""
        return torch.where(self.mask, self.rewards, 0.0).sum(1)

    def num_steps(self) -> int:
        """Environment steps that were taken."""
        return int(self.mask.sum())

    def to(self, device: torch.device) -> "Rollout":
        """The same facts on another device."""
        return Rollout(*(value.to(device) for value in self))


class AdvantageBatch(NamedTuple):
    """Data of a policy-gradient loss: B = T·E steps of each task, padding zeroed."""

    observations: Tensor
    """``[M, B, D]``."""
    actions: Tensor
    """``[M, B, A]``."""
    advantages: Tensor
    """``[M, B]``, normalised within each task."""
    weights: Tensor
    """1 / number of real steps of the task, 0 for padding: weighted sums are means. ``[M, B]``."""

    def tasks(self, chosen: slice) -> "AdvantageBatch":
        """The part of some tasks."""
        return AdvantageBatch(*(value[chosen] for value in self))

    def thin(self, stride: int) -> "AdvantageBatch":
        """Every ``stride``-th step, with weights that sum to what they did."""
        thinned = AdvantageBatch(*(value[:, ::stride] for value in self))
        total = thinned.weights.sum(1, keepdim=True).clamp(min=1e-12)
        return thinned._replace(weights=thinned.weights / total)

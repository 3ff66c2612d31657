"""What collection observes (``Rollout``) and what a loss consumes (``AdvantageBatch``).

Every environment contributes one trajectory. Shorter ones are padded to ``T`` and ``mask`` marks
the steps that happened; whatever stands in the others changes nothing. A trajectory whose
environment gave what is no number has no step: it is left out of all that is computed.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

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
    outcomes: Tensor = torch.empty(0)
    """What environments told (:class:`~metarl.rl.outcomes.Outcomes`), ``[M, E, 1 + keys]``; empty
    where none can tell."""

    def returns(self) -> Tensor:
        """Undiscounted return of every trajectory, ``[M, E]``."""
        return torch.where(self.mask, self.rewards, 0.0).sum(1)

    def mean_returns(self) -> Tensor:
        """Mean return of every task's trajectories, ``[M]``; NaN where all are left out."""
        return self.returns().sum(1) / self.kept().sum(1)

    def kept(self) -> Tensor:
        """Which trajectories are not left out, bool ``[M, E]``."""
        return self.mask.any(1)

    def num_left_out(self) -> int:
        """How many trajectories are left out."""
        return int((~self.kept()).sum())

    def num_steps(self) -> int:
        """Environment steps of the trajectories that count."""
        return int(self.mask.sum())

    def to(self, device: torch.device) -> "Rollout":
        """The same facts on another device."""
        return Rollout(*(value.to(device) for value in self))

    def first(self, num_trajectories: int) -> "Rollout":
        """The first trajectories of every task."""
        cut = {
            name: value.narrow(2 if name in _OF_STEPS else 1, 0, num_trajectories)
            for name, value in self._asdict().items()
            if value.numel()
        }
        return self._replace(**cut)

    @staticmethod
    def joined(parts: "Sequence[Rollout]", *, tasks: bool) -> "Rollout":
        """Several as one: of further tasks, or of further trajectories of the same."""
        length = max(part.mask.shape[1] for part in parts)
        joined: dict[str, Any] = {}
        for name in Rollout._fields:
            values = [getattr(part, name) for part in parts]
            if name in _OF_STEPS:
                values = [_padded(value, length) for value in values]
            if values[0].numel():
                joined[name] = torch.cat(values, 0 if tasks else 1 + (name in _OF_STEPS))
        return parts[0]._replace(**joined)


_OF_STEPS = ("observations", "actions", "rewards", "discounts", "mask")
"""What has an axis of time, the second."""


def _padded(value: Tensor, length: int) -> Tensor:
    missing = value.new_zeros(len(value), length - value.shape[1], *value.shape[2:])
    return torch.cat([value, missing], 1)


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
    rewards: Tensor
    """Discounted from the start, less those of the task's other trajectories at the same time; in
    the unit of the advantages, by which weighted sums are means. ``[M, B]``."""
    scale: Tensor
    """What the advantages were divided by; other figures come into their unit by it. ``[M, 1]``."""
    num_trajectories: int
    """E; step t of trajectory e is row t·E + e. 0 where the rows are no whole trajectories."""
    sampled: Tensor | None = None
    """log π(a|s) of the policy that drew the actions, ``[M, B]``, where another one adapts to them
    by probability ratios."""
    censored: Tensor | None = None
    """1 or -1 where an action is known to be at or beyond this upper or lower bound, 0 where it is
    known, ``[M, B, A]``; where all are known, nothing."""

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All of them by name."""
        return {k: v for k, v in self._asdict().items() if isinstance(v, Tensor)}

    def map(self, change: Callable[[Tensor], Tensor]) -> "AdvantageBatch":
        """The same change of every tensor."""
        changed: dict[str, Any] = {k: change(value) for k, value in self.tensors.items()}
        return self._replace(**changed)

    def by_time(self, values: Tensor) -> Tensor:
        """Values of every step ``[M, B]`` as ``[M, T, E]``."""
        return values.reshape(len(values), -1, max(self.num_trajectories, 1))

    def tasks(self, chosen: slice) -> "AdvantageBatch":
        """The part of some tasks."""
        return self.map(lambda value: value[chosen])

    def thin(self, stride: int) -> "AdvantageBatch":
        """Every ``stride``-th step, with weights that sum to what they did."""
        thinned = self.map(lambda value: value[:, ::stride])._replace(num_trajectories=0)
        total = thinned.weights.sum(1, keepdim=True).clamp(min=1e-12)
        return thinned._replace(weights=thinned.weights / total)

    @staticmethod
    def concatenate(parts: "Sequence[AdvantageBatch]") -> "AdvantageBatch":
        """The batches of several groups of tasks as one."""
        joined: dict[str, Any] = {
            k: torch.cat([part.tensors[k] for part in parts]) for k in parts[0].tensors
        }
        return parts[0]._replace(**joined)

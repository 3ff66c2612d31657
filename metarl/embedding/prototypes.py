"""Prototypes of tasks: means by precision of the embeddings of a task's transitions.

One grows by a transition in O(1). At test it is all that adapts.
"""

import math
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metarl.core.prototypes import prototype_logits
from metarl.embedding.encoders import Encoded, TaskEncoder


@dataclass(eq=False)
class OnlinePrototypes:
    """Prototypes of N tasks that grow by one transition each at a time, O(1) a step."""

    encoder: TaskEncoder
    """Of the transitions."""
    num_tasks: int
    """N."""
    _: KW_ONLY
    within_trajectory: bool = True
    """Whether a transition counts at once, or when its trajectory has ended."""
    uncertainty: bool = True
    """Show the log count of transitions and the spread of embeddings, too."""
    capacity: int = 200
    """Count at which the first of these is 1."""
    noise: float = 0.0
    """Standard deviation of what :meth:`features` adds to every number of a prototype, from torch's
    global generator. Of two prototypes at distances 0 and 1 from a query that is sure, the nearer
    is e times as likely."""

    def __post_init__(self) -> None:
        device = self.device = next(self.encoder.parameters()).device
        size = 3 * self.encoder.embedding_size + 1
        # of moments, and how many
        self._sums = torch.zeros(self.num_tasks, size, device=device)
        self._waiting = torch.zeros(self.num_tasks, size, device=device)
        self._one = torch.ones(self.num_tasks, 1, device=device)
        self._state = torch.zeros(self.num_tasks, self.encoder.state_size, device=device)

    @property
    def num_features(self) -> int:
        """C, numbers of :meth:`features`."""
        return self.encoder.embedding_size + 2 * self.uncertainty

    def forget(self, rows: Tensor) -> None:
        """Begin again for the tasks of ``rows``, bool ``[N]``."""
        for values in (self._sums, self._waiting, self._state):
            values[rows] = 0.0

    @torch.no_grad()
    def add(self, transitions: Tensor, ended: Tensor) -> None:
        """One more transition ``[N, F]`` of every task; ``ended`` where it ends a trajectory."""
        encoded, self._state = self.encoder.advance(transitions, self._state)
        new = torch.cat([moments(encoded), self._one], 1)
        if self.within_trajectory:
            self._sums += new
        else:
            self._waiting += new
            self._sums += self._waiting * ended[:, None]
            self._waiting *= ~ended[:, None]
        if self.encoder.state_size:
            self._state = self._state * ~ended[:, None]

    @torch.no_grad()
    def features(self) -> Tensor:
        """What a policy sees, see :func:`shown_prototypes`; ``[N, C]``."""
        shown = shown_prototypes(
            self._sums[:, :-1],
            self._sums[:, -1:],
            uncertainty=self.uncertainty,
            capacity=self.capacity,
        )
        if self.noise:
            prototypes = shown[:, : self.encoder.embedding_size]
            prototypes += self.noise * torch.randn_like(prototypes)
        return shown


def moments(encoded: Encoded) -> Tensor:
    """What sums over transitions are of: P e, P e² and P of embeddings e, ``[..., 3 D]``."""
    embeddings, precisions = encoded
    weighted = precisions * embeddings
    return torch.cat([weighted, weighted * embeddings, precisions], -1)


def shown_prototypes(sums: Tensor, count: Tensor, *, uncertainty: bool, capacity: int) -> Tensor:
    """The prototypes and, if asked, log count and spread.

    Args:
        sums: of :func:`moments`, ``[N, 3 D]``.
        count: how many transitions there are, ``[N, 1]``; without any the prototype is 0.
        uncertainty: show count and spread, too.
        capacity: count that is shown as 1.

    Returns:
        ``[N, D]``, or ``[N, D + 2]`` with the uncertainty: the spread is the root of the weighted
        variance, as a mean over the elements.
    """
    weighted, squares, precisions = sums.chunk(3, 1)
    total = torch.where(count > 0, precisions, 1.0)
    prototypes = weighted / total
    if not uncertainty:
        return prototypes
    variance = (squares / total - prototypes.square()).mean(1, keepdim=True).clamp(min=0.0)
    seen = torch.log1p(count) / math.log1p(capacity)
    # the derivative of a root at 0 is infinite, and a single transition has no spread
    return torch.cat([prototypes, seen.clamp(max=1.0), (variance + 1e-8).sqrt()], 1)


class Trajectories(NamedTuple):
    """One trajectory of each of M tasks."""

    transitions: Tensor
    """``[M, T, F]``."""
    lengths: Tensor
    """How many of the T are real, ``[M]``, at least 1."""


def whole_prototypes(encoder: TaskEncoder, trajectories: Trajectories) -> Tensor:
    """The prototypes ``[M, D]`` that single trajectories make."""
    encoded = encoder.encode(trajectories.transitions)
    return prefix_prototypes(encoded, trajectories.lengths[:, None]).means[:, 0]


def nearest_accuracy(prototypes: NDArray[np.float32]) -> float:
    """How often the prototype of another trial is nearest to that of its task's first.

    Args:
        prototypes: of M tasks, from E trials each, ``[M, E, D]``.
    """
    centres, others = torch.from_numpy(prototypes[:, 0]), torch.from_numpy(prototypes[:, 1:])
    logits = prototype_logits(others.flatten(0, 1)[None], centres[None])[0]
    labels = torch.arange(len(centres)).repeat_interleave(others.shape[1])
    return float((logits.argmax(1) == labels).float().mean())


class GaussianProducts(NamedTuple):
    """Products of the Gaussian factors of transitions; their means are prototypes."""

    means: Tensor
    """``[M, Q, D]``."""
    precisions: Tensor
    """``[M, Q, D]``."""


def prefix_prototypes(encoded: Encoded, counts: Tensor) -> GaussianProducts:
    """Of the first n transitions of ``[M, T]``, for every n of counts ``[M, Q]``."""
    embeddings, precisions = encoded
    time = torch.arange(embeddings.shape[1], device=counts.device)
    # a product with the members of each sum is faster than cumulative sums and their gradient
    member = (time < counts[..., None]).to(embeddings.dtype)
    total = member @ precisions
    return GaussianProducts(member @ (precisions * embeddings) / total, total)

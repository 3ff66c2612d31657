"""Embeddings of tasks from transitions: a ProtoNet whose classes are the tasks of a meta-batch.

An encoder maps transitions (s, a, r, s', end) to embeddings and precisions; the mean by precision
over the support transitions of a task is its prototype, which grows by one transition in O(1).
Queries are classified by the nearest prototype (Snell et al. 2017), which trains the encoder. At
test the prototype is all that adapts.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from metarl.core.prototypes import prototype_loss
from metarl.rl.task_encoders import Encoded, TaskEncoder


class OnlinePrototypes:
    """Prototypes of N tasks that grow by one transition each at a time, O(1) a step.

    Args:
        encoder: of the transitions.
        num_tasks: N.
        within_trajectory: whether a transition counts at once, or when its trajectory has ended.
        uncertainty: show the log count of transitions and the spread of embeddings, too.
        capacity: count at which the first of these is 1.
        noise: standard deviation of what :meth:`features` adds to every number of a prototype, from
            torch's global generator. Of two prototypes at distances 0 and 1 from a query that is
            sure, the nearer is e times as likely.
    """

    def __init__(
        self,
        encoder: TaskEncoder,
        num_tasks: int,
        *,
        within_trajectory: bool = True,
        uncertainty: bool = True,
        capacity: int = 200,
        noise: float = 0.0,
    ) -> None:
        self.encoder = encoder
        self.noise = noise
        self.within_trajectory = within_trajectory
        self.uncertainty = uncertainty
        self.capacity = capacity
        device = self.device = next(encoder.parameters()).device
        size = 3 * encoder.embedding_size + 1
        # of moments, and how many
        self._sums = torch.zeros(num_tasks, size, device=device)
        self._waiting = torch.zeros(num_tasks, size, device=device)
        self._one = torch.ones(num_tasks, 1, device=device)
        self._state = torch.zeros(num_tasks, encoder.state_size, device=device)

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
    return _prototypes(encoded, trajectories.lengths[:, None]).means[:, 0]


def ordered_times(lengths: Tensor, num: int, generator: torch.Generator) -> Tensor:
    """``num`` times of each of M trajectories in their order, drawn with replacement, ``[M, num]``.

    Args:
        lengths: of the trajectories, ``[M]``.
        num: how many.
        generator: draws them.
    """
    drawn = torch.rand(len(lengths), num, generator=generator).sort(1).values
    return (drawn.to(lengths.device) * lengths[:, None]).long()


def embedding_logits(
    encoder: TaskEncoder,
    pair: Sequence[Trajectories],
    *,
    num_queries: int,
    generator: torch.Generator,
) -> Tensor:
    """Scores of every query among the tasks, from its distance to their prototypes.

    A query is what is known of a task after the first n transitions of its trajectory, n uniform:
    the situations that a policy meets. With the sums P of its n precisions

        logits = -Σ_d (q_d - c_d)² P_d / (1 + P_d)

    which is, but for what all c share, the log density of prototype c under a Gaussian of mean q
    and variance (1 + 1 / P) / 2: the squared distance where the query is sure, less where it is
    not. Without this, early queries would keep the embedding too coarse for late ones.

    Args:
        encoder: of the transitions.
        pair: two trajectories of every task; each is the support of the other's queries.
        num_queries: Q, of each trajectory.
        generator: draws the n.

    Returns:
        Logits ``[M, 2 Q, M]``: those of queries ``[m]`` belong to task m.
    """
    encoded = [encoder.encode(one.transitions) for one in pair]
    logits = []
    for support, query in ((0, 1), (1, 0)):
        whole, lengths = pair[support].lengths[:, None], pair[query].lengths[:, None]
        uniform = torch.rand(len(lengths), num_queries, generator=generator).to(lengths.device)
        counts = (uniform * lengths).long() + 1
        centres = _prototypes(encoded[support], whole).means[:, 0]
        queries = _prototypes(encoded[query], torch.minimum(counts, lengths))
        sureness = queries.precisions / (1.0 + queries.precisions)
        logits.append(-_weighted_distances(queries.means, centres, sureness))
    return torch.cat(logits, 1)


def embedding_loss(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross entropy and accuracy of :func:`embedding_logits`."""
    num_tasks, num_queries, _ = logits.shape
    labels = torch.arange(num_tasks, device=logits.device)[:, None].expand(-1, num_queries)
    accuracy = (logits.argmax(-1) == labels).float().mean()
    return prototype_loss(logits, labels).mean(), accuracy


class _Products(NamedTuple):
    """Products of Gaussian factors."""

    means: Tensor
    """``[M, Q, D]``."""
    precisions: Tensor
    """``[M, Q, D]``."""


def _prototypes(encoded: Encoded, counts: Tensor) -> _Products:
    """Of the first n transitions of ``[M, T]``; counts ``[M, Q]``."""
    embeddings, precisions = encoded
    time = torch.arange(embeddings.shape[1], device=counts.device)
    # a product with the members of each sum is faster than cumulative sums and their gradient
    member = (time < counts[..., None]).to(embeddings.dtype)
    total = member @ precisions
    return _Products(member @ (precisions * embeddings) / total, total)


def _weighted_distances(queries: Tensor, centres: Tensor, weights: Tensor) -> Tensor:
    """Σ_d w_qd (q_d - c_d)²; ``[M, Q, D]``, ``[N, D]`` and ``[M, Q, D]`` to ``[M, Q, N]``."""
    own = (weights * queries.square()).sum(-1, keepdim=True)
    mixed = 2.0 * (weights * queries) @ centres.T
    return own - mixed + weights @ centres.square().T

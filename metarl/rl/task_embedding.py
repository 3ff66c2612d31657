"""Embeddings of tasks from transitions: a ProtoNet whose classes are the tasks of a meta-batch.

An encoder maps transitions (s, a, r, s', end) to features; the mean over the support transitions of
a task, through a head, is its prototype (a set function as in Zaheer et al. 2017, so it grows by
one transition in O(1)). Queries are classified by the nearest prototype (Snell et al. 2017), which
trains the encoder. At test the prototype is all that adapts.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from metarl.core.prototypes import prototype_logits, prototype_loss
from metarl.rl.task_encoders import TaskEncoder


class OnlinePrototypes:
    """Prototypes of N tasks that grow by one transition each at a time, O(1) a step.

    Args:
        encoder: of the transitions.
        num_tasks: N.
        within_trajectory: whether a transition counts at once, or when its trajectory has ended.
        uncertainty: show the log count of transitions and the spread of their features, too.
        capacity: count at which the first of these is 1.
    """

    def __init__(
        self,
        encoder: TaskEncoder,
        num_tasks: int,
        *,
        within_trajectory: bool = True,
        uncertainty: bool = True,
        capacity: int = 200,
    ) -> None:
        self.encoder = encoder
        self.within_trajectory = within_trajectory
        self.uncertainty = uncertainty
        self.capacity = capacity
        device = self.device = next(encoder.parameters()).device
        size = encoder.hidden_size + 2
        # sums over transitions: features, their mean square, how many
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
        features, self._state = self.encoder.advance(transitions, self._state)
        new = torch.cat([features, features.square().mean(1, keepdim=True), self._one], 1)
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
        count = self._sums[:, -1:]
        means = self._sums[:, :-1] / count.clamp(min=1.0)
        return shown_prototypes(
            self.encoder,
            means[:, :-1],
            means[:, -1:],
            count,
            uncertainty=self.uncertainty,
            capacity=self.capacity,
        )


def shown_prototypes(
    encoder: TaskEncoder,
    mean: Tensor,
    squares: Tensor,
    count: Tensor,
    *,
    uncertainty: bool,
    capacity: int,
) -> Tensor:
    """The prototypes and, if asked, log count and spread, all within [-1, 1].

    Args:
        encoder: of the transitions.
        mean: of their features, ``[N, W]``.
        squares: mean of the squared features over transitions and features, ``[N, 1]``.
        count: how many there are, ``[N, 1]``.
        uncertainty: show count and spread, too.
        capacity: count that is shown as 1.

    Returns:
        ``[N, D]``, or ``[N, D + 2]`` with the uncertainty.
    """
    shown = encoder.prototype(mean)
    if not uncertainty:
        return shown
    spread = (squares - mean.square().mean(1, keepdim=True)).clamp(min=0.0)
    seen = torch.log1p(count) / math.log1p(capacity)
    # the derivative of a root at 0 is infinite, and a single transition has no spread
    return torch.cat([shown, seen.clamp(max=1.0), torch.tanh((spread + 1e-8).sqrt())], 1)


class Trajectories(NamedTuple):
    """One trajectory of each of M tasks."""

    transitions: Tensor
    """``[M, T, F]``."""
    lengths: Tensor
    """How many of the T are real, ``[M]``, at least 1."""


def whole_prototypes(encoder: TaskEncoder, trajectories: Trajectories) -> Tensor:
    """The prototypes ``[M, D]`` that single trajectories make."""
    features = encoder.features(trajectories.transitions)
    return _prototypes(encoder, features, trajectories.lengths[:, None])[:, 0]


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
    """Scores of every query among the tasks: minus its squared distance to their prototypes.

    A query is what is known of a task after the first n transitions of its trajectory, n uniform:
    the situations that a policy meets.

    Args:
        encoder: of the transitions.
        pair: two trajectories of every task; each is the support of the other's queries.
        num_queries: Q, of each trajectory.
        generator: draws the n.

    Returns:
        Logits ``[M, 2 Q, M]``: those of queries ``[m]`` belong to task m.
    """
    features = [encoder.features(one.transitions) for one in pair]
    logits = []
    for support, query in ((0, 1), (1, 0)):
        whole, lengths = pair[support].lengths[:, None], pair[query].lengths[:, None]
        uniform = torch.rand(len(lengths), num_queries, generator=generator).to(lengths.device)
        counts = (uniform * lengths).long() + 1
        centres = _prototypes(encoder, features[support], whole)[:, 0]
        queries = _prototypes(encoder, features[query], torch.minimum(counts, lengths))
        scores = prototype_logits(queries.flatten(0, 1)[None], centres[None])[0]
        logits.append(scores.reshape(*queries.shape[:2], -1))
    return torch.cat(logits, 1)


def embedding_loss(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross entropy and accuracy of :func:`embedding_logits`."""
    num_tasks, num_queries, _ = logits.shape
    labels = torch.arange(num_tasks, device=logits.device)[:, None].expand(-1, num_queries)
    accuracy = (logits.argmax(-1) == labels).float().mean()
    return prototype_loss(logits, labels).mean(), accuracy


def _prototypes(encoder: TaskEncoder, features: Tensor, counts: Tensor) -> Tensor:
    """Prototypes of the first n transitions; features ``[M, T, W]``, counts ``[M, Q]``."""
    time = torch.arange(features.shape[1], device=counts.device)
    # a product with the weights of each mean is faster than cumulative sums and their gradient
    weights = (time < counts[..., None]) / counts[..., None].to(features.dtype)
    return encoder.prototype(weights @ features)

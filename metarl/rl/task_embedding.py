"""Embeddings of tasks from transitions: a ProtoNet whose classes are the tasks of a meta-batch.

An encoder maps transitions (s, a, r, s', end) to features; the mean over the support transitions of
a task, through a head, is its prototype (a set function as in Zaheer et al. 2017, so it grows by
one transition in O(1)). Queries are classified by the nearest prototype (Snell et al. 2017), which
trains the encoder. At test the prototype is all that adapts.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from metarl.core.prototypes import prototype_logits, prototype_loss
from metarl.nn import MLP


class TaskEncoder(nn.Module, ABC):
    """From transitions to features, and from their mean to a prototype with elements in [-1, 1].

    The head is what lets a prototype say more than its transitions do one by one: a distance leaves
    a circle of goals, the mean over several distances one goal.

    Inputs are normalised by their mean and variance over all that :meth:`observe` was shown.

    Args:
        num_features: F, numbers of a transition.
        hidden_size: W, of the features and of all layers.
        embedding_size: D, of prototypes.
        generator: source of the head's initial weights.
    """

    state_size: int
    """H, numbers that the encoder keeps from one transition of a trajectory to the next."""

    def __init__(
        self,
        num_features: int,
        hidden_size: int,
        embedding_size: int,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.hidden_size = hidden_size
        self.embedding_size = embedding_size
        # without momentum its running statistics are those of everything it has seen
        self.inputs = nn.BatchNorm1d(num_features, affine=False, momentum=None)
        self.inputs.eval()
        # means over many transitions differ little from task to task
        self.norm = nn.LayerNorm(hidden_size)
        sizes = [hidden_size, hidden_size, hidden_size, embedding_size]
        self.head = MLP(sizes, "relu", generator)

    @torch.no_grad()
    def observe(self, transitions: Tensor) -> None:
        """Take transitions ``[B, F]`` into the statistics of the inputs."""
        self.inputs.train()
        self.inputs(transitions)
        self.inputs.eval()

    def train(self, mode: bool = True) -> "TaskEncoder":
        """Set the mode; the statistics change in :meth:`observe` only."""
        super().train(mode)
        self.inputs.eval()
        return self

    def prototype(self, means: Tensor) -> Tensor:
        """Mean features ``[..., W]`` to prototypes ``[..., D]``."""
        return torch.tanh(self.head(self.norm(means)))

    @abstractmethod
    def advance(self, transitions: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """The next transition of B trajectories.

        Args:
            transitions: ``[B, F]``.
            state: ``[B, H]``; zeros where a trajectory starts.

        Returns:
            Features ``[B, W]`` and the next state.
        """

    @abstractmethod
    def features(self, trajectories: Tensor) -> Tensor:
        """Features of all transitions, ``[B, T, F]`` to ``[B, T, W]``."""


class TransitionEncoder(TaskEncoder):
    """Features of every transition by itself, from an MLP; arguments as above."""

    state_size = 0

    def __init__(
        self,
        num_features: int,
        hidden_size: int,
        embedding_size: int,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(num_features, hidden_size, embedding_size, generator)
        self.mlp = MLP([num_features, hidden_size, hidden_size, hidden_size], "relu", generator)

    def advance(self, transitions: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`TaskEncoder`; there is no state."""
        return self.mlp(self.inputs(transitions)), state

    def features(self, trajectories: Tensor) -> Tensor:
        """See :class:`TaskEncoder`."""
        features, _ = self.advance(trajectories.flatten(0, 1), trajectories.new_zeros(0))
        return features.reshape(*trajectories.shape[:2], -1)


class RecurrentEncoder(TaskEncoder):
    """Features of every transition and what came before it in its trajectory, from a GRU."""

    def __init__(
        self,
        num_features: int,
        hidden_size: int,
        embedding_size: int,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(num_features, hidden_size, embedding_size, generator)
        self.state_size = hidden_size
        self.gru = nn.GRU(num_features, hidden_size, batch_first=True)
        bound = hidden_size**-0.5  # torch's own start of a GRU, from our generator
        with torch.no_grad():
            for weight in self.gru.parameters():
                weight.uniform_(-bound, bound, generator=generator)

    def advance(self, transitions: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`TaskEncoder`."""
        outputs, last = self.gru(self.inputs(transitions)[:, None], state[None])
        return outputs[:, 0], last[0]

    def features(self, trajectories: Tensor) -> Tensor:
        """See :class:`TaskEncoder`."""
        normal = self.inputs(trajectories.flatten(0, 1)).reshape(trajectories.shape)
        features: Tensor = self.gru(normal)[0]
        return features


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
        device = next(encoder.parameters()).device
        size = 2 * encoder.hidden_size + 1
        # sums over transitions: features, their squares, how many
        self._sums = torch.zeros(num_tasks, size, device=device)
        self._waiting = torch.zeros(num_tasks, size, device=device)
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
        ones = features.new_ones(len(features), 1)
        new = torch.cat([features, features.square(), ones], 1)
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
        """The prototypes and, if asked, count and spread, all within [-1, 1]; ``[N, C]``."""
        size = self.encoder.hidden_size
        count = self._sums[:, -1:]
        mean = self._sums[:, :size] / count.clamp(min=1.0)
        shown = self.encoder.prototype(mean)
        if not self.uncertainty:
            return shown
        squares = self._sums[:, size:-1] / count.clamp(min=1.0)
        spread = (squares - mean.square()).clamp(min=0.0).mean(1, keepdim=True).sqrt()
        seen = torch.log1p(count) / math.log1p(self.capacity)
        return torch.cat([shown, seen.clamp(max=1.0), torch.tanh(spread)], 1)


class Trajectories(NamedTuple):
    """One trajectory of each of M tasks."""

    transitions: Tensor
    """``[M, T, F]``."""
    lengths: Tensor
    """How many of the T are real, ``[M]``, at least 1."""

    def thinned(self, num: int, generator: torch.Generator) -> "Trajectories":
        """``num`` transitions of each in their order, drawn with replacement."""
        num_tasks, _, num_features = self.transitions.shape
        drawn = torch.rand(num_tasks, num, generator=generator).sort(1).values
        where = (drawn.to(self.lengths.device) * self.lengths[:, None]).long()
        kept = torch.gather(self.transitions, 1, where[..., None].expand(-1, -1, num_features))
        return Trajectories(kept, torch.full_like(self.lengths, num))


def embedding_logits(
    encoder: TaskEncoder,
    pair: Sequence[Trajectories],
    *,
    num_queries: int,
    generator: torch.Generator,
) -> Tensor:
    """Scores of every query among the tasks: minus its squared distance to their prototypes.

    A query is what is known of a task after the first n transitions of its trajectory, log n
    uniform: the situations that a policy meets.

    Args:
        encoder: of the transitions.
        pair: two trajectories of every task; each is the support of the other's queries.
        num_queries: Q, of each trajectory.
        generator: draws the n.

    Returns:
        Logits ``[M, 2 Q, M]``: those of queries ``[m]`` belong to task m.
    """
    sums = [encoder.features(one.transitions).cumsum(1) for one in pair]
    logits = []
    for support, query in ((0, 1), (1, 0)):
        whole, lengths = pair[support].lengths[:, None], pair[query].lengths[:, None]
        uniform = torch.rand(len(lengths), num_queries, generator=generator).to(lengths.device)
        counts = torch.exp(uniform * torch.log(lengths + 1.0)).long().clamp(min=1)
        centres = _prototypes(encoder, sums[support], whole)[:, 0]
        queries = _prototypes(encoder, sums[query], torch.minimum(counts, lengths))
        scores = prototype_logits(queries.flatten(0, 1)[None], centres[None])[0]
        logits.append(scores.reshape(*queries.shape[:2], -1))
    return torch.cat(logits, 1)


def embedding_loss(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross entropy and accuracy of :func:`embedding_logits`."""
    num_tasks, num_queries, _ = logits.shape
    labels = torch.arange(num_tasks, device=logits.device)[:, None].expand(-1, num_queries)
    accuracy = (logits.argmax(-1) == labels).float().mean()
    return prototype_loss(logits, labels).mean(), accuracy


def _prototypes(encoder: TaskEncoder, sums: Tensor, counts: Tensor) -> Tensor:
    """Prototypes of the first n transitions; cumulative sums and counts ``[M, Q]``."""
    where = (counts - 1)[..., None].expand(-1, -1, sums.shape[-1])
    return encoder.prototype(torch.gather(sums, 1, where) / counts[..., None])

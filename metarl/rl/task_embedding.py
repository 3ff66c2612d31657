"""Embeddings of tasks from transitions: a ProtoNet whose classes are the tasks of a meta-batch.

An encoder maps transitions (s, a, r, s', end) to embeddings; a task's prototype is the mean over
its support transitions. Queries are classified by the nearest prototype (Snell et al. 2017), which
trains the encoder. At test the prototype is all that adapts.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from metarl.core.prototypes import prototype_logits, prototype_loss, prototypes
from metarl.nn import MLP


class TaskEncoder(nn.Module, ABC):
    """Embeds the transitions of trajectories, each element in [-1, 1].

    Inputs are normalised by their mean and variance over all that :meth:`observe` was shown.

    Args:
        num_features: F, numbers of a transition.
        embedding_size: D.
    """

    state_size: int
    """H, numbers that the encoder keeps from one transition of a trajectory to the next."""

    def __init__(self, num_features: int, embedding_size: int) -> None:
        super().__init__()
        self.num_features = num_features
        self.embedding_size = embedding_size
        # without momentum its running statistics are those of everything it has seen
        self.inputs = nn.BatchNorm1d(num_features, affine=False, momentum=None)
        self.inputs.eval()

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

    @abstractmethod
    def advance(self, transitions: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """The next transition of B trajectories.

        Args:
            transitions: ``[B, F]``.
            state: ``[B, H]``; zeros where a trajectory starts.

        Returns:
            Embeddings ``[B, D]`` and the next state.
        """

    @abstractmethod
    def embed(self, trajectories: Tensor, chosen: Tensor) -> Tensor:
        """Embeddings of some transitions.

        Args:
            trajectories: ``[B, T, F]``.
            chosen: indices of transitions, ``[B, n]``.

        Returns:
            ``[B, n, D]``.
        """


class TransitionEncoder(TaskEncoder):
    """Embeds every transition by itself, through an MLP.

    Args:
        num_features: F.
        embedding_size: D.
        hidden_sizes: widths of the hidden layers.
        generator: source of the initial weights.
    """

    state_size = 0

    def __init__(
        self,
        num_features: int,
        embedding_size: int,
        hidden_sizes: Sequence[int] = (64, 64),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(num_features, embedding_size)
        self.mlp = MLP([num_features, *hidden_sizes, embedding_size], "relu", generator)

    def advance(self, transitions: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`TaskEncoder`; there is no state."""
        return torch.tanh(self.mlp(self.inputs(transitions))), state

    def embed(self, trajectories: Tensor, chosen: Tensor) -> Tensor:
        """See :class:`TaskEncoder`."""
        rows = torch.gather(trajectories, 1, chosen[..., None].expand(-1, -1, self.num_features))
        embeddings, _ = self.advance(rows.flatten(0, 1), rows.new_zeros(0))
        return embeddings.unflatten(0, chosen.shape)


class RecurrentEncoder(TaskEncoder):
    """Embeds every transition together with what came before it in its trajectory, through a GRU.

    Args:
        num_features: F.
        embedding_size: D.
        hidden_size: H.
        generator: source of the initial weights.
    """

    def __init__(
        self,
        num_features: int,
        embedding_size: int,
        hidden_size: int = 64,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(num_features, embedding_size)
        self.state_size = hidden_size
        self.gru = nn.GRU(num_features, hidden_size, batch_first=True)
        self.head = MLP([hidden_size, embedding_size], "tanh", generator)
        bound = hidden_size**-0.5  # torch's own start of a GRU, from our generator
        with torch.no_grad():
            for weight in self.gru.parameters():
                weight.uniform_(-bound, bound, generator=generator)

    def advance(self, transitions: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`TaskEncoder`."""
        outputs, last = self.gru(self.inputs(transitions)[:, None], state[None])
        return torch.tanh(self.head(outputs[:, 0])), last[0]

    def embed(self, trajectories: Tensor, chosen: Tensor) -> Tensor:
        """See :class:`TaskEncoder`."""
        normal = self.inputs(trajectories.flatten(0, 1)).unflatten(0, trajectories.shape[:2])
        outputs, _ = self.gru(normal)
        kept = torch.gather(outputs, 1, chosen[..., None].expand(-1, -1, self.state_size))
        return torch.tanh(self.head(kept))


class OnlinePrototypes:
    """Prototypes of N tasks that grow by one transition each at a time, O(1) a step.

    Args:
        encoder: of the transitions.
        num_tasks: N.
        within_trajectory: whether a transition counts at once, or when its trajectory has ended.
        uncertainty: show the number of transitions and the spread of their embeddings, too.
        capacity: number of transitions at which the first of these is 1.
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
        size = 2 * encoder.embedding_size + 1
        # sums over transitions: embeddings, their squares, how many
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
        embeddings, self._state = self.encoder.advance(transitions, self._state)
        ones = embeddings.new_ones(len(embeddings), 1)
        self._waiting += torch.cat([embeddings, embeddings.square(), ones], 1)
        arrived = torch.ones_like(ended) if self.within_trajectory else ended
        self._sums[arrived] += self._waiting[arrived]
        self._waiting[arrived] = 0.0
        self._state[ended] = 0.0

    def prototypes(self) -> Tensor:
        """``[N, D]``, zeros for a task without transitions."""
        size = self.encoder.embedding_size
        return self._sums[:, :size] / self._sums[:, -1:].clamp(min=1.0)

    def features(self) -> Tensor:
        """The prototypes and, if asked, log count and spread, all within [-1, 1]; ``[N, C]``."""
        mean = self.prototypes()
        if not self.uncertainty:
            return mean
        count = self._sums[:, -1:]
        squares = self._sums[:, self.encoder.embedding_size : -1] / count.clamp(min=1.0)
        spread = (squares - mean.square()).clamp(min=0.0).mean(1, keepdim=True).sqrt()
        seen = torch.log1p(count) / math.log1p(self.capacity)
        return torch.cat([mean, seen.clamp(max=1.0), spread], 1)


class Trajectories(NamedTuple):
    """One trajectory of each of M tasks."""

    transitions: Tensor
    """``[M, T, F]``."""
    lengths: Tensor
    """How many of the T are real, ``[M]``, at least 1."""

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        """Indices of ``num`` real transitions of each, with replacement, ``[M, num]``."""
        uniform = torch.rand(len(self.lengths), num, generator=generator).to(self.lengths.device)
        return (uniform * self.lengths[:, None]).long()


def embedding_logits(
    encoder: TaskEncoder,
    support: Trajectories,
    query: Trajectories,
    *,
    num_support: int,
    num_queries: int,
    query_size: int,
    generator: torch.Generator,
) -> Tensor:
    """Scores of every query among the tasks: -||mean f(query) - p_c||².

    A query is a set of ``query_size`` transitions of one task: one transition alone often fits
    several tasks, such as one distance from a goal.

    Args:
        encoder: of the transitions.
        support: a trajectory of every task.
        query: another one of every task.
        num_support: transitions that make a prototype.
        num_queries: Q, of each task.
        query_size: transitions of a query.
        generator: draws the transitions.

    Returns:
        Logits ``[M·Q, M]``; row m·Q + q belongs to task m.
    """
    num_tasks = len(support.lengths)
    kept = encoder.embed(support.transitions, support.draw(num_support, generator))
    labels = torch.arange(num_tasks, device=kept.device).repeat_interleave(num_support)
    centres = prototypes(kept.flatten(0, 1)[None], labels[None], num_tasks)
    asked = encoder.embed(query.transitions, query.draw(num_queries * query_size, generator))
    means = asked.unflatten(1, (num_queries, query_size)).mean(2)
    return prototype_logits(means.flatten(0, 1)[None], centres)[0]


def embedding_loss(logits: Tensor, num_queries: int) -> tuple[Tensor, Tensor]:
    """Mean cross entropy and accuracy of :func:`embedding_logits`."""
    labels = torch.arange(logits.shape[1], device=logits.device).repeat_interleave(num_queries)
    accuracy = (logits.argmax(1) == labels).float().mean()
    return prototype_loss(logits[None], labels[None])[0], accuracy

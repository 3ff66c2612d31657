"""Encoders of transitions (s, a, r, s', end), whose mean over a task is its prototype."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

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
        self._make_layers(generator)

    @abstractmethod
    def _make_layers(self, generator: torch.Generator | None) -> None:
        """Add what makes the features."""

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

    def _make_layers(self, generator: torch.Generator | None) -> None:
        self.mlp = MLP([self.num_features, *[self.hidden_size] * 3], "relu", generator)

    def advance(self, transitions: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`TaskEncoder`; there is no state."""
        return self.mlp(self.inputs(transitions)), state

    def features(self, trajectories: Tensor) -> Tensor:
        """See :class:`TaskEncoder`."""
        features, _ = self.advance(trajectories.flatten(0, 1), trajectories.new_zeros(0))
        return features.reshape(*trajectories.shape[:2], -1)


class RecurrentEncoder(TaskEncoder):
    """Features of every transition and what came before it in its trajectory, from a GRU."""

    def _make_layers(self, generator: torch.Generator | None) -> None:
        self.state_size = self.hidden_size
        self.gru = nn.GRU(self.num_features, self.hidden_size, batch_first=True)
        bound = self.hidden_size**-0.5  # torch's own start of a GRU, from our generator
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

"""Encoders that embed transitions (s, a, r, s', end), to be averaged to the prototype of a task."""

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from metarl.nn import CNN, MLP

LOG_PRECISION_BOUND = 8.0  # sums that differ more lose the smaller ones in single precision


class Encoded(NamedTuple):
    """What an encoder makes of transitions."""

    embeddings: Tensor
    """``[..., D]``."""
    precisions: Tensor
    """How much each of their numbers counts in the mean, above 0, ``[..., D]``."""


class TaskEncoder(nn.Module, ABC):
    """From transitions to Gaussian factors, whose product has a task's prototype as its mean.

    As in PEARL (Rakelly et al. 2019, section 4.1), with its precisions: a hundred steps far from
    the goal must not drown the few beside it, and a step along x says nothing of y. Nothing follows
    the mean, and nothing bounds it. A prototype is then near to linear in what the task is, which a
    policy can follow to tasks between and beside those of training; a network after the mean, or
    bounds, fold it.

    Inputs are normalised by their mean and variance over all that :meth:`observe` was shown.

    Args:
        num_features: F, numbers of a transition.
        hidden_size: W, of all layers.
        embedding_size: D.
        generator: source of the initial weights.
        image_shape: height, width and channels where observations are images: those before and
            after a transition go through the same convolutions first, to W numbers each.
    """

    state_size: int
    """H, numbers that the encoder keeps from one transition of a trajectory to the next."""
    images: CNN
    """Where observations are images: of ``image_size`` numbers, else of 0."""

    def __init__(
        self,
        num_features: int,
        hidden_size: int,
        embedding_size: int,
        generator: torch.Generator | None = None,
        *,
        image_shape: tuple[int, int, int] | None = None,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.hidden_size = hidden_size
        self.embedding_size = embedding_size
        # without momentum its running statistics are those of everything it has seen
        self.inputs = nn.BatchNorm1d(num_features, affine=False, momentum=None)
        self.inputs.eval()
        self.image_size, num_inputs = 0, num_features
        if image_shape is not None:
            self.image_size = math.prod(image_shape)
            self.images = CNN(image_shape, 0, [hidden_size], "relu", generator, highest=1.0)
            num_inputs += 2 * (hidden_size - self.image_size)
        self._make_layers(num_inputs, generator)

    @abstractmethod
    def _make_layers(self, num_inputs: int, generator: torch.Generator | None) -> None:
        """Add all layers behind the images'."""

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

    def advance(self, transitions: Tensor, state: Tensor) -> tuple[Encoded, Tensor]:
        """The next transition of B trajectories.

        Args:
            transitions: ``[B, F]``.
            state: ``[B, H]``; zeros where a trajectory starts.

        Returns:
            What is made of them, and the next state.
        """
        outputs, state = self._advance(self._seen(self.inputs(transitions)), state)
        return _split(outputs), state

    def encode(self, trajectories: Tensor) -> Encoded:
        """What is made of all transitions ``[B, T, F]``."""
        normal = self.inputs(trajectories.flatten(0, 1)).reshape(trajectories.shape)
        return _split(self._outputs(self._seen(normal)))

    def _seen(self, normal: Tensor) -> Tensor:
        """Normalised transitions ``[..., F]`` with features in place of images."""
        size = self.image_size
        if not size:
            return normal
        before, between = normal[..., :size], normal[..., size : -size - 1]
        both = torch.stack([before, normal[..., -size - 1 : -1]], -2)
        seen = torch.relu(self.images(both.flatten(0, -2))).reshape(*both.shape[:-1], -1)
        return torch.cat([seen.flatten(-2), between, normal[..., -1:]], -1)

    @abstractmethod
    def _advance(self, transitions: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs ``[B, 2 D]`` for normalised transitions ``[B, F]``, and the next state."""

    @abstractmethod
    def _outputs(self, trajectories: Tensor) -> Tensor:
        """Embeddings and log precisions of normalised ``[B, T, F]``, ``[B, T, 2 D]``."""


def _split(outputs: Tensor) -> Encoded:
    """The log precisions, the second half, are bounded here."""
    embeddings, log_precisions = outputs.chunk(2, -1)
    bounded = LOG_PRECISION_BOUND * torch.tanh(log_precisions / LOG_PRECISION_BOUND)
    return Encoded(embeddings, bounded.exp())


class TransitionEncoder(TaskEncoder):
    """Embeds every transition by itself, by an MLP; arguments as above."""

    state_size = 0

    def _make_layers(self, num_inputs: int, generator: torch.Generator | None) -> None:
        sizes = [num_inputs, self.hidden_size, self.hidden_size, 2 * self.embedding_size]
        self.mlp = MLP(sizes, "relu", generator)

    def _advance(self, transitions: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return self.mlp(transitions), state

    def _outputs(self, trajectories: Tensor) -> Tensor:
        outputs: Tensor = self.mlp(trajectories)
        return outputs


class RecurrentEncoder(TaskEncoder):
    """Embeds every transition together with what came before it in its trajectory, by a GRU."""

    def _make_layers(self, num_inputs: int, generator: torch.Generator | None) -> None:
        self.state_size = self.hidden_size
        self.gru = nn.GRU(num_inputs, self.hidden_size, batch_first=True)
        bound = self.hidden_size**-0.5  # torch's own start of a GRU, from our generator
        with torch.no_grad():
            for weight in self.gru.parameters():
                weight.uniform_(-bound, bound, generator=generator)
        self.last = MLP([self.hidden_size, 2 * self.embedding_size], "relu", generator)

    def _advance(self, transitions: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        hidden, last = self.gru(transitions[:, None], state[None])
        return self.last(hidden[:, 0]), last[0]

    def _outputs(self, trajectories: Tensor) -> Tensor:
        outputs: Tensor = self.last(self.gru(trajectories)[0])
        return outputs

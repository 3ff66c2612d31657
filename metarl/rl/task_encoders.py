"""Encoders that embed transitions (s, a, r, s', end); a task's prototype is their weighted mean."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from metarl.nn import MLP

LOG_WEIGHT_BOUND = 8.0  # sums that differ more would lose the smaller ones in single precision


class Encoded(NamedTuple):
    """What an encoder makes of transitions."""

    embeddings: Tensor
    """``[..., D]``."""
    weights: Tensor
    """How much each counts in the mean, above 0, ``[..., 1]``."""


class TaskEncoder(nn.Module, ABC):
    """From transitions to embeddings, and to the weights that these have in their mean.

    The weight is the precision of a Gaussian factor as in PEARL (Rakelly et al. 2019, section 4.1),
    here one number for all D: a hundred steps far from the goal must not drown the few beside it.
    Nothing follows the mean, and nothing bounds it. A prototype is then near to linear in what the
    task is, which a policy can follow to tasks between and beside those of training; a network
    after the mean, or bounds, fold it.

    Inputs are normalised by their mean and variance over all that :meth:`observe` was shown.

    Args:
        num_features: F, numbers of a transition.
        hidden_size: W, of all layers.
        embedding_size: D.
        generator: source of the initial weights.
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
        self._make_layers(generator)

    @abstractmethod
    def _make_layers(self, generator: torch.Generator | None) -> None:
        """Add all layers."""

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
        outputs, state = self._advance(self.inputs(transitions), state)
        return _split(outputs), state

    def encode(self, trajectories: Tensor) -> Encoded:
        """What is made of all transitions ``[B, T, F]``."""
        normal = self.inputs(trajectories.flatten(0, 1)).reshape(trajectories.shape)
        return _split(self._outputs(normal))

    @abstractmethod
    def _advance(self, transitions: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs ``[B, D + 1]`` for normalised transitions ``[B, F]``, and the next state."""

    @abstractmethod
    def _outputs(self, trajectories: Tensor) -> Tensor:
        """Embeddings and log weights of normalised ``[B, T, F]``, together ``[B, T, D + 1]``."""


def _split(outputs: Tensor) -> Encoded:
    """The log weights ``[..., -1]`` are bounded here."""
    log_weights = LOG_WEIGHT_BOUND * torch.tanh(outputs[..., -1:] / LOG_WEIGHT_BOUND)
    return Encoded(outputs[..., :-1], log_weights.exp())


class TransitionEncoder(TaskEncoder):
    """Embeds every transition by itself, by an MLP; arguments as above."""

    state_size = 0

    def _make_layers(self, generator: torch.Generator | None) -> None:
        sizes = [self.num_features, self.hidden_size, self.hidden_size, self.embedding_size + 1]
        self.mlp = MLP(sizes, "relu", generator)

    def _advance(self, transitions: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return self.mlp(transitions), state

    def _outputs(self, trajectories: Tensor) -> Tensor:
        outputs: Tensor = self.mlp(trajectories)
        return outputs


class RecurrentEncoder(TaskEncoder):
    """Embeds every transition together with what came before it in its trajectory, by a GRU."""

    def _make_layers(self, generator: torch.Generator | None) -> None:
        self.state_size = self.hidden_size
        self.gru = nn.GRU(self.num_features, self.hidden_size, batch_first=True)
        bound = self.hidden_size**-0.5  # torch's own start of a GRU, from our generator
        with torch.no_grad():
            for weight in self.gru.parameters():
                weight.uniform_(-bound, bound, generator=generator)
        self.last = MLP([self.hidden_size, self.embedding_size + 1], "relu", generator)

    def _advance(self, transitions: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        hidden, last = self.gru(transitions[:, None], state[None])
        return self.last(hidden[:, 0]), last[0]

    def _outputs(self, trajectories: Tensor) -> Tensor:
        outputs: Tensor = self.last(self.gru(trajectories)[0])
        return outputs

"""Layers as plain tuples of tensors: calling a module takes as long as a small layer."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from metarl.nn import MLP

State = dict[str, Tensor]
"""All that is remembered, by name, ``[B, size]`` each; zeros at the start of a trial."""


class Normaliser(NamedTuple):
    """Numbers by their mean and standard deviation, cut at ±clip.

    In double precision: a mean may be far larger than the deviation.
    """

    mean: Tensor
    """``[D]``, double."""
    std: Tensor
    clip: float

    def __call__(self, x: Tensor) -> Tensor:
        """``[B, D]``."""
        return ((x.double() - self.mean) / self.std).clamp(-self.clip, self.clip).float()


class Dense(NamedTuple):
    """Linear layers with an activation between them."""

    weights: tuple[Tensor, ...]
    """``[out, in]`` each."""
    biases: tuple[Tensor, ...]
    activation: str
    """``tanh`` or ``relu``."""

    def __call__(self, x: Tensor) -> Tensor:
        """Inputs ``[B, in]`` to outputs ``[B, out]``."""
        activate = ACTIVATIONS[self.activation]
        x = functional.linear(x, self.weights[0], self.biases[0])
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            x = functional.linear(activate(x), weight, bias)
        return x


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": torch.relu}


class Cell(NamedTuple):
    """Weights of a GRU or an LSTM of one layer, as torch has them."""

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor

    @property
    def size(self) -> int:
        """H."""
        return self.weight_hh.shape[1]


def dense_of(network: nn.Module) -> Dense:
    """Copies of the layers of an MLP of ours or of an ``nn.Sequential``, on the CPU.

    Raises:
        ValueError: it has other layers, or several activations.
    """
    if isinstance(network, MLP):
        layers = [(layer.weight.T, layer.bias) for layer in network.layers]
        kinds: set[str] = {network.activation}
    else:
        parts = list(network.children())
        layers = [(part.weight, part.bias) for part in parts if isinstance(part, nn.Linear)]
        others = [part for part in parts if not isinstance(part, nn.Linear)]
        kinds = {type(part).__name__.lower() for part in others} or {"tanh"}
    if len(kinds) != 1 or not kinds <= set(ACTIVATIONS):
        raise ValueError(f"need linear layers with tanh or relu between them, got {network}")
    weights, biases = zip(*layers, strict=True)
    return Dense(tuple(map(_copy, weights)), tuple(map(_copy, biases)), kinds.pop())


def cell_of(module: nn.GRU | nn.LSTM) -> Cell:
    """Copies of the weights of one layer, on the CPU."""
    return Cell(*map(_copy, module.parameters()))


def _copy(value: Tensor) -> Tensor:
    return value.detach().cpu().clone(memory_format=torch.contiguous_format)


class Feedforward(NamedTuple):
    """A network that remembers nothing."""

    layers: Dense | nn.Module
    """From ``[B, D + C]`` to ``[B, A]``."""

    @property
    def state_sizes(self) -> dict[str, int]:
        """Nothing."""
        return {}

    def __call__(self, seen: Tensor, state: State) -> tuple[Tensor, State]:
        """Outputs ``[B, A]`` for ``[B, D + C]``."""
        outputs: Tensor = self.layers(seen)
        return outputs, {}


class Recurrent(NamedTuple):
    """An LSTM, and layers behind it."""

    cell: Cell
    layers: Dense

    @property
    def state_sizes(self) -> dict[str, int]:
        """Of what the LSTM remembers."""
        return {"hidden": self.cell.size, "cell": self.cell.size}

    def __call__(self, seen: Tensor, state: State) -> tuple[Tensor, State]:
        """Outputs ``[B, A]`` for ``[B, D + C]``, and what is remembered."""
        hidden, cell = torch.lstm_cell(seen, (state["hidden"], state["cell"]), *self.cell)
        return self.layers(hidden), {"hidden": hidden, "cell": cell}

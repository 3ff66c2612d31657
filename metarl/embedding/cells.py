"""Layers as plain tuples of arrays, of NumPy or of torch: the same text for both.

Agents run them in NumPy, since one small vector takes torch several times as long; exports trace
them in torch. Arrays are ``[..., D]``, of one trial or of B.
"""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from metarl.nn import MLP

Array = Any
"""A NumPy array or a tensor."""
State = dict[str, Array]
"""All that is remembered, by name."""


def library(x: Array) -> Any:
    """The functions of an array's library."""
    return torch if isinstance(x, Tensor) else np


def single(x: Array) -> Array:
    """In single precision."""
    return x.float() if isinstance(x, Tensor) else x.astype(np.float32)


def double(x: Array) -> Array:
    """In double precision."""
    return x.double() if isinstance(x, Tensor) else x.astype(np.float64)


def relu(x: Array) -> Array:
    """Cut below 0."""
    return torch.relu(x) if isinstance(x, Tensor) else np.maximum(x, 0)


def tanh(x: Array) -> Array:
    """Element by element.

    Of tensors in double precision: in single that of onnxruntime is 3e-7 off where it saturates.
    """
    return x.double().tanh().to(x.dtype) if isinstance(x, Tensor) else np.tanh(x)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"tanh": tanh, "relu": relu}


def moved(part: Any, convert: Callable[[Tensor], Any]) -> Any:
    """The same with all its tensors converted; modules stay."""
    if isinstance(part, Tensor):
        return convert(part)
    if isinstance(part, dict):
        return {name: moved(value, convert) for name, value in part.items()}
    if isinstance(part, tuple):
        values = [moved(value, convert) for value in part]
        return type(part)(*values) if hasattr(part, "_fields") else tuple(values)
    if is_dataclass(part) and not isinstance(part, type):
        own = {entry.name: moved(getattr(part, entry.name), convert) for entry in fields(part)}
        return type(part)(**own)
    return part


class Normaliser(NamedTuple):
    """Numbers by their mean and standard deviation, cut at ±clip.

    In double precision: a mean may be far larger than the deviation.
    """

    mean: Array
    """``[D]``, double."""
    std: Array
    clip: Array

    def __call__(self, x: Array) -> Array:
        """``[..., D]``."""
        xp = library(x)
        return single(xp.minimum(xp.maximum((x - self.mean) / self.std, -self.clip), self.clip))


class Dense(NamedTuple):
    """Linear layers with an activation between them."""

    weights: tuple[Array, ...]
    """``[in, out]`` each."""
    biases: tuple[Array, ...]
    activation: str
    """``tanh`` or ``relu``."""

    def __call__(self, x: Array) -> Array:
        """Inputs ``[..., in]`` to outputs ``[..., out]``."""
        activate = ACTIVATIONS[self.activation]
        x = x @ self.weights[0] + self.biases[0]
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            x = activate(x) @ weight + bias
        return x


class LSTM(NamedTuple):
    """One layer; a sigmoid is (1 + tanh(x / 2)) / 2, and the halves are in the weights."""

    weight_ih: Array
    """``[in, 4 H]``, of input gate, forget gate, cell and output gate."""
    weight_hh: Array
    bias: Array

    @property
    def size(self) -> int:
        """H."""
        return len(self.weight_hh)

    @classmethod
    def of(cls, module: nn.LSTM) -> "LSTM":
        """With copies of its weights."""
        weight_ih, weight_hh, bias_ih, bias_hh = map(_copy, module.parameters())
        half = torch.tensor([0.5, 0.5, 1.0, 0.5]).repeat_interleave(module.hidden_size)
        return cls(weight_ih.T * half, weight_hh.T * half, (bias_ih + bias_hh) * half)

    def __call__(self, x: Array, hidden: Array, cell: Array) -> tuple[Array, Array]:
        """The next hidden and cell states ``[..., H]``."""
        gates = tanh(x @ self.weight_ih + hidden @ self.weight_hh + self.bias)
        i, f, g, o = (gates[..., k * self.size : (k + 1) * self.size] for k in range(4))
        cell = 0.5 * ((1.0 + f) * cell + (1.0 + i) * g)
        return 0.5 * (1.0 + o) * tanh(cell), cell


class GRU(NamedTuple):
    """One layer, its sigmoids like those of :class:`LSTM`."""

    weight_ih: Array
    """``[in, 3 H]``, of reset gate, update gate and candidate."""
    weight_hh: Array
    bias_ih: Array
    bias_hh: Array

    @property
    def size(self) -> int:
        """H."""
        return len(self.weight_hh)

    @classmethod
    def of(cls, module: nn.GRU) -> "GRU":
        """With copies of its weights."""
        weight_ih, weight_hh, bias_ih, bias_hh = map(_copy, module.parameters())
        half = torch.tensor([0.5, 0.5, 1.0]).repeat_interleave(module.hidden_size)
        return cls(weight_ih.T * half, weight_hh.T * half, bias_ih * half, bias_hh * half)

    def __call__(self, x: Array, hidden: Array) -> Array:
        """The next hidden state ``[..., H]``."""
        new, old = x @ self.weight_ih + self.bias_ih, hidden @ self.weight_hh + self.bias_hh
        gates = 0.5 + 0.5 * tanh(new[..., : 2 * self.size] + old[..., : 2 * self.size])
        reset, update = gates[..., : self.size], gates[..., self.size :]
        candidate = tanh(new[..., 2 * self.size :] + reset * old[..., 2 * self.size :])
        return (1.0 - update) * candidate + update * hidden


def dense_of(network: nn.Module) -> Dense:
    """Copies of the layers of an MLP of ours or of an ``nn.Sequential``, on the CPU.

    Raises:
        ValueError: it has other layers, or several activations.
    """
    if isinstance(network, MLP):
        layers = [(layer.weight, layer.bias) for layer in network.layers]
        kinds: set[str] = {network.activation}
    else:
        parts = list(network.children())
        layers = [(part.weight.T, part.bias) for part in parts if isinstance(part, nn.Linear)]
        others = [part for part in parts if not isinstance(part, nn.Linear)]
        kinds = {type(part).__name__.lower() for part in others} or {"tanh"}
    if len(kinds) != 1 or not kinds <= set(ACTIVATIONS):
        raise ValueError(f"need linear layers with tanh or relu between them, got {network}")
    weights, biases = zip(*layers, strict=True)
    return Dense(tuple(map(_copy, weights)), tuple(map(_copy, biases)), kinds.pop())


def _copy(value: Tensor) -> Tensor:
    return value.detach().cpu().clone(memory_format=torch.contiguous_format)


class Feedforward(NamedTuple):
    """A network that remembers nothing."""

    layers: Dense | nn.Module
    """From ``[..., D + C]`` to ``[..., A]``; a module from ``[B, D + C]`` to ``[B, A]``."""

    @property
    def starts(self) -> State:
        """Nothing."""
        return {}

    def __call__(self, seen: Array, state: State) -> tuple[Array, State]:
        """Outputs ``[..., A]``."""
        if isinstance(self.layers, nn.Module) and not isinstance(seen, Tensor):
            with torch.no_grad():
                return self.layers(torch.from_numpy(seen)[None])[0].numpy(), {}
        return self.layers(seen), {}


class Recurrent(NamedTuple):
    """An LSTM, and layers behind it."""

    cell: LSTM
    layers: Dense

    @property
    def starts(self) -> State:
        """What the LSTM remembers at first."""
        nothing = library(self.cell.bias).zeros_like(self.cell.bias[: self.cell.size])
        return {"hidden": nothing, "cell": nothing}

    def __call__(self, seen: Array, state: State) -> tuple[Array, State]:
        """Outputs ``[..., A]``, and what is remembered."""
        hidden, cell = self.cell(seen, state["hidden"], state["cell"])
        return self.layers(hidden), {"hidden": hidden, "cell": cell}

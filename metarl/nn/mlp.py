"""Multi-layer perceptrons whose layers take task-batched weights."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from metarl.core.params import submodule_params
from metarl.types import Params

Activation = Literal["tanh", "relu"]


def _tanh(x: Tensor) -> Tensor:
    # NumPy's float tanh is vectorised where torch's takes ten times as long; while sampling, which
    # runs in inference mode, that is most of a step
    if torch.is_inference_mode_enabled() and x.device.type == "cpu":
        return torch.from_numpy(np.tanh(x.numpy()))
    return torch.tanh(x)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": _tanh, "relu": torch.relu}


def linear_tasks(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Every task's own linear layer.

    Inputs ``[M, B, in]``, weights ``[M, in, out]`` and biases ``[M, out]`` to ``[M, B, out]``.
    """
    return torch.baddbmm(bias[:, None, :], x, weight)


class Layer(nn.Module):
    """A linear layer's parameters, the weight stored as ``[in, out]``.

    That is the transpose of ``nn.Linear``: task-batched products, their gradients and the gradients
    of those are then all contiguous, which saves a quarter of a small model's meta-gradient.
    """

    def __init__(self, fan_in: int, fan_out: int, generator: torch.Generator | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(fan_in, fan_out))
        self.bias = nn.Parameter(torch.zeros(fan_out))
        nn.init.xavier_uniform_(self.weight, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Inputs ``[..., in]`` to outputs ``[..., out]``."""
        return functional.linear(x, self.weight.T, self.bias)


class MLP(nn.Module):
    """Linear layers with an activation between them, none after the last.

    Initialised as the MAML family does: Glorot-uniform weights, zero biases, drawn from
    ``generator``. Parameters are named ``layers.0.weight`` (``[in, out]``), ``layers.0.bias``, ...

    Args:
        sizes: widths from input to output, at least two.
        activation: ``tanh`` or ``relu``.
        generator: source of the initial weights; torch's global one if none is given.

    >>> net = MLP([3, 8, 2], "tanh")
    >>> net(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: Activation = "tanh",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"sizes needs an input and an output width >= 1, got {list(sizes)}")
        self.sizes = tuple(sizes)
        self.activation = activation
        self.layers = nn.ModuleList(
            Layer(fan_in, fan_out, generator) for fan_in, fan_out in pairwise(sizes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Inputs ``[..., in]`` to outputs ``[..., out]`` with the module's own parameters."""
        activate = ACTIVATIONS[self.activation]
        for index, layer in enumerate(self.layers):
            x = layer(x) if index == 0 else layer(activate(x))
        return x

    def forward_tasks(self, params: Params, x: Tensor) -> Tensor:
        """Inputs ``[M, B, in]`` to outputs ``[M, B, out]`` with each task's own parameters."""
        activate = ACTIVATIONS[self.activation]
        for index in range(len(self.layers)):
            weight, bias = params[f"layers.{index}.weight"], params[f"layers.{index}.bias"]
            x = linear_tasks(x if index == 0 else activate(x), weight, bias)
        return x


class FeatureMLP(nn.Module):
    """Inputs flattened, then linear layers with ReLU after each; no batch normalisation.

    Args:
        shape: of one example.
        hidden_sizes: widths; the last is the number of features.
        generator: source of the initial weights.
    """

    def __init__(
        self,
        shape: Sequence[int],
        hidden_sizes: Sequence[int],
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.mlp = MLP([math.prod(shape), *hidden_sizes], "relu", generator)
        self.num_features = hidden_sizes[-1]

    def forward(self, x: Tensor) -> Tensor:
        """``[B, *shape]`` to ``[B, D]``."""
        return torch.relu(self.mlp(x.flatten(1)))

    def forward_tasks(self, params: Params, x: Tensor, num_reference: int | None = None) -> Tensor:
        """``[M, B, *shape]`` to ``[M, B, D]``; there are no statistics to refer to."""
        return torch.relu(self.mlp.forward_tasks(submodule_params(params, "mlp"), x.flatten(2)))

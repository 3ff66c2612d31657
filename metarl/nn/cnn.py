"""A small convolutional network of flattened images, with task-batched weights."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from metarl.core.params import submodule_params
from metarl.nn.conv import by_device, conv_tasks, group_tasks, ungroup_tasks
from metarl.nn.mlp import MLP, Activation
from metarl.types import Params

FILTERS = (16, 32)
HIGHEST = 255.0
"""Of a pixel, where nothing else is said."""


class Conv(nn.Module):
    """Parameters of a 3x3 convolution of stride 2."""

    def __init__(self, fan_in: int, filters: int, generator: torch.Generator | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(filters, fan_in, 3, 3))
        self.bias = nn.Parameter(torch.zeros(filters))
        nn.init.xavier_uniform_(self.weight, generator=generator)


class CNN(nn.Module):
    """Two strided 3x3 convolutions with ReLU, then an :class:`~metarl.nn.MLP`.

    Args:
        image_shape: height, width and channels, as gymnasium has them.
        num_others: further inputs, which skip the convolutions.
        sizes: widths of the MLP after its input.
        activation: of the MLP.
        generator: source of the initial weights; torch's global one if none is given.
        highest: of a pixel, that it is divided by.

    >>> CNN((5, 5, 1), 0, [32, 4])(torch.zeros(7, 25)).shape
    torch.Size([7, 4])
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_others: int,
        sizes: Sequence[int],
        activation: Activation = "relu",
        generator: torch.Generator | None = None,
        *,
        highest: float = HIGHEST,
    ) -> None:
        super().__init__()
        height, width, channels = image_shape
        self.image_shape = image_shape
        self.highest = highest
        self.convs = nn.ModuleList(
            Conv(fan_in, filters, generator)
            for fan_in, filters in zip((channels, *FILTERS), FILTERS, strict=False)
        )
        for _ in FILTERS:
            height, width = (height + 1) // 2, (width + 1) // 2
        self.mlp = MLP([FILTERS[-1] * height * width + num_others, *sizes], activation, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Inputs ``[B, H·W·C + others]`` to outputs ``[B, out]`` with the module's parameters."""
        own = {name: value[None] for name, value in self.named_parameters()}
        return self.forward_tasks(own, x[None])[0]

    def forward_tasks(self, params: Params, x: Tensor) -> Tensor:
        """Inputs ``[M, B, H·W·C + others]`` to outputs ``[M, B, out]`` by each task's own."""
        height, width, channels = self.image_shape
        num_pixels = height * width * channels
        pixels, others = x[..., :num_pixels], x[..., num_pixels:]
        images = pixels.reshape(*x.shape[:2], *self.image_shape).movedim(-1, -3) / self.highest
        convs = {name: value for name, value in params.items() if name.startswith("convs.")}
        features = by_device(self._features, convs, images)
        mlp = submodule_params(params, "mlp")
        return self.mlp.forward_tasks(mlp, torch.cat([features, others], -1))

    def _features(self, params: Params, images: Tensor) -> Tensor:
        num_tasks = images.shape[0]
        x = group_tasks(images)
        for index in range(len(self.convs)):
            weight, bias = params[f"convs.{index}.weight"], params[f"convs.{index}.bias"]
            x = torch.relu(conv_tasks(x, weight, stride=2) + bias.reshape(1, -1, 1, 1))
        return ungroup_tasks(x, num_tasks).flatten(2)

"""ResNet-12, the residual network of few-shot learning, with task-batched weights."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from metarl.nn.conv import by_device, conv_tasks, group_tasks, ungroup_tasks
from metarl.nn.norm import BatchNorm, moments, normalise, whole_moments
from metarl.types import Params

NUM_BLOCKS = 4
NUM_LAYERS = 3  # of a block, beside its shortcut
SLOPE = 0.1  # of the activation for negative values

NormedConv = Callable[[str, Tensor], Tensor]
"""Name of a layer and images to its convolution, normalised."""


class ConvLayer(nn.Module):
    """Parameters of a convolution without a bias, and of the batch norm after it."""

    def __init__(
        self, fan_in: int, fan_out: int, kernel: int, generator: torch.Generator | None
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(fan_out, fan_in, kernel, kernel))
        self.norm = BatchNorm(fan_out)
        nn.init.kaiming_normal_(
            self.weight, a=SLOPE, mode="fan_out", nonlinearity="leaky_relu", generator=generator
        )


class ResidualBlock(nn.Module):
    """Parameters of one block: three 3x3 layers beside a 1x1 shortcut."""

    def __init__(self, fan_in: int, width: int, generator: torch.Generator | None) -> None:
        super().__init__()
        inputs = [fan_in, *[width] * (NUM_LAYERS - 1)]
        self.layers = nn.ModuleList(ConvLayer(fan, width, 3, generator) for fan in inputs)
        self.shortcut = ConvLayer(fan_in, width, 1, generator)


class ResNet12(nn.Module):
    """Four residual blocks, each of which halves the resolution, and a mean over space.

    A block is LeakyReLU(f(x) + shortcut(x)) and 2x2 max-pooling, with f three layers of 3x3
    convolution and batch norm and LeakyReLU between them. The widths are those of Lee et al. 2019;
    (64, 128, 256, 512) are those of Oreshkin et al. 2018. Left out of the former: DropBlock, and
    features flattened where they are averaged here.

    Called as a module it normalises as ``nn.BatchNorm2d`` does: by the batch in training mode, by
    running moments in evaluation mode. :meth:`forward_tasks` always normalises by batches.

    Args:
        in_channels: of the images.
        image_size: height and width.
        widths: channels of every block; the last is the number of features.
        generator: source of the initial weights; torch's global one if none is given.

    >>> ResNet12(3, (32, 32), widths=(4, 4, 8, 8))(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 8])
    """

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        *,
        widths: Sequence[int] = (64, 160, 320, 640),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if len(widths) != NUM_BLOCKS or min(widths) < 1:
            raise ValueError(f"widths must be {NUM_BLOCKS} of at least 1, got {tuple(widths)}")
        if min(image_size) < 2**NUM_BLOCKS:
            raise ValueError(f"resnet12 needs images of at least 16x16, got {image_size}")
        inputs = [in_channels, *widths[:-1]]
        self.blocks = nn.ModuleList(
            ResidualBlock(fan_in, width, generator)
            for fan_in, width in zip(inputs, widths, strict=True)
        )
        self.num_features = widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Images ``[B, C, H, W]`` to features ``[B, D]`` with the module's own parameters."""
        return _features(group_tasks(x[None]), 1, self._own_layer)[0]

    def forward_tasks(self, params: Params, x: Tensor, num_reference: int | None = None) -> Tensor:
        """Images ``[M, B, C, H, W]`` to features ``[M, B, D]`` with each task's own parameters.

        Args:
            params: task-batched parameters by name.
            x: images.
            num_reference: examples at the front of each task's batch that give the statistics of
                batch normalisation; all by default.
        """
        return by_device(partial(self._group_forward, num_reference=num_reference), params, x)

    def _group_forward(self, params: Params, x: Tensor, num_reference: int | None) -> Tensor:
        def layer(name: str, x: Tensor) -> Tensor:
            x = conv_tasks(x, params[f"{name}.weight"])
            scale, shift = params[f"{name}.norm.weight"], params[f"{name}.norm.bias"]
            return normalise(x, moments(x, num_reference), scale.flatten(), shift.flatten())

        return _features(group_tasks(x), x.shape[0], layer)

    def _own_layer(self, name: str, x: Tensor) -> Tensor:
        """A layer normalised by the batch, which moves the running moments, or by these."""
        layer = self.get_submodule(name)
        assert isinstance(layer, ConvLayer)
        x = conv_tasks(x, layer.weight[None])
        stats = layer.norm.running()
        if self.training:
            stats, num_values = whole_moments(moments(x), x.numel() // x.shape[1])
            layer.norm.track(stats, num_values)
        return normalise(x, stats, layer.norm.weight, layer.norm.bias)


def _features(x: Tensor, num_tasks: int, layer: NormedConv) -> Tensor:
    """``[B, M * C, H, W]`` to ``[M, B, D]``."""
    for block in range(NUM_BLOCKS):
        shortcut = layer(f"blocks.{block}.shortcut", x)
        for index in range(NUM_LAYERS):
            x = x if index == 0 else _leaky(x)
            x = layer(f"blocks.{block}.layers.{index}", x)
        # pooled first, since it commutes with what increases and leaves a quarter to do
        x = _leaky(functional.max_pool2d(x + shortcut, 2))
    return ungroup_tasks(x.mean((2, 3)), num_tasks)


def _leaky(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, SLOPE)

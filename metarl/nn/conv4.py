"""Conv4, the four-block convolutional network of few-shot learning, with task-batched weights."""

import math
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from metarl.nn.conv import by_device, conv_tasks, group_tasks, ungroup_tasks
from metarl.nn.norm import (
    BatchNorm,
    Moments,
    moments,
    normalise,
    pooled_moments,
    whole_moments,
)
from metarl.types import Params

Downsample = Literal["max-pool", "stride"]
NUM_BLOCKS = 4


class ConvBlock(nn.Module):
    """Parameters of one block: 3x3 convolution, batch norm, ReLU, halving.

    The convolution has no bias: batch normalisation takes it away again.
    """

    def __init__(self, fan_in: int, filters: int, generator: torch.Generator | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(filters, fan_in, 3, 3))
        self.norm = BatchNorm(filters)
        nn.init.xavier_uniform_(self.weight, generator=generator)


class Conv4(nn.Module):
    """Four blocks of 3x3 convolution, batch norm, ReLU and a halving of the resolution.

    ``max-pool`` is the encoder of Vinyals et al. 2016 and Snell et al. 2017 (and, with 32 filters
    and 84x84 images, MAML's for mini-ImageNet); features are flattened. ``stride`` is MAML's own
    for Omniglot: strided convolutions and a mean over space (Finn et al. 2017, section 5.2).

    Called as a module it normalises as ``nn.BatchNorm2d`` does: by the batch in training mode, by
    running moments in evaluation mode. :meth:`forward_tasks` always normalises by batches.

    Args:
        in_channels: of the images.
        image_size: height and width.
        filters: of every block.
        downsample: ``max-pool`` or ``stride``.
        generator: source of the initial weights; torch's global one if none is given.

    >>> Conv4(1, (28, 28))(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 64])
    """

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        *,
        filters: int = 64,
        downsample: Downsample = "max-pool",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if downsample == "max-pool" and min(image_size) < 2**NUM_BLOCKS:
            raise ValueError(
                f"conv4 with max-pool needs images of at least 16x16, got {image_size}; "
                "use downsample stride"
            )
        self.downsample = downsample
        widths = [in_channels, *[filters] * NUM_BLOCKS]
        self.blocks = nn.ModuleList(
            ConvBlock(widths[i], filters, generator) for i in range(NUM_BLOCKS)
        )
        spatial = math.prod(side // 2**NUM_BLOCKS for side in image_size)
        self.num_features = filters * (spatial if downsample == "max-pool" else 1)

    def forward(self, x: Tensor) -> Tensor:
        """Images ``[B, C, H, W]`` to features ``[B, D]`` with the module's own parameters."""
        x = group_tasks(x[None])
        for block in self.blocks:
            assert isinstance(block, ConvBlock)
            norm = block.norm
            if self.training:
                x, batch = self._halve(x, block.weight[None], norm.weight, norm.bias, None)
                norm.track(*batch)
            else:
                x = self._halve_fixed(x, block)
        return self._features(x, 1)[0]

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
        num_tasks = x.shape[0]
        x = group_tasks(x)
        for index in range(NUM_BLOCKS):
            name = f"blocks.{index}"
            scale, shift = params[f"{name}.norm.weight"], params[f"{name}.norm.bias"]
            weight = params[f"{name}.weight"]
            x, _ = self._halve(x, weight, scale.flatten(), shift.flatten(), num_reference)
        return self._features(x, num_tasks)

    def _halve(
        self, x: Tensor, weight: Tensor, scale: Tensor, shift: Tensor, num_reference: int | None
    ) -> tuple[Tensor, tuple[Moments, int]]:
        """One block, normalised by the batch; also its convolution's moments, and of how many."""
        if self.downsample == "stride":
            x = conv_tasks(x, weight, stride=2)
            stats, count = whole_moments(moments(x, num_reference), x.numel() // x.shape[1])
            return normalise(x, stats, scale, shift).relu(), (stats, count)
        # a negative scale moves into the convolution, so that pooling commutes with the rest
        sign = torch.where(scale < 0, -1.0, 1.0).to(x.dtype)
        x = conv_tasks(x, weight * sign.view(*weight.shape[:2], 1, 1, 1))
        num_values = x.numel() // x.shape[1]
        x, part = pooled_moments(x, num_reference)
        stats, count = whole_moments(part, num_values)
        x = normalise(x, stats, scale * sign, shift).relu()
        return x, (Moments(stats.mean * sign, stats.variance), count)

    def _halve_fixed(self, x: Tensor, block: ConvBlock) -> Tensor:
        """One block, normalised by its running moments."""
        norm, stride = block.norm, 2 if self.downsample == "stride" else 1
        x = conv_tasks(x, block.weight[None], stride=stride)
        x = normalise(x, norm.running(), norm.weight, norm.bias).relu()
        return x if self.downsample == "stride" else functional.max_pool2d(x, 2)

    def _features(self, x: Tensor, num_tasks: int) -> Tensor:
        """``[B, M * C, H, W]`` to ``[M, B, D]``."""
        if self.downsample == "stride":
            x = x.mean((2, 3), keepdim=True)
        return ungroup_tasks(x, num_tasks).flatten(2)

"""Networks made of ``torch.nn`` modules, and what a task-batched network has in common with them.

Parameters of ours and of theirs come in the same order.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from metarl.core import expand, parameters_of
from metarl.nn import Conv4, ResNet12
from metarl.nn.norm import BatchNorm

Network = Conv4 | ResNet12


class PlainNorm(nn.BatchNorm2d):
    """Batch normalisation whose statistics may come from the first examples of the batch only."""

    num_reference: int | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.num_reference is None:
            return super().forward(x)
        reference = x[: self.num_reference]
        mean = reference.mean((0, 2, 3), keepdim=True)
        variance = (reference - mean).square().mean((0, 2, 3), keepdim=True)
        x = (x - mean) / (variance + 1e-5).sqrt()
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class PlainResidualBlock(nn.Module):
    def __init__(self, fan_in: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(fan_in, width, 3, padding=1, bias=False),
            PlainNorm(width),
            nn.LeakyReLU(0.1),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            PlainNorm(width),
            nn.LeakyReLU(0.1),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            PlainNorm(width),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(fan_in, width, 1, bias=False), PlainNorm(width))
        self.last = nn.Sequential(nn.LeakyReLU(0.1), nn.MaxPool2d(2))

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.last(self.layers(x) + self.shortcut(x))
        return output


def plain_resnet12(channels: int, widths: list[int]) -> nn.Module:
    inputs = [channels, *widths[:-1]]
    blocks = [PlainResidualBlock(*pair) for pair in zip(inputs, widths, strict=True)]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def plain_conv4(channels: int, filters: int, downsample: str) -> nn.Module:
    layers: list[nn.Module] = []
    stride = 2 if downsample == "stride" else 1
    for index in range(4):
        fan_in = filters if index else channels
        layers += [nn.Conv2d(fan_in, filters, 3, stride, padding=1, bias=False)]
        layers += [PlainNorm(filters), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if downsample == "max-pool" else []
    layers += [nn.AdaptiveAvgPool2d(1)] if downsample == "stride" else []
    return nn.Sequential(*layers, nn.Flatten())


def draw(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def in_double(ours: Network, plain: nn.Module) -> None:
    """Both in double precision with the same weights; scales are of both signs."""
    ours.double(), plain.double()
    for index, (mine, theirs) in enumerate(zip(ours.parameters(), plain.parameters(), strict=True)):
        if mine.ndim == 1:
            mine.data = draw(index, *mine.shape)
        theirs.data = mine.data.clone()


class Derivatives(NamedTuple):
    """Of a function of the features, by parameters and by images."""

    features: Tensor
    first: tuple[Tensor, ...]
    second: tuple[Tensor, ...]
    """Of the product of the first ones with fixed directions: all of the Hessian takes part."""


def derivatives(features: Tensor, inputs: list[Tensor], num_tasks: int) -> Derivatives:
    """``inputs`` lead with the task axis; directions are the same for every task."""
    loss = (features.sin() * draw(1, *features.shape[1:])).sum()
    first = torch.autograd.grad(loss, inputs, create_graph=True)
    slope = torch.stack(
        [(g * draw(k, *g.shape[1:])).sum() for k, g in enumerate(first, start=100)]
    ).sum()
    return Derivatives(features, first, torch.autograd.grad(slope, inputs))


def task_inputs(ours: Network, num_tasks: int, *shape: int) -> tuple[dict[str, Tensor], Tensor]:
    """Parameters that differ from task to task, and images, all of them leaves."""
    params = {
        name: (value + 0.1 * draw(50 + k, *value.shape)).detach().requires_grad_()
        for k, (name, value) in enumerate(expand(parameters_of(ours), num_tasks).items())
    }
    return params, draw(7, num_tasks, *shape).requires_grad_()


def our_derivatives(
    ours: Network, params: dict[str, Tensor], x: Tensor, num_reference: int | None
) -> Derivatives:
    features = ours.forward_tasks(params, x, num_reference)
    return derivatives(features, [*params.values(), x], len(x))


def grouped_derivatives(
    ours: Network, params: dict[str, Tensor], x: Tensor, num_reference: int | None
) -> Derivatives:
    """All tasks in one pass, as on a GPU."""
    features = ours._group_forward(params, x, num_reference)
    return derivatives(features, [*params.values(), x], len(x))


def plain_derivatives(
    plain: nn.Module, params: dict[str, Tensor], x: Tensor, num_reference: int | None
) -> Derivatives:
    """One task after another."""
    for module in plain.modules():
        if isinstance(module, PlainNorm):
            module.num_reference = num_reference
    names = [name for name, _ in plain.named_parameters()]
    features = [
        functional_call(
            plain, dict(zip(names, (v[m] for v in params.values()), strict=True)), (x[m],)
        )
        for m in range(len(x))
    ]
    return derivatives(torch.stack(features), [*params.values(), x], len(x))


def check_running_statistics(ours: Network, plain: nn.Module, *shape: int) -> None:
    """Three batches in training mode, then one in evaluation mode."""
    for k in range(3):
        x = (1 + k) * draw(k, *shape) + k
        torch.testing.assert_close(ours(x), plain(x))
    norms = [module for module in ours.modules() if isinstance(module, BatchNorm)]
    others = [module for module in plain.modules() if isinstance(module, PlainNorm)]
    for mine, theirs in zip(norms, others, strict=True):
        torch.testing.assert_close(mine.running_mean, theirs.running_mean)
        torch.testing.assert_close(mine.running_variance, theirs.running_var)
    x = draw(9, *shape)
    features = ours.eval()(x)
    torch.testing.assert_close(features, plain.eval()(x))
    torch.testing.assert_close(ours(x[:1]), features[:1])
    assert not torch.allclose(ours.train()(x), features)

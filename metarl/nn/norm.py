"""Batch normalisation with named sources of its statistics, and pooling that goes before it.

Channels may be *grouped by task*: ``[B, M * C, H, W]`` holds M tasks of C channels, so that every
task has statistics of its own. Statistics come from the first ``num_reference`` examples of the
batch: all of them (transductive: predictions of a query set depend on one another), or a support
set put in front of the queries (inductive). Gradients flow through the statistics.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

from metarl.core.collectives import ranks, rows_of_all

EPSILON = 1e-5  # added to the variance, as in torch's own batch normalisation
MOMENTUM = 0.1  # of the running moments, also torch's


class Moments(NamedTuple):
    """Mean and biased variance of every channel, ``[C]`` each."""

    mean: Tensor
    variance: Tensor


class BatchNorm(nn.Module):
    """Scale, shift and running moments of a batch normalisation, ``[C]`` each.

    It holds them only; networks normalise with the functions of this module.
    """

    running_mean: Tensor
    running_variance: Tensor

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))
        self.register_buffer("running_mean", torch.zeros(num_channels))
        self.register_buffer("running_variance", torch.ones(num_channels))

    def running(self) -> Moments:
        """The running moments."""
        return Moments(self.running_mean, self.running_variance)

    def track(self, stats: Moments, num_values: int) -> None:
        """Move the running moments towards those of a batch with ``num_values`` a channel."""
        mean, variance = (value.detach().to(self.running_mean.dtype) for value in stats)
        self.running_mean.lerp_(mean, MOMENTUM)
        self.running_variance.lerp_(variance * (num_values / max(num_values - 1, 1)), MOMENTUM)


def pooled_moments(x: Tensor, num_reference: int | None = None) -> tuple[Tensor, Moments]:
    """2x2 max-pooling of ``x``, and the moments of ``x`` itself.

    Max-pooling commutes with a normalisation whose scale is positive and with ReLU, so a block
    convolution-norm-ReLU-pool may pool first and normalise a quarter of the values. Forward and
    backward each touch the large activation as rarely as can be; this is what makes the blocks
    of :class:`metarl.nn.Conv4` fast on a CPU.

    Args:
        x: ``[B, C, H, W]``, fastest in channels-last memory.
        num_reference: examples at the front that the moments are taken over; all by default.

    Returns:
        Pooled ``[B, C, H // 2, W // 2]`` and the moments.
    """
    count = x.shape[0] if num_reference is None else num_reference
    pooled, mean, variance = _applied(_PooledMoments, x, count)
    return pooled, Moments(mean, variance)


def moments(x: Tensor, num_reference: int | None = None) -> Moments:
    """Mean and biased variance of every channel over ``x[:num_reference]``, ``[B, C, H, W]``."""
    count = x.shape[0] if num_reference is None else num_reference
    return Moments(*_applied(_Moments, x, count))


_over_ranks = ContextVar("over_ranks", default=False)


@contextmanager
def batches_over_ranks(yes: bool) -> Iterator[None]:
    """If ``yes``, the batches of modules that are called in here go on in the other processes."""
    token = _over_ranks.set(yes)
    try:
        yield
    finally:
        _over_ranks.reset(token)


def whole_moments(part: Moments, num_values: int) -> tuple[Moments, int]:
    """Those of the batch of which this process has a part with ``num_values`` a channel.

    Returns:
        Moments and values a channel; of a batch that is whole just these. See
        :func:`batches_over_ranks`.
    """
    if not _over_ranks.get():
        return part, num_values
    own = torch.cat([*part, part.mean.new_tensor([num_values])])
    channels = len(part.mean)
    rows = rows_of_all(own[None], ranks().size)
    means, variances, counts = torch.split(rows, [channels, channels, 1], 1)
    shares = counts / counts.sum()
    mean = (shares * means).sum(0)
    variance = (shares * (variances + (means - mean).square())).sum(0)
    return Moments(mean, variance), int(counts.sum())


def normalise(x: Tensor, stats: Moments, scale: Tensor, shift: Tensor) -> Tensor:
    """``scale (x - mean) / sqrt(variance + ε) + shift`` by channel of ``[B, C, H, W]``."""
    factor = scale * torch.rsqrt(stats.variance + EPSILON)
    return torch.addcmul(_column(shift - stats.mean * factor), x, _column(factor))


def _column(by_channel: Tensor) -> Tensor:
    return by_channel[:, None, None]


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _mean_over_positions(x: Tensor) -> Tensor:
    """Mean over batch and space; a product with ones is the fastest sum over channels-last rows."""
    if x.dtype == torch.bfloat16:
        return x.mean((0, 2, 3), dtype=torch.float32)
    if _autocasts(x.device.type):  # which would round that product to bf16
        return x.mean((0, 2, 3))
    rows = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
    return (rows.new_ones(1, rows.shape[0]) @ rows)[0] / rows.shape[0]


def _autocasts(device_type: str) -> bool:
    # not all device types can be asked: the meta device cannot
    available = torch.amp.is_autocast_available(device_type)
    return available and torch.is_autocast_enabled(device_type)


def _raw_moments(x: Tensor) -> Moments:
    if x.device.type == "cpu" and x.dtype != torch.bfloat16:  # one pass, not three
        return Moments(*torch.ops.aten.batch_norm_update_stats(x, None, None, 0.0))
    mean = _mean_over_positions(x)
    return Moments(mean, _mean_over_positions((x - _column(mean)).square()))


def _applied(function: type[Function], *inputs: Any) -> Any:
    """``function.apply``, which torch gives no types."""
    apply: Callable[..., Any] = function.apply
    return apply(*inputs)


class _Moments(Function):
    """x -> mean(x), variance(x); differentiable twice."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, count: int) -> tuple[Tensor, Tensor]:
        mean, variance = _raw_moments(x[:count])
        ctx.save_for_backward(x, mean)
        ctx.count = count
        return mean, variance

    @staticmethod
    def backward(ctx: Any, mean: Tensor, variance: Tensor) -> Any:
        x, centre = ctx.saved_tensors
        return _applied(_MomentsGradient, mean, variance, x, centre, ctx.count), None


class _MomentsGradient(Function):
    """Gradient with respect to x: dx = dμ / n + 2 dσ² (x - μ) / n, for the reference examples.

    x is centred first: where a variance is next to nothing, its gradient is huge, and what
    rounding leaves of x - μ would be, too.
    """

    @staticmethod
    def forward(
        ctx: Any, mean: Tensor, variance: Tensor, x: Tensor, centre: Tensor, count: int
    ) -> Tensor:
        centred = x[:count] - _column(centre)
        ctx.save_for_backward(variance, centred)
        ctx.size = x.shape[0]
        num_values = centred.numel() // centred.shape[1]
        slope = _column(variance * (2 / num_values))
        gradient = torch.addcmul(_column(mean / num_values), centred, slope)
        return _padded(gradient.to(x.dtype), ctx.size)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, tangent: Tensor) -> Any:
        variance, centred = ctx.saved_tensors
        reference = _channels_last(tangent)[: len(centred)]
        mean = _mean_over_positions(reference)
        slope = variance * (2 / (centred.numel() // centred.shape[1]))
        to_variance = 2 * _mean_over_positions(reference * centred)
        to_x = torch.addcmul(_column(-slope * mean), reference, _column(slope))
        return mean, to_variance, _padded(to_x.to(tangent.dtype), ctx.size), None, None


def _padded(x: Tensor, size: int) -> Tensor:
    """``x`` with examples of zeros behind it, up to ``size``."""
    if len(x) == size:
        return x
    return torch.cat([x, x.new_zeros(size - len(x), *x.shape[1:])])


class _PooledMoments(Function):
    """x -> max-pool(x), mean(x), variance(x); differentiable twice."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
        pooled, index = functional.max_pool2d(x, 2, return_indices=True)
        mean, variance = _raw_moments(x[:count])
        ctx.save_for_backward(x, index, mean)
        ctx.count = count
        return pooled, mean, variance

    @staticmethod
    def backward(ctx: Any, pooled: Tensor, mean: Tensor, variance: Tensor) -> Any:
        x, index, centre = ctx.saved_tensors
        inputs = (pooled, mean, variance, x, index, centre, ctx.count)
        return _applied(_PooledMomentsGradient, *inputs), None


class _PooledMomentsGradient(Function):
    """Gradient with respect to x: pooled ones where they came from, moments' ones spread.

    dx = scatter(dp) + dμ / n + 2 dσ² (x - μ) / n, the latter two for the reference examples.
    """

    @staticmethod
    def forward(
        ctx: Any,
        pooled: Tensor,
        mean: Tensor,
        variance: Tensor,
        x: Tensor,
        index: Tensor,
        centre: Tensor,
        count: int,
    ) -> Tensor:
        num_values = x[:count].numel() // x.shape[1]
        ctx.save_for_backward(variance, x, index, centre)
        ctx.count, ctx.num_values = count, num_values
        gradient: Tensor = torch.ops.aten.max_pool2d_with_indices_backward(
            _channels_last(pooled), x, [2, 2], [2, 2], [0, 0], [1, 1], False, index
        )
        slope = variance * (2 / num_values)
        offset = mean / num_values - slope * centre
        gradient[:count].addcmul_(x[:count], _column(slope)).add_(_column(offset))
        return gradient

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, tangent: Tensor) -> Any:
        variance, x, index, centre = ctx.saved_tensors
        tangent = _channels_last(tangent)
        reference = tangent[: ctx.count]
        mean = _mean_over_positions(reference)
        to_variance = 2 * (_mean_over_positions(reference * x[: ctx.count]) - mean * centre)
        slope = variance * (2 / ctx.num_values)
        to_x = torch.zeros_like(x)
        torch.addcmul(_column(-slope * mean), reference, _column(slope), out=to_x[: ctx.count])
        return _gather(tangent, index), mean, to_variance, to_x, None, None, None


def _gather(x: Tensor, index: Tensor) -> Tensor:
    """The values of ``x`` at the positions that max-pooling chose."""
    batch, channels, height, width = index.shape
    flat = x.permute(0, 2, 3, 1).reshape(batch, -1, channels)
    chosen = index.permute(0, 2, 3, 1).reshape(batch, -1, channels)
    return flat.gather(1, chosen).view(batch, height, width, channels).permute(0, 3, 1, 2)

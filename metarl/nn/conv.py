"""Convolutions with task-batched weights.

On a GPU the tasks of a call are *grouped*: images ``[B, M * C, H, W]`` and one convolution with M
groups. On a CPU one task already fills the cores and more only spill their caches, so tasks go one
after another (:func:`by_device`), each as a group of one. Activations are channels-last in memory,
in which a CPU's convolutions reach the speed of its matrix products.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from metarl.core.params import num_tasks_of
from metarl.types import Params

TaskForward = Callable[[Params, Tensor], Tensor]


def by_device(forward: TaskForward, params: Params, x: Tensor) -> Tensor:
    """Call ``forward`` for all tasks at once on a GPU, for one after another on a CPU.

    Args:
        forward: task-batched parameters and inputs ``[M, B, ...]`` to outputs ``[M, B, ...]``.
        params: ``[M, *shape]`` by name.
        x: ``[M, B, ...]``.
    """
    num_tasks = num_tasks_of(params)
    if x.shape[0] != num_tasks:
        raise ValueError(f"need inputs [M={num_tasks}, B, ...], got {tuple(x.shape)}")
    if num_tasks == 1 or x.device.type != "cpu":
        return forward(params, x)
    singles = [slice(task, task + 1) for task in range(num_tasks)]
    return torch.cat([forward({k: v[one] for k, v in params.items()}, x[one]) for one in singles])


def group_tasks(x: Tensor) -> Tensor:
    """Images ``[M, B, C, H, W]`` to ``[B, M * C, H, W]`` in channels-last memory."""
    grouped = x.transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)
    if grouped.shape[1] > 1:
        return grouped
    # with one channel every layout is channels-last, but convolutions go by the strides
    height, width = grouped.shape[2:]
    return grouped.as_strided(grouped.shape, (height * width, 1, width, 1))


def ungroup_tasks(x: Tensor, num_tasks: int) -> Tensor:
    """Images ``[B, M * C, ...]`` to ``[M, B, C, ...]``."""
    return x.reshape(x.shape[0], num_tasks, -1, *x.shape[2:]).transpose(0, 1)


def conv_tasks(x: Tensor, weight: Tensor, *, stride: int = 1) -> Tensor:
    """Every task's own convolution, padded by half the kernel, without a bias.

    Args:
        x: ``[B, M * C, H, W]``.
        weight: ``[M, O, C, k, k]`` with odd k.
        stride: of the output.

    Returns:
        ``[B, M * O, H', W']``.
    """
    num_tasks, padding = weight.shape[0], weight.shape[-1] // 2
    kernels = weight.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    return functional.conv2d(x, kernels, stride=stride, padding=padding, groups=num_tasks)

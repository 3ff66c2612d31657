"""Sums over the processes of one run; the identity where there is one process.

The processes, called ranks, are ``torch.distributed``'s: started by ``torchrun``, joined by
:mod:`metarl.training`. Tasks are dealt out to them in contiguous parts, so that what is gathered by
rank is in the order of the tasks. Every function here must be called by all ranks alike.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch import distributed as dist


class Ranks(NamedTuple):
    """This process among those of the run."""

    rank: int
    """Of this process, from 0; the first one writes."""
    size: int
    """Of processes."""

    def part(self, total: int) -> range:
        """Which of ``total`` tasks are this process's; the first parts are longer by at most one.

        >>> [list(Ranks(rank, 2).part(3)) for rank in range(2)]
        [[0, 1], [2]]
        """
        least, more = divmod(total, self.size)
        start = self.rank * least + min(self.rank, more)
        return range(start, start + least + (self.rank < more))


def ranks() -> Ranks:
    """Those that have been joined; one process where none have."""
    if not (dist.is_available() and dist.is_initialized()):
        return Ranks(0, 1)
    return Ranks(dist.get_rank(), dist.get_world_size())


@torch.no_grad()
def summed(*tensors: Tensor) -> list[Tensor]:
    """Sums over ranks of tensors of one type, the same bits on every rank, by one message."""
    if ranks().size == 1:
        return list(tensors)
    flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
    dist.all_reduce(flat)
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]


def gathered(value: Any) -> list[Any]:
    """What every rank has, in their order; plain data and tensors on the CPU."""
    size = ranks().size
    if size == 1:
        return [value]
    values: list[Any] = [None] * size
    dist.all_gather_object(values, value)
    return values


def of_first(value: Any) -> Any:
    """What the first rank has."""
    if ranks().size == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]

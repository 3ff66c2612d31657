"""Sums over the processes of one run; the identity where there is one process.

The processes, called ranks, are ``torch.distributed``'s: started by ``torchrun``, joined by
:mod:`metarl.training`. Tasks are dealt out to them in contiguous parts, so that what is gathered by
rank is in the order of the tasks. Every function here must be called by all ranks alike.
"""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch import distributed as dist
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from metarl.core.timing import Stopwatch

COMMUNICATION = Stopwatch()
"""Seconds in here since this process began, the waiting for slower ranks included."""


class RanksError(RuntimeError):
    """The processes of a run have lost one another, or are not alike; one line."""


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
    with _communicating():
        dist.all_reduce(flat)
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]


def sum_gradients(parameters: Iterable[Tensor], figures: Tensor) -> Tensor:
    """Make gradients their sums over ranks, by one message.

    Args:
        parameters: those with gradients have them on all ranks.
        figures: are summed, too.

    Returns:
        The sums of the figures.
    """
    gradients = [value.grad for value in parameters if value.grad is not None]
    *sums, figures = summed(*gradients, figures)
    for gradient, total in zip(gradients, sums, strict=True):
        gradient.copy_(total)
    return figures


def rows_of_all(own: Tensor, total: int) -> Tensor:
    """The rows of all ranks, in the order of the tasks; differentiable once.

    What flows back is the gradient of the sum of all ranks' losses, so that parameters' gradients
    have to be summed, too.

    Args:
        own: of this rank's part of the tasks, ``[len(part), ...]``.
        total: number of tasks.
    """
    if ranks().size == 1:
        return own
    rows: Tensor = _RowsOfAll.apply(own, total)  # type: ignore[no-untyped-call]
    return rows


class _RowsOfAll(Function):
    """Sums of what is 0 but for own rows: parts may differ in length, and x + 0 is x."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, total: int) -> Tensor:
        ctx.part = part = ranks().part(total)
        rows = own.new_zeros(total, *own.shape[1:])
        rows[part.start : part.stop] = own
        return summed(rows)[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (rows,) = summed(gradient)
        return rows[ctx.part.start : ctx.part.stop], None


class Part(NamedTuple):
    """This process's tasks among those of a meta-batch, as :meth:`Ranks.part` deals them out."""

    start: int
    """Number of the first one."""
    stop: int
    """Of the one after the last."""
    total: int
    """Of all processes."""

    @classmethod
    def own(cls, total: int) -> "Part":
        """Of this process."""
        own = ranks().part(total)
        return cls(own.start, own.stop, total)

    @property
    def num(self) -> int:
        """Of this process."""
        return self.stop - self.start

    @property
    def is_all(self) -> bool:
        """Whether there are no others."""
        return self.num == self.total

    def rows(self, *own: Tensor) -> list[Tensor]:
        """Values of all tasks, ``[total]`` each, from those of its own, by one message."""
        if self.is_all:
            return list(own)
        rows = rows_of_all(torch.stack([values.detach() for values in own], 1), self.total)
        return list(rows.T.contiguous())


def gathered(value: Any) -> list[Any]:
    """What every rank has, in their order; plain data and tensors on the CPU."""
    size = ranks().size
    if size == 1:
        return [value]
    values: list[Any] = [None] * size
    with _communicating():
        dist.all_gather_object(values, value)
    return values


def of_first(value: Any) -> Any:
    """What the first rank has: plain data and tensors, which the others get on the CPU."""
    rank, size = ranks()
    if size == 1:
        return value
    packed = io.BytesIO()
    if rank == 0:
        torch.save(value, packed)
    values = [packed.getvalue()]
    with _communicating():
        dist.broadcast_object_list(values)
    if rank == 0:
        return value
    return torch.load(io.BytesIO(values[0]), map_location="cpu", weights_only=False)


@contextmanager
def _communicating() -> Iterator[None]:
    """What torch raises where a rank does not answer is a :class:`RanksError`."""
    with COMMUNICATION:
        try:
            yield
        except RuntimeError as error:
            raise RanksError(
                "another process of this run has ended or is out of reach; torchrun --max-restarts "
                "starts all anew from the newest checkpoint, and metarl resume goes on from it"
            ) from error

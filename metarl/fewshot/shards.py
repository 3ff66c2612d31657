"""What the processes of a run have of a meta-batch, and how its parts come together again."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from metarl.core.collectives import gathered, ranks, rows_of_all, summed
from metarl.files import NonFiniteError
from metarl.nn.backbones import NORMS
from metarl.nn.norm import MOMENTUM, BatchNorm


def own_part(meta_batch_size: int, chunk: int) -> range:
    """Which episodes of a meta-batch are this process's, in the order of the processes.

    Args:
        meta_batch_size: episodes in all.
        chunk: at least 1; so many, from the first one, are not to be divided.

    Raises:
        ValueError: there are fewer of them than processes.
    """
    who, num_chunks = ranks(), -(-meta_batch_size // chunk)
    if num_chunks < who.size:
        needed = who.size if chunk == 1 else f"{(who.size - 1) * chunk + 1} with task_chunk {chunk}"
        raise ValueError(
            f"meta_batch_size must be at least {needed}, so that each of the {who.size} processes "
            f"has a part, got {meta_batch_size}"
        )
    own = who.part(num_chunks)
    return range(own.start * chunk, min(own.stop * chunk, meta_batch_size))


def check_norms(network: nn.Module, *, pooled: bool) -> None:
    """Raise a ValueError if batch normalisation of torch would have statistics of one process.

    Args:
        network: with modules of torch or of a user.
        pooled: whether processes share what a batch is.
    """
    for part in network.modules():
        foreign = isinstance(part, NORMS) and not isinstance(part, BatchNorm)
        if foreign and (pooled or getattr(part, "track_running_stats", True)):
            raise ValueError(
                f"{type(part).__name__} of the backbone has the statistics of one of the "
                f"{ranks().size} processes: take nn.GroupNorm, conv4, resnet12 or one process"
            )


def episodes_of_all(num_own: int, device: torch.device) -> int:
    """How many episodes the processes have together."""
    if ranks().size == 1:
        return num_own
    (total,) = summed(torch.tensor(num_own, device=device))
    return int(total)


def join_running(buffers: Sequence[Tensor], before: Sequence[Tensor], num_batches: int) -> None:
    """Make running statistics what they were if all batches had come one after another.

    After k batches they are what these added, and 0.9^k of what they were.

    Args:
        buffers: which this process's batches have moved.
        before: what these were.
        num_batches: how many these are.
    """
    start = torch.cat([value.flatten() for value in before])
    own = torch.cat([*(value.flatten() for value in buffers), start.new_tensor([num_batches])])
    running = start
    for row in rows_of_all(own[None], ranks().size):
        running = row[:-1] + (1 - MOMENTUM) ** row[-1] * (running - start)
    parts = torch.split(running, [buffer.numel() for buffer in buffers])
    for buffer, value in zip(buffers, parts, strict=True):
        buffer.copy_(value.view_as(buffer))


def in_turns(num: int, work: Callable[[int], Tensor]) -> list[Tensor]:
    """What ``work`` makes of 0 to num - 1, each made by one process, all had by each.

    Raises:
        NonFiniteError: in all processes, if one has raised it.
    """
    own: list[Tensor] | NonFiniteError
    try:
        own = [work(number) for number in ranks().part(num)]
    except NonFiniteError as error:
        own = error
    made: list[Tensor] = []
    for each in gathered(own):
        if isinstance(each, NonFiniteError):
            raise each
        made += each
    return made

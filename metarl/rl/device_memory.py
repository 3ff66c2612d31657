"""How much of a meta-batch a GPU's memory holds: at once, and at all."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch

from metarl.core.collectives import ranks
from metarl.rl.experience import Experience

SHARE = 0.5
"""Of the memory there is, for what is differentiated at once; the rest is left to products, line
searches and the gaps between tensors."""
TRIED = 4
"""Tasks of which the need of one is measured."""


class DeviceMemoryError(ValueError):
    """A meta-batch does not fit the memory of its device; one line with the largest that does."""


def chunk_size(num_tasks: int, bytes_a_task: float, free: float) -> int:
    """Tasks to differentiate at once: in the fewest chunks of 1, 2, 4, ... that fit.

    So few numbers of chunks are possible that the same one is found again, when a run goes on.

    >>> chunk_size(400, 1e9, 100e9), chunk_size(400, 1e6, 100e9), chunk_size(3, 1e9, 1e9)
    (50, 400, 1)
    """
    num_chunks = 1
    while num_chunks < num_tasks and -(-num_tasks // num_chunks) * bytes_a_task > SHARE * free:
        num_chunks *= 2
    return -(-num_tasks // num_chunks)


class ChunkMemory:
    """Measures once what a step of a task takes when a learner differentiates it."""

    def __init__(self) -> None:
        self._bytes_a_step: float | None = None

    def chunk(self, experience: Experience, differentiate: Callable[[Experience], object]) -> int:
        """Tasks that the device of an experience differentiates at once.

        Args:
            experience: of all tasks, on CUDA.
            differentiate: what is done to a part of it.
        """
        weights = experience.query.weights
        num_tasks, num_steps = weights.shape
        if self._bytes_a_step is None:
            tried = experience.tasks(slice(TRIED))
            peak = _peak_bytes(lambda: differentiate(tried), weights.device)
            self._bytes_a_step = peak / tried.query.weights.numel()
        return chunk_size(num_tasks, self._bytes_a_step * num_steps, _free_bytes(weights.device))


def _peak_bytes(work: Callable[[], object], device: torch.device) -> int:
    """That work takes beside what there was."""
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    work()
    return torch.cuda.max_memory_allocated(device) - before


def _free_bytes(device: torch.device) -> int:
    """What nobody has, and what torch keeps for whoever asks next."""
    free, _ = torch.cuda.mem_get_info(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(free) + kept


class Rehearsed(Protocol):
    """A learner that can try what it does with fewer tasks."""

    def describe_batch(self) -> str:
        """Its meta-batch and where that is."""
        ...

    def rehearse(self, num_tasks: int) -> None:
        """An iteration with so many tasks, after which nothing has changed."""
        ...


@contextmanager
def device_memory(learner: Rehearsed, most: int) -> Iterator[None]:
    """Running out of a device's memory in here is a :class:`DeviceMemoryError`.

    Args:
        learner: what is done in here is an iteration of it.
        most: tasks that may fit; 0 to try none.
    """
    failed = False
    try:
        yield
    except torch.OutOfMemoryError:
        failed = True  # only after this are the tensors of what failed let go of
    if failed:
        largest = _largest(learner, most) * ranks().size
        better = f"the largest that does has {largest}" if largest else "take a smaller one"
        raise DeviceMemoryError(
            f"{learner.describe_batch()} does not fit its memory; by halving, {better}: "
            f"--meta-batch-size {largest or 'N'}"
        )


def _largest(learner: Rehearsed, num_tasks: int) -> int:
    """The largest number of tasks that fits, by halving."""
    while num_tasks:
        try:
            learner.rehearse(num_tasks)
            return num_tasks
        except torch.OutOfMemoryError:
            num_tasks //= 2
    return 0

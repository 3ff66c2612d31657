"""N-way K-shot episodes, and what draws them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, NoReturn, Protocol

import torch
from torch import Tensor

from metarl.core import Streams
from metarl.types import TasksDone, unwatched


class Episodes(NamedTuple):
    """A batch of M episodes of one shape. Labels are shuffled anew for every episode."""

    support_x: Tensor
    """``[M, S, *shape]``."""
    support_y: Tensor
    """Classes in ``[0, N)``, ``[M, S]`` int64; for regression targets ``[M, S, D]`` float32."""
    query_x: Tensor
    """``[M, Q, *shape]``; no example is in both support and query."""
    query_y: Tensor
    """``[M, Q]``, or ``[M, Q, D]``."""
    num_ways: int
    """N; 0 for regression."""
    first: int = 0
    """Number of the first of them in the meta-batch."""
    shared: bool = False
    """Whether other processes have the rest of what was drawn as one batch."""

    @property
    def num_episodes(self) -> int:
        """M."""
        return self.support_x.shape[0]

    def chunks(self, size: int) -> "list[Episodes]":
        """The same episodes, at most ``size`` in a batch; 0 for all in one."""
        whole, size = not size, size or self.num_episodes
        return [
            self._each(partial(_slice, start=a, stop=a + size))._replace(
                first=self.first + a, shared=self.shared and whole
            )
            for a in range(0, self.num_episodes, size)
        ]

    def to(self, device: torch.device) -> "Episodes":
        """The same episodes on ``device``."""
        return self._each(lambda tensor: tensor.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Episodes":
        return self._replace(
            support_x=change(self.support_x),
            support_y=change(self.support_y),
            query_x=change(self.query_x),
            query_y=change(self.query_y),
        )


def in_chunks(batches: Sequence[Episodes], size: int) -> list[Episodes]:
    """Batches of a meta-batch one after another, see :meth:`Episodes.chunks`; numbered anew."""
    chunks, first = [], batches[0].first
    for batch in batches:
        chunks += batch._replace(first=first).chunks(size)
        first += batch.num_episodes
    return chunks


def _slice(tensor: Tensor, start: int, stop: int) -> Tensor:
    return tensor[start:stop]


class EpisodeSampler(Protocol):
    """Draws episodes.

    It holds no state: the generator is the caller's, and lives on the CPU, so that the same
    episodes come out on every device.
    """

    def sample(
        self, num_episodes: int, generator: torch.Generator, part: range | None = None
    ) -> list[Episodes]:
        """Draw episodes, in as few batches as their shapes allow.

        Args:
            num_episodes: how many are drawn.
            generator: draws them.
            part: which of them are fetched, all by default; given where the processes of a run
                have a part each. What is left out need not be loaded.
        """
        ...


class EpisodeSamplers(NamedTuple):
    """Where a learner's episodes come from."""

    train: EpisodeSampler
    validation: EpisodeSampler
    num_validation: int
    """Episodes of one evaluation during training."""
    regression: bool = False
    """Whether targets are numbers."""


class EpisodeStream(NamedTuple):
    """Episodes to adapt to and be scored on."""

    sampler: EpisodeSampler
    num_episodes: int
    streams: Streams
    """Draw them."""
    regression: bool = False
    """Whether targets are numbers."""
    progress: TasksDone = unwatched
    """Told of every batch."""


class Support(NamedTuple):
    """Labelled examples to adapt to."""

    x: Tensor
    """``[M, S, *shape]``."""
    y: Tensor
    """Classes in ``[0, N)``, ``[M, S]`` int64."""
    num_ways: int
    """N."""


def no_model(task: int, after: bool) -> NoReturn:
    """What stands for the classifiers of episodes that are scored: they are not kept."""
    raise ValueError("classifiers of scored episodes are not kept")

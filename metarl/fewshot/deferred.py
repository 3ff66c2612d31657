"""Sources and samplers that read their data when it is first needed."""

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from metarl.fewshot.episodes import Episodes, EpisodeSampler
from metarl.fewshot.sources import ClassGroups, Source


class DeferredSource:
    """A source of which classes, counts and shape are known.

    Args:
        name: see :class:`~metarl.fewshot.Source`, as the next three.
        class_names: one a class.
        counts: examples of every class.
        shape: of one example.
        read: reads the source itself.
    """

    def __init__(
        self,
        name: str,
        class_names: Sequence[str],
        counts: Sequence[int],
        shape: tuple[int, ...],
        read: Callable[[], Source],
    ) -> None:
        self.name = name
        self.class_names = tuple(class_names)
        self.counts = torch.tensor(counts, dtype=torch.int64)
        self.shape = shape
        self._read = read

    @cached_property
    def source(self) -> Source:
        """The source itself."""
        return self._read()

    @property
    def groups(self) -> ClassGroups | None:
        """Structure of the classes, where there is one."""
        return self.source.groups

    def take(self, classes: Tensor, examples: Tensor) -> Tensor:
        """See :meth:`metarl.fewshot.Source.take`."""
        return self.source.take(classes, examples)


class DeferredSampler:
    """A sampler that is made when it first draws.

    Args:
        make: makes it.
    """

    def __init__(self, make: Callable[[], EpisodeSampler]) -> None:
        self._make = make

    def make(self) -> None:
        """Make it now."""
        self._sampler  # noqa: B018  # cached

    @cached_property
    def _sampler(self) -> EpisodeSampler:
        return self._make()

    def sample(self, num_episodes: int, generator: torch.Generator) -> list[Episodes]:
        """See :meth:`metarl.fewshot.EpisodeSampler.sample`."""
        return self._sampler.sample(num_episodes, generator)

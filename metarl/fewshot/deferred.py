"""Sources and samplers that read their data when it is first needed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from metarl.fewshot.episodes import Episodes, EpisodeSampler
from metarl.fewshot.sources import ClassGroups, Source


@dataclass(eq=False)
class DeferredSource:
    """A :class:`~metarl.fewshot.Source` of which classes, counts and shape are known."""

    name: str
    class_names: Sequence[str]
    counts: Tensor
    shape: tuple[int, ...]
    read: Callable[[], Source]
    """Reads the source itself."""

    @cached_property
    def source(self) -> Source:
        """The source itself."""
        return self.read()

    @property
    def groups(self) -> ClassGroups | None:
        """Structure of the classes, where there is one."""
        return self.source.groups

    def take(self, classes: Tensor, examples: Tensor) -> Tensor:
        """See :meth:`metarl.fewshot.Source.take`."""
        return self.source.take(classes, examples)


@dataclass(eq=False)
class DeferredSampler:
    """A sampler that is made when it first draws."""

    make: Callable[[], EpisodeSampler]
    """Makes it."""

    @cached_property
    def _sampler(self) -> EpisodeSampler:
        return self.make()

    def sample(self, num_episodes: int, generator: torch.Generator) -> list[Episodes]:
        """See :meth:`metarl.fewshot.EpisodeSampler.sample`."""
        return self._sampler.sample(num_episodes, generator)

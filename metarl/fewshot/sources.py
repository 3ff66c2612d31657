"""What episodes are drawn from: examples by class, and a data set's three splits of them.

Every data set of :mod:`metarl.fewshot.data` is a :class:`Dataset` of :class:`Source` objects, and
every sampler of :mod:`metarl.fewshot.samplers` draws from a :class:`Source`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

Split = Literal["train", "validation", "test"]
"""A part of a data set; their classes differ, unless it is split by examples."""


class DamagedDataError(ValueError):
    """A file turned out to be damaged when an example in it was first needed."""


class ClassGroups(NamedTuple):
    """How the classes of a source hang together, for the samplers of Meta-Dataset.

    ``bilevel``: superclasses (Omniglot's alphabets), of which some classes are drawn.
    ``graph``: eligible nodes of a class graph (ImageNet's), each with all its leaves.
    """

    rule: Literal["bilevel", "graph"]
    members: tuple[tuple[int, ...], ...]
    """Class indices of every group."""


class Scaling(NamedTuple):
    """Mean and standard deviation of a train split: of every feature, or channel of series."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    """1 of what is constant there."""

    def standardised(self, x: Tensor) -> Tensor:
        """Examples in the units of their file, ``[n, D]`` or ``[n, channels, time]``, to float32.

        Raises:
            ValueError: a number is not finite, or too large for this mean and scale.

        >>> Scaling((10.0, 0.0), (2.0, 1.0)).standardised(torch.tensor([[14.0, 3.0]])).tolist()
        [[2.0, 3.0]]
        """
        numbers = x.to("cpu", torch.float64)  # float32 is too coarse far from 0
        if not torch.isfinite(numbers).all():
            raise ValueError("examples must be finite")
        mean, std = (
            torch.tensor(each, dtype=torch.float64).reshape(-1, *[1] * (x.ndim - 2))
            for each in self
        )
        scaled = ((numbers - mean) / std).float()
        if not (torch.isfinite(scaled).all() and torch.isfinite(std).all()):
            raise ValueError("some features are too large to be scaled by the train split's")
        return scaled

    def is_close(self, other: "Scaling") -> bool:
        """Whether they are the same but for rounding, which goes by machine and order."""
        mean, std = torch.tensor(self, dtype=torch.float64)
        mean_there, std_there = torch.tensor(other, dtype=torch.float64)
        changes = torch.cat([(mean_there - mean) / std, std_there / std - 1])
        return bool((changes.abs() < 1e-6).all())


class Source(Protocol):
    """Examples of one split, by class. Classes and the examples of each count from 0."""

    @property
    def name(self) -> str:
        """What it is called in messages, such as ``glyphs test``."""
        ...

    @property
    def class_names(self) -> Sequence[str]:
        """One a class."""
        ...

    @property
    def counts(self) -> Tensor:
        """Examples of every class, ``[C]`` int64 on the CPU."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example: ``(channels, height, width)``, ``(features,)``, ``(channels, time)``."""
        ...

    @property
    def groups(self) -> ClassGroups | None:
        """Structure of the classes, where there is one."""
        ...

    def take(self, classes: Tensor, examples: Tensor) -> Tensor:
        """The examples of these indices, two int64 tensors of one shape, to ``[..., *shape]``.

        Images are uint8 in [0, 255], everything else float32; on the source's device.

        Raises:
            DamagedDataError: a file of theirs cannot be read.
        """
        ...


class ArraySource:
    """A source in memory, or on a device.

    Args:
        name: see :attr:`Source.name`.
        examples: ``[total, *shape]``, those of a class next to one another in order of class;
            uint8 images or float32.
        counts: examples of every class, ``[C]``.
        class_names: one a class.
        groups: structure of the classes, where there is one.

    >>> source = ArraySource("toy", torch.tensor([[1.0], [2.0], [3.0]]), [1, 2], ["a", "b"])
    >>> source.take(torch.tensor([1, 0]), torch.tensor([1, 0])).tolist()
    [[3.0], [1.0]]
    """

    def __init__(
        self,
        name: str,
        examples: Tensor,
        counts: Sequence[int],
        class_names: Sequence[str],
        groups: ClassGroups | None = None,
    ) -> None:
        if len(counts) != len(class_names):
            raise ValueError(f"{name}: {len(counts)} counts for {len(class_names)} class names")
        if sum(counts) != len(examples):
            raise ValueError(f"{name}: counts add up to {sum(counts)}, not {len(examples)}")
        if examples.dtype not in (torch.uint8, torch.float32):
            raise ValueError(f"{name}: examples must be uint8 or float32, got {examples.dtype}")
        self.name = name
        self.examples = examples
        self.shape = tuple(examples.shape[1:])
        self.counts = torch.tensor(counts, dtype=torch.int64)
        self.class_names = tuple(class_names)
        self.groups = groups
        self._starts = torch.cumsum(self.counts, 0) - self.counts

    def take(self, classes: Tensor, examples: Tensor) -> Tensor:
        """See :meth:`Source.take`."""
        index = (self._starts[classes] + examples).flatten().to(self.examples.device)
        return self.examples.index_select(0, index).reshape(*classes.shape, *self.shape)

    def to(self, device: torch.device) -> "ArraySource":
        """The same source with its examples on ``device``."""
        examples = self.examples.to(device)
        return ArraySource(self.name, examples, self.counts.tolist(), self.class_names, self.groups)


@dataclass(frozen=True, eq=False)
class DeferredSource:
    """A source of which all is known but the examples, which are read when they are needed."""

    name: str
    class_names: Sequence[str]
    counts: Tensor
    shape: tuple[int, ...]
    groups: ClassGroups | None
    read: Callable[[], Source]
    """The source itself; called whenever examples are taken."""

    def take(self, classes: Tensor, examples: Tensor) -> Tensor:
        """See :meth:`Source.take`."""
        return self.read().take(classes, examples)


@dataclass(frozen=True)
class Dataset:
    """A data set whose classes are split in three."""

    name: str
    train: Source
    validation: Source
    test: Source
    scaling: Scaling | None = field(default=None, kw_only=True)
    """That the examples of tables and series were standardised by; none of images."""
    digest: str = field(default="", kw_only=True)
    """Of all examples in order, where the splits have classes in common, so that the order decides
    which were trained on."""

    def split(self, name: Split) -> Source:
        """The source of a split."""
        source: Source = getattr(self, name)
        return source

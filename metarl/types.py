"""Shared types and the axis legend.

Every tensor of this package is described by the letters of its axes:

``M`` tasks, ``E`` environments (one trajectory each) a task, ``T`` time steps,
``N`` ways, ``K`` shots, ``S`` support examples, ``Q`` query examples, ``D`` features,
``A`` actions, ``B`` any batch of examples.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Params = dict[str, Tensor]
"""Parameters by the names of ``Module.named_parameters()``; ``[M, *shape]`` once task-batched."""

Metrics = dict[str, float]
"""Numbers a learner reports, by TensorBoard key."""


class Video(NamedTuple):
    """Moving pictures."""

    frames: NDArray[np.uint8]
    """``[T, height, width, 3]``, RGB."""
    fps: float
    """Frames a second."""


BatchT = TypeVar("BatchT")
"""Whatever a loss consumes; every tensor in it leads with the task axis ``M``."""

LossFn = Callable[[Params, BatchT], Tensor]
"""Task-batched parameters and a task-batched batch to one loss a task, ``[M]``."""

StepSize = float | Tensor | Mapping[str, Tensor]
"""Inner learning rate: one number for all, or a tensor for each parameter name, broadcast to
``[M, *shape]``. A tensor that requires grad is learned with the parameters (Meta-SGD)."""

ActionArray = NDArray[np.float32 | np.float64 | np.int64]
"""Actions as an environment takes them."""
Task = dict[str, NDArray[Any]]
"""One task of a task family: a goal, physical parameters."""

TasksDone = Callable[[int, int], object]
"""Called with how many tasks are done, and of how many."""


def unwatched(done: int, total: int) -> None:
    """The :data:`TasksDone` of what nobody watches."""


ModelT_co = TypeVar("ModelT_co", covariant=True)


@dataclass(frozen=True, kw_only=True)
class Adaptation(Generic[ModelT_co]):
    """What came of adapting to M tasks, whatever the learner and whoever made the data."""

    values: NDArray[np.float64]
    """A figure of every task after 0..K steps, ``[K + 1, M]``; no rows where nothing was scored."""
    measure: Literal["returns", "accuracy", "mse"]
    """What the figures are: mean returns, shares of right answers in [0, 1], squared errors."""
    unit: str
    """What a step is, in the plural; empty where a learner takes none."""
    model: Callable[[int, bool], ModelT_co]
    """From the index of a task to a model that acts or classifies: the adapted one where the second
    argument is True, that before adaptation where it is False. Raises :class:`ValueError` where a
    learner has none to give."""
    tasks: Sequence[Task] = ()
    """M, of task families."""
    held_out: bool = True
    """Whether training draws none of them."""
    paths: Sequence[tuple[Sequence[NDArray[Any]], Sequence[NDArray[Any]]]] = ()
    """Of the first tasks, observations ``[T, D]`` of a few trajectories before and after."""
    embeddings: NDArray[np.float32] | None = None
    """Prototypes of each task after one trajectory, ``[M, trials, D]``, of learners with them."""
    outcomes: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """What environments told of each task's trajectories after 0..K steps, ``[K + 1, M]`` by name:
    ``success``, a share in [0, 1], and means of other numbers."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """What else there is to say."""

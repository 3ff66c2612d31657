"""Shared types and the axis legend.

Every tensor of this package is described by the letters of its axes:

``M`` tasks, ``E`` environments (one trajectory each) a task, ``T`` time steps,
``N`` ways, ``K`` shots, ``S`` support examples, ``Q`` query examples, ``D`` features,
``A`` actions, ``B`` any batch of examples.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

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

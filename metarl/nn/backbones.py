"""Feature extractors of few-shot learners: their interface, and any other module as one."""

import math
from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from metarl.core.params import dry_run, lift, submodule_params
from metarl.nn.mlp import FeatureMLP
from metarl.nn.norm import BatchNorm
from metarl.types import Params


@runtime_checkable
class Backbone(Protocol):
    """A module from inputs to features that also runs with task-batched parameters."""

    num_features: int

    def __call__(self, x: Tensor) -> Tensor:
        """Inputs ``[B, *shape]`` to features ``[B, D]``, by the module's mode."""
        ...

    def forward_tasks(self, params: Params, x: Tensor, num_reference: int | None = None) -> Tensor:
        """Inputs ``[M, B, *shape]`` to features ``[M, B, D]``.

        Batch statistics come from the first ``num_reference`` examples of a task, by default all.
        """
        ...


FixedStatistics = Literal["running", "batch", "none"]
"""Of batch normalisation in evaluation mode: those of training, those of each batch, nothing."""


NORMS = BatchNorm, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm


class RawInputs(nn.Module):
    """The backbone that leaves inputs as they are, but flat.

    Args:
        shape: of one example.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.num_features = math.prod(shape)
        # without values: it says where the module lives, and an optimiser wants one
        self.nothing = nn.Parameter(torch.empty(0))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, *shape]`` to ``[B, D]``."""
        return x.flatten(1)

    def forward_tasks(self, params: Params, x: Tensor, num_reference: int | None = None) -> Tensor:
        """``[M, B, *shape]`` to ``[M, B, D]``."""
        return x.flatten(2)


class LiftedBackbone(nn.Module):
    """Any module as a backbone; features are its flattened outputs.

    Its own batch normalisation, if it has any, follows the module's mode: batches in training mode,
    running statistics in evaluation mode; ``num_reference`` changes nothing. See
    :func:`fixed_statistics`.

    Args:
        module: one tensor in, one tensor out.
        shape: of one example, to find the number of features.
    """

    def __init__(self, module: nn.Module, shape: Sequence[int]) -> None:
        super().__init__()
        self.module = module
        self._lifted = lift(module)
        self.num_features = dry_run(module, shape).flatten(1).shape[1]

    def forward(self, x: Tensor) -> Tensor:
        """``[B, *shape]`` to ``[B, D]``."""
        features: Tensor = self.module(x)
        return features.flatten(1)

    def forward_tasks(self, params: Params, x: Tensor, num_reference: int | None = None) -> Tensor:
        """``[M, B, *shape]`` to ``[M, B, D]``."""
        return self._lifted(submodule_params(params, "module"), x).flatten(2)


def fixed_statistics(backbone: nn.Module) -> FixedStatistics | None:
    """What a backbone normalises by in evaluation mode, whatever ``num_reference`` asks for.

    Returns:
        None of backbones that do what is asked: those with a ``forward_tasks`` of their own.

    >>> fixed_statistics(LiftedBackbone(nn.BatchNorm1d(3), (3,)))
    'running'
    """
    native = isinstance(backbone, Backbone)
    if native and not isinstance(backbone, FeatureMLP | RawInputs | LiftedBackbone):
        return None
    norms = [part for part in backbone.modules() if isinstance(part, NORMS)]
    if not norms:
        return "none"
    tracked = all(getattr(norm, "track_running_stats", True) for norm in norms)
    return "running" if tracked else "batch"

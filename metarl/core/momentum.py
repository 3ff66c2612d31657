"""The inner rule that is gradient descent with momentum."""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from metarl.core.inner import GradientRule, descend
from metarl.types import BatchT, LossFn, Params


class Velocities(NamedTuple):
    """State of :class:`Momentum`."""

    step: int
    """How many were taken."""
    values: Params
    """v of what has moved, ``[M, *shape]``."""


@dataclass(frozen=True, eq=False)
class Momentum(GradientRule[Velocities]):
    """Heavy ball: v' = μ v + ∇ L, θ' = θ - α v'  (Polyak 1964); v is 0 at first.

    As :class:`SGD` in all else, and equal to it at μ = 0.
    """

    momentum: float = 0.9
    """μ in [0, 1)."""

    def init(self, params: Params) -> Velocities:
        """At rest."""
        self._check_names(params)
        return Velocities(0, {})

    def step(
        self, loss_fn: LossFn[BatchT], params: Params, support: BatchT, state: Velocities
    ) -> tuple[Params, Velocities]:
        """Down the velocity."""
        gradients = self._gradients(loss_fn, params, support)
        values = {
            name: torch.add(gradient, state.values[name], alpha=self.momentum)
            if name in state.values
            else gradient
            for name, gradient in gradients.items()
        }
        stepped = descend(params, values, self.step_size(state.step))
        return stepped, Velocities(state.step + 1, state.values | values)

"""From policy actions to environment actions: scale to the bounds, then clip."""

from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray


class ActionScaling(NamedTuple):
    """Policy actions of ±``scale`` span the environment's bounds; what lies beyond is clipped."""

    low: NDArray[Any]
    """Lower bounds of the environment's actions, ``[A]``."""
    high: NDArray[Any]
    """Upper bounds, ``[A]``."""
    scale: float
    """1 in the MAML authors' code, 10 in ProMP's and garage's."""

    @staticmethod
    def of(space: spaces.Space[Any], scale: float) -> "ActionScaling":
        """Scaling to a bounded Box.

        Raises:
            ValueError: for any other space.
        """
        if not isinstance(space, spaces.Box) or not space.is_bounded():
            raise ValueError(f"need a bounded Box action space, got {space}")
        return ActionScaling(space.low.ravel(), space.high.ravel(), scale)

    def __call__(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Policy actions ``[..., A]`` to environment actions ``[..., A]``.

        >>> scaling = ActionScaling(np.array([-0.1]), np.array([0.1]), 10.0)
        >>> scaling(np.array([[5.0], [-30.0]])).ravel().tolist()
        [0.05, -0.1]
        """
        half_range = (self.high - self.low) / (2 * self.scale)
        middle = (self.high + self.low) / 2
        scaled = actions * half_range + middle
        clipped: NDArray[Any] = np.minimum(np.maximum(scaled, self.low), self.high)
        return clipped

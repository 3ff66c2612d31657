"""From policy actions to environment actions: scale to the bounds and clip, or count from starts.

They are written to files with a policy, so they are plain data.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor


class ActionScaling(NamedTuple):
    """Policy actions of ±``scale`` span the environment's bounds; what lies beyond is clipped.

    Where there are no bounds, ``scale`` is infinite and actions stay as they are.
    """

    low: NDArray[Any]
    """Lower bounds of the environment's actions, ``[A]``."""
    high: NDArray[Any]
    """Upper bounds, ``[A]``."""
    scale: float
    """1 in the MAML authors' code, 10 in ProMP's and garage's."""

    def __call__(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Policy actions ``[..., A]`` to environment actions ``[..., A]``.

        >>> scaling = ActionScaling(np.array([-0.1]), np.array([0.1]), 10.0)
        >>> scaling(np.array([[5.0], [-30.0]])).ravel().tolist()
        [0.05, -0.1]
        """
        if self.scale == np.inf:
            return actions
        half_range = (self.high - self.low) / (2 * self.scale)
        middle = (self.high + self.low) / 2
        scaled = actions * half_range + middle
        clipped: NDArray[Any] = np.minimum(np.maximum(scaled, self.low), self.high)
        return clipped

    def on(self, device: torch.device) -> Callable[[Tensor], Tensor]:
        """The same of float32 tensors of a device."""
        if self.scale == np.inf:
            return lambda actions: actions
        half_range = (self.high - self.low) / (2 * self.scale)
        middle = (self.high + self.low) / 2
        bounds = (half_range, middle, self.low, self.high)
        half, centre, low, high = (
            torch.as_tensor(np.asarray(bound, np.float32), device=device) for bound in bounds
        )
        return lambda actions: torch.clamp(torch.addcmul(centre, actions, half), low, high)

    def raw(self, action: Any) -> NDArray[np.float32]:
        """The policy's action of one of the environment's, ``[A]``, the inverse within the bounds.

        Of one at the bounds nobody knows how far beyond them the policy's was.

        Raises:
            ValueError: it is no action of the environment.

        >>> ActionScaling(np.array([-0.1]), np.array([0.1]), 10.0).raw([0.05]).tolist()
        [5.0]
        """
        given = np.asarray(action, np.float64)
        if given.shape != self.low.shape:
            raise ValueError(f"action has shape {given.shape}, need {self.low.shape}")
        slack = 1e-6 * (self.high - self.low)
        if not ((given >= self.low - slack) & (given <= self.high + slack)).all():
            raise ValueError(f"action is outside the bounds {self.low} to {self.high}: {given}")
        return np.asarray(self.inverse(given[None])[0], np.float32)

    def inverse(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Environment actions to policy actions ``[B, A]``: at a bound the least one that is there.

        >>> scaling = ActionScaling(np.array([-0.1]), np.array([0.1]), 10.0)
        >>> scaling.inverse(np.array([[0.05], [-0.1]])).ravel().tolist()
        [5.0, -10.0]
        """
        flat: NDArray[Any] = actions.reshape(len(actions), -1).astype(np.float64)
        if self.scale == np.inf:
            return flat
        middle, half_range = (self.high + self.low) / 2, (self.high - self.low) / 2
        inner: NDArray[Any] = ((flat - middle) * (self.scale / half_range)).clip(
            -self.scale, self.scale
        )
        return inner


class ActionNumbering(NamedTuple):
    """Policy actions are indices from 0, environment actions numbers from ``start``."""

    start: int
    """The first action's number."""

    def __call__(self, actions: NDArray[Any]) -> NDArray[np.int64]:
        """Indices ``[..., 1]`` to numbers ``[...]``.

        >>> ActionNumbering(1)(np.array([[0.0], [2.0]])).tolist()
        [1, 3]
        """
        return actions[..., 0].astype(np.int64) + self.start

    def on(self, device: torch.device) -> Callable[[Tensor], Tensor]:
        """The same of tensors of a device."""
        return lambda actions: actions[..., 0].long() + self.start

    def raw(self, action: Any) -> NDArray[np.float32]:
        """The index ``[1]`` of one action's number."""
        return np.asarray(self.inverse(np.asarray(action, np.float32).reshape(1))[0], np.float32)

    def inverse(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Numbers ``[B]`` to indices ``[B, 1]``."""
        indices: NDArray[Any] = np.subtract(actions, self.start)[:, None]
        return indices


class ActionNumberings(NamedTuple):
    """Policy actions are G indices from 0, environment actions numbers from ``starts``."""

    starts: NDArray[np.int64]
    """The first number of each, of the shape of an environment action."""

    def __call__(self, actions: NDArray[Any]) -> NDArray[np.int64]:
        """Indices ``[..., G]`` to numbers ``[..., *shape]``.

        >>> ActionNumberings(np.array([1, 0]))(np.array([[0.0, 2.0]])).tolist()
        [[1, 2]]
        """
        indices = actions.reshape(*actions.shape[:-1], *self.starts.shape)
        return indices.astype(np.int64) + self.starts

    def on(self, device: torch.device) -> Callable[[Tensor], Tensor]:
        """The same of tensors of a device."""
        starts = torch.as_tensor(self.starts, device=device)
        return lambda actions: actions.reshape(-1, *starts.shape).long() + starts

    def raw(self, action: Any) -> NDArray[np.float32]:
        """The indices ``[G]`` of one action ``[*shape]``."""
        return np.asarray(self.inverse(np.asarray(action, np.float32)[None])[0], np.float32)

    def inverse(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Numbers ``[B, *shape]`` to indices ``[B, G]``."""
        indices: NDArray[Any] = np.subtract(actions, self.starts)
        return indices.reshape(len(actions), -1)


ActionMap = ActionScaling | ActionNumbering | ActionNumberings


def action_map(space: spaces.Space[Any], scale: float) -> ActionMap:
    """From the actions of a policy to those of a space.

    Args:
        space: a Box with all bounds or none, for a Gaussian policy; or Discrete, MultiDiscrete or
            MultiBinary.
        scale: see :class:`ActionScaling`; means nothing where actions are numbers.

    Raises:
        ValueError: for any other space.
    """
    if isinstance(space, spaces.Discrete):
        return ActionNumbering(int(space.start))
    if isinstance(space, spaces.MultiDiscrete):
        return ActionNumberings(space.start.astype(np.int64))
    if isinstance(space, spaces.MultiBinary):
        return ActionNumberings(np.zeros(space.shape, np.int64))
    if not isinstance(space, spaces.Box) or not (space.is_bounded() or is_unbounded(space)):
        raise ValueError(
            "need a Discrete, MultiDiscrete or MultiBinary action space, or a Box with all bounds "
            f"or none (gymnasium.wrappers.TransformAction makes one of another), got {space}"
        )
    scale = np.inf if is_unbounded(space) else scale
    return ActionScaling(space.low.ravel(), space.high.ravel(), scale)


def is_unbounded(space: spaces.Space[Any]) -> bool:
    """Whether a Box has no bound at all."""
    if not isinstance(space, spaces.Box):
        return False
    return not (space.bounded_below.any() or space.bounded_above.any())

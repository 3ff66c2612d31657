"""One action outside training: what it was, and what may be acted on."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metarl.files import NonFiniteError
from metarl.types import ActionArray


class Acted(NamedTuple):
    """An action as the policy and as the environment has it; ``[B, ...]`` of a batch."""

    raw_action: NDArray[np.float32]
    """As the policy emitted it, before scaling and clipping, ``[A]``; a discrete one's index,
    ``[1]``, and of several the index of each."""
    action: ActionArray
    """As the environment takes it, within its bounds, ``[A]``; a discrete one's number, a scalar
    array."""
    log_prob: NDArray[np.float32]
    """Log density of ``raw_action``, a scalar array; a discrete one's log probability."""


def checked_rows(values: Any, shape: tuple[int, ...], what: str) -> NDArray[np.float32]:
    """Numbers of one or of B as rows ``[B, D]``, D the product of ``shape``.

    Args:
        values: ``shape`` or ``[B, *shape]``; of a batch the latter axes may be flattened.
        shape: of one.
        what: they are called.

    Raises:
        ValueError: they have another shape.
        NonFiniteError: they are not finite.
    """
    try:
        array = np.asarray(values, np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} must be numbers of shape {shape}: {error}") from error
    rows = array[None] if array.ndim == len(shape) else array
    if not rows.ndim or rows[:1].size != len(rows[:1]) * math.prod(shape):
        raise ValueError(
            f"{what} has shape {array.shape}, need {shape}, or (B, {', '.join(map(str, shape))})"
        )
    rows = rows.reshape(len(rows), -1)
    check_finite_rows(rows, what)
    return rows


def check_finite_rows(rows: NDArray[Any], what: str) -> None:
    """Raise a :class:`NonFiniteError` that names the first number ``[B, D]`` that is none."""
    if not np.isfinite(rows).all():
        row, place = np.argwhere(~np.isfinite(rows))[0]
        raise NonFiniteError(f"{what} is not finite: {rows[row, place]} at {place}")

"""What families with discrete actions share: checked actions, tables looked up by index."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def checked(action: ArrayLike, num_actions: int, leading: tuple[int, ...]) -> NDArray[Any]:
    """Actions ``[*leading]`` as an array of integers.

    Raises:
        ValueError: where they are anything but integers from 0 to ``num_actions - 1``.

    >>> checked([1, 5], 5, (2,))
    Traceback (most recent call last):
    ...
    ValueError: the action of environment 1 is 5; it must be an integer from 0 to 4
    """
    actions = np.asarray(action)
    if actions.shape != leading:
        raise ValueError(f"actions must be {leading}, got {actions.shape}")
    if actions.dtype.kind not in "iu":
        raise ValueError(f"actions must be integers from 0 to {num_actions - 1}, got {actions}")
    wrong = (actions < 0) | (actions >= num_actions)
    if wrong.any():
        whose = f" of environment {int(np.argmax(wrong))}" if leading else ""
        value = actions[wrong].flat[0]
        raise ValueError(
            f"the action{whose} is {value}; it must be an integer from 0 to {num_actions - 1}"
        )
    return actions


def entries(table: NDArray[np.float64], *index: NDArray[Any]) -> NDArray[np.float64]:
    """Each environment's entry of its own table.

    Args:
        table: ``[*leading, *sizes, ...]``.
        index: an array ``[*leading]`` of integers for each of the sizes.

    Returns:
        ``[*leading, ...]``.

    >>> entries(np.array([[0.1, 0.2], [0.3, 0.4]]), np.array([1, 0]))
    array([0.2, 0.3])
    """
    rows = np.indices(index[0].shape, sparse=True)
    return np.asarray(table[(*rows, *index)])

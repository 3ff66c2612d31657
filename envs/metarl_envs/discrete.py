"""What families with discrete actions share: checked actions, tables looked up by index."""

from itertools import accumulate

import numpy as np
from numpy.typing import ArrayLike

from metarl_envs.arrays import NUMPY, Array, Arrays


def checked(
    action: ArrayLike, num_actions: int, leading: tuple[int, ...], arrays: Arrays = NUMPY
) -> Array:
    """Actions ``[*leading]`` as an array of integers.

    On a device it would wait for the answer: there the actions come checked.

    Raises:
        ValueError: where they are anything but integers from 0 to ``num_actions - 1``.

    >>> checked([1, 5], 5, (2,))
    Traceback (most recent call last):
    ...
    ValueError: the action of environment 1 is 5; it must be an integer from 0 to 4
    """
    if arrays.xp is not np:
        return action
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


def entries(table: Array, *index: Array, arrays: Arrays = NUMPY) -> Array:
    """Each environment's entry of its own table.

    Args:
        table: ``[*leading, *sizes, ...]``, where leading is ``[N]`` or nothing.
        index: an array ``[*leading]`` of integers for each of the sizes.
        arrays: of the table.

    Returns:
        ``[*leading, ...]``.

    >>> entries(np.array([[0.1, 0.2], [0.3, 0.4]]), np.array([1, 0]))
    array([0.2, 0.3])
    """
    if not index[0].shape:
        return table[index]
    return table[(arrays.xp.arange(len(table), device=arrays.device), *index)]


def first(found: Array, arrays: Arrays = NUMPY) -> Array:
    """Index of the first True in the last axis."""
    if arrays.xp is not np:  # the array API has no argmax of bool, which NumPy's is fastest with
        found = arrays.xp.asarray(found, dtype=arrays.xp.int8)
    return found.argmax(-1)


def running_sum(x: Array, arrays: Arrays = NUMPY) -> Array:
    """Sums along the last axis, up to and with each entry.

    >>> running_sum(np.array([0.5, 0.25, 0.25]))
    array([0.5 , 0.75, 1.  ])
    """
    if arrays.xp is np:
        return x.cumsum(-1)
    # torch has no deterministic cumsum on CUDA, and one by one are NumPy's numbers
    columns = (x[..., i] for i in range(x.shape[-1]))
    return arrays.xp.stack(list(accumulate(columns)), axis=-1)

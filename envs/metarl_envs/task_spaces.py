"""What a task may be: boxes with a rule, for entries that bounds do not describe, and checks.

* :class:`Finite`: any numbers but infinities.
* :class:`Integers`: whole numbers within bounds.
* :class:`Simplex`: rows of probabilities.

:func:`validate_task` checks one task and names what is wrong, :func:`validate_tasks` a batch,
:func:`fits` finds which of its numbers are.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray


class Ruled(spaces.Box, ABC):
    """A box of which only the points that keep a rule belong to the space."""

    rule: str
    """The rule, bounds included, as a phrase after "must"."""

    @abstractmethod
    def keeps(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Which numbers of ``values`` ``[..., *shape]`` keep the rule, of the same shape."""

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is in the box and keeps the rule."""
        return super().contains(x) and bool(self.keeps(np.asarray(x)).all())


class Finite(Ruled):
    """Any finite numbers of a shape."""

    rule = "be finite"

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(-np.inf, np.inf, shape, dtype=np.float64)

    def keeps(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Neither NaN nor infinite."""
        return np.asarray(np.isfinite(values))


class Integers(Ruled):
    """Whole numbers from ``low`` to ``high``, as floats: a cast would make 2.5 a 2."""

    def __init__(self, low: int, high: int, shape: tuple[int, ...]) -> None:
        super().__init__(low, high, shape, dtype=np.float64)
        self.rule = f"be integers within [{low}, {high}]"

    def keeps(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Without a fractional part."""
        return np.asarray(values == np.floor(values))

    def sample(self, mask: None = None, probability: None = None) -> NDArray[Any]:
        """Uniform."""
        return np.floor(self.np_random.uniform(self.low, self.high + 1))


class Simplex(Ruled):
    """Probabilities that sum to 1 along the last axis, within 1e-6."""

    rule = "have rows of probabilities that sum to 1"
    tolerance = 1e-6

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(0.0, 1.0, shape, dtype=np.float64)

    def keeps(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """All numbers of a row, or none."""
        right = np.abs(values.sum(-1, keepdims=True) - 1.0) <= self.tolerance
        return np.broadcast_to(right, values.shape)

    def sample(self, mask: None = None, probability: None = None) -> NDArray[Any]:
        """Uniform over the simplex."""
        return self.np_random.dirichlet(np.ones(self.shape[-1]), self.shape[:-1])


def fits(space: spaces.Box, values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which numbers of ``values`` ``[..., *space.shape]`` the space allows, of the same shape."""
    inside: NDArray[np.bool_] = (values >= space.low) & (values <= space.high)
    return inside & space.keeps(values) if isinstance(space, Ruled) else inside


def validate_task(space: spaces.Dict, task: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
    """A task as arrays of the space's dtypes.

    Raises:
        ValueError: one line that names the entry, what it is and what it should be.

    Returns:
        Copies, so that a task stays what it is when the caller's arrays change.

    >>> validate_task(spaces.Dict({"goal": spaces.Box(-1, 1, (2,))}), {"goal": [0.5, 3.0]})
    Traceback (most recent call last):
    ...
    ValueError: task entry 'goal' is [0.5, 3.0]; it must lie within [-1.0, 1.0] and have shape (2,)
    """
    if not isinstance(task, Mapping):
        raise ValueError(f"task must have the entries {sorted(space.spaces)}, got {task!r}")
    if set(task) != set(space.spaces):
        raise ValueError(f"task must have the entries {sorted(space.spaces)}, got {sorted(task)}")
    checked: dict[str, NDArray[Any]] = {}
    for name, part in space.spaces.items():
        try:
            value = np.array(task[name], dtype=part.dtype)
        except (TypeError, ValueError) as error:
            raise ValueError(f"task entry {name!r} is not numeric: {task[name]!r}") from error
        if not part.contains(value):
            raise ValueError(
                f"task entry {name!r} is {_excerpt(part, value)}; it must {_describe(part)}"
            )
        checked[name] = value
    return checked


def validate_tasks(
    space: spaces.Dict, tasks: Mapping[str, ArrayLike], num: int
) -> dict[str, NDArray[Any]]:
    """A batch of ``num`` tasks as arrays ``[num, ...]`` of the space's dtypes, copied.

    Raises:
        ValueError: one line that names the entry, as :func:`validate_task`.
    """
    if set(tasks) != set(space.spaces):
        raise ValueError(f"task must have the entries {sorted(space.spaces)}, got {sorted(tasks)}")
    for name, part in space.spaces.items():
        expected, shape = (num, *(part.shape or ())), np.shape(tasks[name])
        if shape != expected:
            raise ValueError(f"task entry {name!r} of a batch must be {expected}, got {shape}")
    batch = {name: np.array(tasks[name], part.dtype) for name, part in space.items()}
    for name, part in space.items():
        if isinstance(part, spaces.Box):
            valid = fits(part, batch[name]).reshape(num, -1).all(1)
            if not valid.all():
                bad = int(np.argmin(valid))
                validate_task(space, {name: values[bad] for name, values in batch.items()})
    return batch


def _describe(space: spaces.Space[Any]) -> str:
    """What fits the space, as a phrase after "must"."""
    if not isinstance(space, spaces.Box):
        return f"fit {space}"
    if isinstance(space, Ruled):
        return f"{space.rule} and have shape {space.shape}"
    low, high = np.unique(space.low), np.unique(space.high)
    if len(low) == len(high) == 1:
        bounds = f"[{low[0]}, {high[0]}]"
    else:
        bounds = f"[{space.low.tolist()}, {space.high.tolist()}]"
    return f"lie within {bounds} and have shape {space.shape}"


def _excerpt(space: spaces.Space[Any], value: NDArray[Any]) -> str:
    """A value that does not fit, as a phrase after "is"; of a table the first wrong row only."""
    if value.ndim < 2 or not isinstance(space, spaces.Box):
        return json.dumps(value.tolist())
    if value.shape != space.shape:
        return f"of shape {value.shape}"
    row = np.argwhere(~fits(space, value).all(-1))[0]
    return f"{json.dumps(value[tuple(row)].tolist())} at {row.tolist()}"

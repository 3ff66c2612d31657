"""Whose arrays a family computes with: NumPy's on cores, a tensor library's on a device.

A family's text uses operators and methods that all of them have (``abs(x)``, ``x.clip(low, high)``,
``x.sum(-1)``), and for the rest functions of the Python array API (``xp.where``) from its
:class:`Arrays`, which are bound once. Numbers that such a function takes beside arrays are arrays,
too, kept by the family: a library would copy a plain number to the device at every call.
"""

import copy
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

Array = Any
"""A NumPy array, or a tensor of any library."""


class Arrays(NamedTuple):
    """A library, the type of real numbers and a place."""

    xp: Any = np
    """NumPy, or another library's namespace of the Python array API, as array-api-compat has it."""
    dtype: Any = np.float64
    """Of states, tasks and rewards."""
    device: Any = None
    """Where new arrays are made, as the library names it."""


NUMPY = Arrays()
"""NumPy's."""


class OfArrays(Protocol):
    """A family that runs on any library's arrays."""

    arrays: Arrays
    """:data:`NUMPY`, unless :func:`on` made the family."""


F = TypeVar("F", bound=OfArrays)


def on(arrays: Arrays, family: F) -> F:
    """A copy of a family that computes with these arrays.

    Constants that the family keeps as NumPy arrays, in attributes, become such arrays.
    """
    moved = copy.copy(family)
    moved.arrays = arrays
    for name, value in vars(family).items():
        if isinstance(value, np.ndarray):
            real = value.dtype.kind == "f"
            dtype = arrays.dtype if real else getattr(arrays.xp, value.dtype.name)
            setattr(moved, name, arrays.xp.asarray(value, dtype=dtype, device=arrays.device))
    return moved

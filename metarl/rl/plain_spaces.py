"""Spaces as plain data, for files that say what something was trained on."""

import math
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

LARGEST = 1 << 24
"""Most numbers of an observation or action."""


PlainSpace = (
    spaces.Box
    | spaces.Discrete[Any]
    | spaces.MultiDiscrete
    | spaces.MultiBinary
    | spaces.Dict
    | spaces.Tuple[Any]
)
"""What files can hold."""


def plain_space(space: spaces.Space[Any]) -> dict[str, Any]:
    """A space as JSON can hold it: Box, Discrete, MultiDiscrete, MultiBinary, Dict or Tuple.

    Bounds are a number for every element or, where all are the same, one; None where there is none.

    Raises:
        ValueError: for any other space.

    >>> plain_space(spaces.Box(-1.0, np.inf, (2,)))["low"], plain_space(spaces.Discrete(3))["n"]
    ([-1.0], 3)
    """
    if isinstance(space, spaces.Discrete):
        return {"kind": "discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiDiscrete):
        counts = {"nvec": space.nvec.tolist(), "start": space.start.tolist()}
        return {"kind": "multi-discrete", "dtype": str(space.dtype), **counts}
    if isinstance(space, spaces.MultiBinary):
        return {"kind": "multi-binary", "shape": list(space.shape)}
    if isinstance(space, spaces.Dict):
        return {"kind": "dict", "parts": [[k, plain_space(part)] for k, part in space.items()]}
    if isinstance(space, spaces.Tuple):
        return {"kind": "tuple", "parts": [plain_space(part) for part in space]}
    if not isinstance(space, spaces.Box):
        raise ValueError(f"no file can hold the space {space}")
    bounds = {"low": _plain(space.low), "high": _plain(space.high)}
    return {"kind": "box", "shape": list(space.shape), "dtype": str(space.dtype), **bounds}


def space_of(plain: dict[str, Any]) -> PlainSpace:
    """What :func:`plain_space` was given; no check that it is that, but of its size."""
    if plain["kind"] == "discrete":
        return spaces.Discrete(plain["n"], start=plain["start"])
    if plain["kind"] == "multi-discrete":
        return spaces.MultiDiscrete(plain["nvec"], plain["dtype"], start=plain["start"])
    if plain["kind"] == "multi-binary":
        shape = tuple(plain["shape"])
        return spaces.MultiBinary(shape[0] if len(shape) == 1 else shape)
    if plain["kind"] == "dict":
        return spaces.Dict([(name, space_of(part)) for name, part in plain["parts"]])
    if plain["kind"] == "tuple":
        return spaces.Tuple([space_of(part) for part in plain["parts"]])
    dtype: Any = np.dtype(plain["dtype"])
    shape = tuple(plain["shape"])
    if math.prod(shape) > LARGEST:
        raise ValueError(f"a space of shape {shape} has over {LARGEST} numbers")
    low = _bounds(plain["low"], -np.inf, shape, dtype)
    return spaces.Box(low, _bounds(plain["high"], np.inf, shape, dtype), shape, dtype)


def num_bytes(plain: dict[str, Any]) -> int:
    """Bytes of one value of what :func:`plain_space` was given, in single precision at most.

    >>> num_bytes(plain_space(spaces.Box(-1.0, 1.0, (3,), np.float64)))
    12
    """
    if plain["kind"] == "discrete":
        return 1
    if plain["kind"] == "multi-discrete":
        return int(np.size(plain["nvec"]))
    if plain["kind"] == "multi-binary":
        return math.prod(plain["shape"])
    size: int = math.prod(plain["shape"]) * min(np.dtype(plain["dtype"]).itemsize, 4)
    return size


def _plain(bounds: NDArray[Any]) -> list[float | None]:
    distinct = np.unique(bounds)
    values = distinct if len(distinct) == 1 else bounds.ravel()
    return [float(value) if np.isfinite(value) else None for value in values]


def _bounds(
    plain: list[float | None], missing: float, shape: tuple[int, ...], dtype: Any
) -> NDArray[Any]:
    bounds = np.array([missing if bound is None else bound for bound in plain], dtype)
    return np.broadcast_to(bounds[0] if len(bounds) == 1 else bounds.reshape(shape), shape)

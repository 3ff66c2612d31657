"""Whoever reads a tensor's numbers while this is on is told: on CUDA that would be to wait."""

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

READS = ("item", "numpy", "cpu", "tolist", "__bool__", "__int__", "__float__", "__array__")
SIZED_BY_VALUES = ("nonzero", "masked_select", "unique", "argwhere")


class NoHost(TorchFunctionMode):
    """A context in which reading a tensor's numbers raises."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        assert name not in READS, f"{name} reads a tensor"
        assert name not in SIZED_BY_VALUES, f"{name} waits for a tensor"
        if name in ("__getitem__", "__setitem__"):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            masks = [i for i in index if isinstance(i, Tensor) and i.dtype == torch.bool]
            assert not masks, "a mask as an index waits for a tensor"
        return func(*args, **(kwargs or {}))

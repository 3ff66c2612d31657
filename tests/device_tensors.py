"""What a rollout on a device must not do, seen on the CPU: wait for the device, or copy."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_TO_HOST = (
    *("item", "tolist", "numpy", "cpu", "__array__", "__bool__", "__float__", "__int__"),
    *("__index__", "__contains__", "__repr__", "__format__", "is_nonzero", "allclose", "equal"),
    *("nonzero", "argwhere", "unique", "masked_select", "bincount", "repeat_interleave"),
)
_FROM_HOST = ("tensor", "as_tensor", "new_tensor", "scalar_tensor")


class NoHostCopies(TorchFunctionMode):
    """Within it, whatever would make a CUDA device wait or copy raises an ``AssertionError``.

    A mode sees what a subclass of ``Tensor`` sees, and tensors made on the way as well: reading
    values (``.item()``, ``.numpy()``, ``.cpu()``, ``bool()``), results whose shape depends on
    values (``nonzero``, a mask as an index), and numbers that torch copies to the device
    (``torch.tensor``, a plain number in ``torch.where``), which no CUDA graph can hold.

    >>> with NoHostCopies():
    ...     torch.ones(2).sum().item()
    Traceback (most recent call last):
    ...
    AssertionError: Tensor.item in a rollout
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = getattr(func, "__name__", "")
        if _copies(name, args, kwargs or {}):
            raise AssertionError(f"Tensor.{name} in a rollout")
        return func(*args, **(kwargs or {}))


def _copies(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    if name in _TO_HOST or name in _FROM_HOST:
        return True
    if name == "asarray":
        return not isinstance(args[0], torch.Tensor)
    if name == "where":
        return len(args) == 1 or not all(isinstance(x, torch.Tensor) for x in args)
    if name == "to":
        return kwargs.get("device") is not None or any(map(_is_device, args[1:]))
    if name in ("__getitem__", "__setitem__"):
        index = args[1] if isinstance(args[1], tuple) else (args[1],)
        return any(_is_host_index(part) for part in index)
    return False


def _is_device(value: Any) -> bool:
    return isinstance(value, str | torch.device | torch.Tensor)


def _is_host_index(part: Any) -> bool:
    """A mask, whose number of True decides the shape, or indices that are copied to the device."""
    if isinstance(part, torch.Tensor):
        return part.dtype == torch.bool
    return isinstance(part, list) or hasattr(part, "__array__")


@contextmanager
def nothing_waits() -> Iterator[None]:
    """Within it, what torch makes the host wait for on CUDA is an error; not so what Warp does."""
    torch.cuda.synchronize()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the mode is a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")

"""Task-batched parameters: expand one set to M tasks, select a task, lift any module.

A network knows nothing about tasks; a *task-batched* call runs M copies of it, each with
parameters of its own, in one pass. Networks of :mod:`metarl.nn` do so natively
(:class:`TaskBatched`); any other module is lifted by :func:`lift`.
"""

from collections.abc import Callable
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from metarl.types import Params

Forward = Callable[[Params, Tensor], Tensor]
"""Task-batched parameters ``[M, *shape]`` and inputs ``[M, B, ...]`` to outputs ``[M, B, ...]``."""


@runtime_checkable
class TaskBatched(Protocol):
    """A module whose layers take task-batched weights."""

    def forward_tasks(self, params: Params, x: Tensor) -> Tensor:
        """Run every task's inputs ``[M, B, ...]`` with that task's parameters."""
        ...


def parameters_of(module: nn.Module) -> Params:
    """The module's own parameters by name, not yet task-batched."""
    return dict(module.named_parameters())


def expand(params: Params, num_tasks: int) -> Params:
    """Give each of ``num_tasks`` tasks the same parameters, as views ``[M, *shape]``.

    Gradients with respect to the originals sum over the tasks.

    >>> expand({"w": torch.ones(3)}, 2)["w"].shape
    torch.Size([2, 3])
    """
    if num_tasks < 1:
        raise ValueError(f"num_tasks must be at least 1, got {num_tasks}")
    return {name: value.expand(num_tasks, *value.shape) for name, value in params.items()}


def select(params: Params, task: int) -> Params:
    """The parameters of one task, ``[*shape]``, as views.

    >>> select({"w": torch.arange(4.0).reshape(2, 2)}, 1)["w"]
    tensor([2., 3.])
    """
    return {name: value[task] for name, value in params.items()}


def num_tasks_of(params: Params) -> int:
    """The length of the task axis; raises :class:`ValueError` where the parameters disagree."""
    sizes = {value.shape[0] if value.ndim else None for value in params.values()}
    if len(sizes) != 1 or None in sizes:
        shapes = {name: tuple(value.shape) for name, value in params.items()}
        raise ValueError(f"task-batched parameters must share a leading axis M, got {shapes}")
    return next(value.shape[0] for value in params.values())


def lift(module: nn.Module, strategy: Literal["auto", "vmap", "loop"] = "auto") -> Forward:
    """Turn a module into a function of task-batched parameters and inputs.

    Args:
        module: any module with one tensor in and one tensor out. Parameters that a call does not
            name keep the module's own values; buffers are the module's own and shared by tasks.
        strategy: ``vmap`` runs all tasks in one pass, ``loop`` one after another. ``auto`` uses the
            module's native task-batched form if it has one; else the loop for convolutions on a
            CPU, where it is faster, and for modules that ``vmap`` refuses (batch statistics,
            control flow on values); else ``vmap``.

    >>> double = lift(nn.Linear(1, 1, bias=False))
    >>> double({"weight": torch.tensor([[[2.0]], [[3.0]]])}, torch.ones(2, 1, 1)).flatten()
    tensor([2., 3.])
    """

    def call_one(params: Params, x: Tensor) -> Tensor:
        output: Tensor = torch.func.functional_call(module, params, (x,))
        return output

    def call_loop(params: Params, x: Tensor) -> Tensor:
        # unbound, since the gradient of a selection is as large as what it selects from
        by_name = {name: value.unbind() for name, value in params.items()}
        outputs = []
        for task in range(x.shape[0]):
            own = {name: values[task] for name, values in by_name.items()}
            outputs.append(call_one(own, x[task]))
        return torch.stack(outputs)

    call_vmap: Forward = torch.func.vmap(call_one, randomness="different")

    refused = False

    def call_auto(params: Params, x: Tensor) -> Tensor:
        nonlocal refused
        if refused or (x.device.type == "cpu" and _has_convolution(module)):
            return call_loop(params, x)
        try:
            return call_vmap(params, x)
        except RuntimeError:  # vmap names dozens of reasons; the loop raises any real error
            outputs = call_loop(params, x)
            refused = True
            return outputs

    if strategy == "auto" and isinstance(module, TaskBatched):
        return module.forward_tasks
    return {"auto": call_auto, "vmap": call_vmap, "loop": call_loop}[strategy]


def _has_convolution(module: nn.Module) -> bool:
    return any(isinstance(m, nn.Conv1d | nn.Conv2d | nn.Conv3d) for m in module.modules())

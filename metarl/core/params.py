"""Task-batched parameters: expand one set to M tasks, select a task, lift any module.

A network knows nothing about tasks; a *task-batched* call runs M copies of it, each with
parameters of its own, in one pass. Networks of :mod:`metarl.nn` do so natively
(:class:`TaskBatched`); any other module is lifted by :func:`lift`.
"""

from collections.abc import Callable, Sequence
from functools import partial
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


def submodule_params(params: Params, name: str) -> Params:
    """The parameters of a submodule, by their names in it.

    >>> list(submodule_params({"net.0.weight": torch.ones(1), "scale": torch.ones(1)}, "net"))
    ['0.weight']
    """
    prefix = f"{name}."
    return {key.removeprefix(prefix): v for key, v in params.items() if key.startswith(prefix)}


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
    if strategy == "auto":
        return module.forward_tasks if isinstance(module, TaskBatched) else _Lifted(module)
    return partial({"vmap": _call_vmap, "loop": _call_loop}[strategy], module)


@torch.no_grad()
def dry_run(module: nn.Module, shape: Sequence[int]) -> Tensor:
    """Outputs for two inputs of zeros ``[2, *shape]``, in evaluation mode; the mode stays.

    Raises:
        ValueError: if the outputs are not one tensor.
    """
    like = next(module.parameters(), torch.zeros(()))
    modes = [(part, part.training) for part in module.modules()]
    try:
        return _call_one(module.eval(), {}, like.new_zeros(2, *shape))
    finally:
        for part, training in modes:
            part.training = training


class _Lifted:
    """``lift(module, "auto")`` as an object, so that a copy of it runs a copy of the module."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.refused = False

    def __call__(self, params: Params, x: Tensor) -> Tensor:
        if self.refused or (x.device.type == "cpu" and _has_convolution(self.module)):
            return _call_loop(self.module, params, x)
        try:
            return _call_vmap(self.module, params, x)
        except RuntimeError:  # vmap names dozens of reasons; the loop raises any real error
            outputs = _call_loop(self.module, params, x)
            self.refused = True
            return outputs


def _call_one(module: nn.Module, params: Params, x: Tensor) -> Tensor:
    output = torch.func.functional_call(module, params, (x,))
    if not isinstance(output, Tensor):
        raise ValueError(
            f"{type(module).__name__} must give one tensor, it gave {type(output).__name__}"
        )
    return output


def _call_loop(module: nn.Module, params: Params, x: Tensor) -> Tensor:
    # unbound, since the gradient of a selection is as large as what it selects from
    by_name = {name: value.unbind() for name, value in params.items()}
    outputs = []
    for task in range(x.shape[0]):
        own = {name: values[task] for name, values in by_name.items()}
        outputs.append(_call_one(module, own, x[task]))
    return torch.stack(outputs)


def _call_vmap(module: nn.Module, params: Params, x: Tensor) -> Tensor:
    outputs: Tensor = torch.func.vmap(partial(_call_one, module), randomness="different")(params, x)
    return outputs


def _has_convolution(module: nn.Module) -> bool:
    return any(isinstance(m, nn.Conv1d | nn.Conv2d | nn.Conv3d) for m in module.modules())

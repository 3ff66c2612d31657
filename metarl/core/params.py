"""Task-batched parameters: expand one set to M tasks, select a task, lift any module.

A network knows nothing about tasks; a *task-batched* call runs M copies of it, each with
parameters of its own, in one pass. Networks of :mod:`metarl.nn` do so natively
(:class:`TaskBatched`); any other module is lifted by :func:`lift`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Literal, Protocol, cast, get_args, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parameter import UninitializedParameter

from metarl.types import Params

Forward = Callable[[Params, Tensor], Tensor]
"""Task-batched parameters ``[M, *shape]`` and inputs ``[M, B, ...]`` to outputs ``[M, B, ...]``."""

Strategy = Literal["auto", "vmap", "loop"]
"""How a function of one task runs for all of them; see :func:`lift`."""


@runtime_checkable
class TaskBatched(Protocol):
    """A module whose layers take task-batched weights."""

    def forward_tasks(self, params: Params, x: Tensor) -> Tensor:
        """Run every task's inputs ``[M, B, ...]`` with that task's parameters."""
        ...


def parameters_of(module: nn.Module) -> Params:
    """The module's own parameters by name, not yet task-batched.

    Raises:
        ValueError: if some have no shape yet.
    """
    params: Params = dict(module.named_parameters())
    lazy = [name for name, value in params.items() if isinstance(value, UninitializedParameter)]
    if lazy:
        raise ValueError(f"{lazy} of lazy modules have no shape yet: call the module once before")
    return params


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


def lift(module: nn.Module, strategy: Strategy = "auto") -> Forward:
    """Turn a module into a function of task-batched parameters and inputs.

    Args:
        module: any module with one tensor in and one tensor out. Parameters and buffers that a call
            does not name keep the module's own values; such buffers are shared by the tasks.
        strategy: ``vmap`` runs all tasks in one pass, ``loop`` one after another. ``auto`` uses the
            module's native task-batched form if it has one; else the loop for convolutions on a
            CPU, where it is faster, and for modules that ``vmap`` refuses (batch statistics,
            control flow on values); else ``vmap``.

    >>> double = lift(nn.Linear(1, 1, bias=False))
    >>> double({"weight": torch.tensor([[[2.0]], [[3.0]]])}, torch.ones(2, 1, 1)).flatten()
    tensor([2., 3.])
    """
    if strategy == "auto" and isinstance(module, TaskBatched):
        return module.forward_tasks
    return _Lifted(module, strategy)


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


@contextmanager
def kept_buffers(module: nn.Module, *others: Tensor, always: bool = True) -> Iterator[None]:
    """The module's buffers, and others, are afterwards what they were; or only after an error."""
    kept = [(buffer, buffer.clone()) for buffer in (*module.buffers(), *others)]
    failed = True
    try:
        yield
        failed = False
    finally:
        if failed or always:
            with torch.no_grad():
                for buffer, value in kept:
                    buffer.copy_(value)


class PerTask:
    """A function of one task's tensors as one of all tasks', whose tensors lead with the task axis.

    An object, so that it pickles and a copy of it calls a copy of the function.

    Args:
        function: of tensors, or dicts of them, to one tensor.
        strategy: as in :func:`lift`; ``auto`` becomes ``loop`` for good once ``vmap`` has refused
            what the loop takes.
    """

    def __init__(self, function: Callable[..., Tensor], strategy: Strategy = "auto") -> None:
        if strategy not in get_args(Strategy):
            raise ValueError(f"strategy must be one of {get_args(Strategy)}, got {strategy!r}")
        self.function = function
        self.strategy = strategy

    def __call__(self, *inputs: Params | Tensor) -> Tensor:
        """Of all tasks ``[M, ...]``; the last of the inputs is a tensor."""
        if self.strategy != "auto":
            return self._vmap(*inputs) if self.strategy == "vmap" else self._loop(*inputs)
        try:
            return self._vmap(*inputs)
        except RuntimeError:  # vmap names dozens of reasons; the loop raises any real error
            outputs = self._loop(*inputs)
            self.strategy = "loop"
            return outputs

    def _vmap(self, *inputs: Params | Tensor) -> Tensor:
        outputs: Tensor = torch.func.vmap(self.function, randomness="different")(*inputs)
        return outputs

    def _loop(self, *inputs: Params | Tensor) -> Tensor:
        by_task = zip(*(_unbound(value, len(inputs[-1])) for value in inputs), strict=True)
        return torch.stack([self.function(*own) for own in by_task])


class _Lifted(PerTask):
    """A module as a function of task-batched parameters and inputs."""

    def __init__(self, module: nn.Module, strategy: Strategy) -> None:
        super().__init__(partial(_call_one, module), strategy)
        self.module = module

    def __call__(self, *inputs: Params | Tensor) -> Tensor:
        params, x = cast("tuple[Params, Tensor]", inputs)
        if params and (x.ndim == 0 or len(x) != num_tasks_of(params)):
            raise ValueError(
                f"need inputs [M={num_tasks_of(params)}, B, ...], got {tuple(x.shape)}"
            )
        with _plain_attention():
            if self.strategy == "auto" and x.device.type == "cpu" and _has_convolution(self.module):
                return self._loop(params, x)
            return super().__call__(params, x)

    def _vmap(self, *inputs: Params | Tensor) -> Tensor:
        names = dict(self.module.named_buffers())
        given = [value for name, value in cast("Params", inputs[0]).items() if name in names]
        with kept_buffers(self.module, *given, always=False):  # a refusal may come halfway
            return super()._vmap(*inputs)


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Attention by its definition: the fused kinds lack rules for vmap or second derivatives."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def one_tensor(module: nn.Module, output: object) -> Tensor:
    """The output of a module; :class:`ValueError` unless it is one tensor."""
    if not isinstance(output, Tensor):
        kind = type(module).__name__
        raise ValueError(
            f"{kind} must give one tensor, it gave {type(output).__name__}: "
            "wrap it in a module that returns the one that counts"
        )
    return output


def _call_one(module: nn.Module, params: Params, x: Tensor) -> Tensor:
    return one_tensor(module, torch.func.functional_call(module, params, (x,)))


def _unbound(value: Params | Tensor, num_tasks: int) -> Sequence[Params | Tensor]:
    """What each task has; unbound, since the gradient of a selection is as large as its source."""
    if isinstance(value, Tensor):
        return value.unbind()
    by_name = {name: values.unbind() for name, values in value.items()}
    return [{name: values[m] for name, values in by_name.items()} for m in range(num_tasks)]


def _has_convolution(module: nn.Module) -> bool:
    return any(isinstance(m, nn.Conv1d | nn.Conv2d | nn.Conv3d) for m in module.modules())

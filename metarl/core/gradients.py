"""Every task's own gradient, by one backward pass for all of them.

Tasks are independent, so the gradient of the sum of the task losses with respect to the
task-batched parameters is every task's own gradient.
"""

from collections.abc import Collection

import torch
from torch import Tensor

from metarl.core.params import num_tasks_of
from metarl.types import BatchT, LossFn, Params


def task_gradients(
    loss_fn: LossFn[BatchT],
    params: Params,
    support: BatchT,
    names: Collection[str],
    *,
    first_order: bool = False,
) -> Params:
    """Every task's own gradient of its loss, ``[M, *shape]`` by name; unused parameters have none.

    Args:
        loss_fn: task-batched parameters and ``support`` to losses ``[M]``.
        params: task-batched parameters ``[M, *shape]``.
        support: what ``loss_fn`` consumes.
        names: of the parameters whose gradients are wanted.
        first_order: give them without a graph, as they are under ``torch.no_grad()``.

    Raises:
        ValueError: if the losses are not ``[M]``.
    """
    num_tasks = num_tasks_of(params)
    if not names:
        return {}
    if torch.compiler.is_compiling():  # compiled code nests torch.func.grad, and only that
        compiled = _compilable_gradients(loss_fn, params, names, support)
        return {k: g.detach() for k, g in compiled.items()} if first_order else compiled
    differentiable = torch.is_grad_enabled()
    with torch.enable_grad():
        leaves = _isolated(params, names) if differentiable else _detached(params, names)
        losses = loss_fn({**params, **leaves}, support)
        if losses.shape != (num_tasks,):
            raise ValueError(
                f"losses must be one a task, ({num_tasks},), got {tuple(losses.shape)}"
            )
        gradients: tuple[Tensor | None, ...] = torch.autograd.grad(
            losses,
            list(leaves.values()),
            torch.ones_like(losses),  # the gradient of the sum: every task's own
            create_graph=differentiable and not first_order,
            allow_unused=True,
        )
    named = zip(leaves, gradients, strict=True)
    return {name: gradient for name, gradient in named if gradient is not None}


def _compilable_gradients(
    loss_fn: LossFn[BatchT], params: Params, names: Collection[str], support: BatchT
) -> Params:
    """Every task's own gradient, through ``torch.func.grad`` of the sum of the losses."""

    def total(leaves: Params) -> Tensor:
        return loss_fn({**params, **leaves}, support).sum()

    gradients: Params = torch.func.grad(total)({name: params[name] for name in names})
    return gradients


def _detached(params: Params, names: Collection[str]) -> Params:
    """Leaves of their own with the same values."""
    return {name: params[name].detach().requires_grad_() for name in names}


def _isolated(params: Params, names: Collection[str]) -> Params:
    """The named parameters as variables that no gradient reaches through one another.

    Different leaves, and views of different leaves, are that already. A parameter may also be
    computed from another, like a proto-MAML head from the encoder, or tied to it; then views cut
    the partial derivative out of the total one.
    """
    sources = [value if value._base is None else value._base for value in params.values()]
    distinct = len({id(source) for source in sources}) == len(sources)
    if distinct and all(source.grad_fn is None for source in sources):
        views = {name: params[name] for name in names}
    else:
        views = {name: params[name].view_as(params[name]) for name in names}
    constants = [name for name in names if not params[name].requires_grad]
    return {**views, **_detached(params, constants)}

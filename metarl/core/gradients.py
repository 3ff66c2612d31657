"""Every task's own gradient, by one backward pass for all of them.

Tasks are independent, so the gradient of the sum of the task losses with respect to the
task-batched parameters is every task's own gradient.
"""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager

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
        ValueError: if the losses are not ``[M]``, or torch has no second derivative of them.
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
        losses = one_a_task(loss_fn({**params, **leaves}, support), num_tasks)
        with second_derivatives():  # a later step goes back through an earlier one
            gradients: tuple[Tensor | None, ...] = torch.autograd.grad(
                losses,
                list(leaves.values()),
                torch.ones_like(losses),  # the gradient of the sum: every task's own
                create_graph=differentiable and not first_order,
                allow_unused=True,
            )
    named = zip(leaves, gradients, strict=True)
    return {name: gradient for name, gradient in named if gradient is not None}


def one_a_task(losses: Tensor, num_tasks: int) -> Tensor:
    """The losses; :class:`ValueError` unless they are ``[M]``."""
    if losses.shape != (num_tasks,):
        raise ValueError(f"losses must be one a task, ({num_tasks},), got {tuple(losses.shape)}")
    return losses


class NoSecondDerivativeError(ValueError):
    """Torch cannot differentiate (twice) what a network or a loss does."""


_MISSING = re.compile(
    r"derivative for \S+ is not implemented|once_differentiable|Double backwards is not supported"
)


@contextmanager
def second_derivatives() -> Iterator[None]:
    """What torch cannot differentiate in here is a :class:`NoSecondDerivativeError`, one line."""
    try:
        yield
    except RuntimeError as error:
        if not _MISSING.search(str(error)):
            raise
        raise NoSecondDerivativeError(
            "torch has no second derivative of something in the network or the loss: set "
            "first_order=True (of learners --estimator first-order or fomaml), or replace it. "
            f"torch says: {' '.join(str(error).split())}"
        ) from error


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

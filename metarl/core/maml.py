"""Adaptation by gradient steps, and the meta-loss that differentiates through it.

Everything is batch-first over tasks: parameters, batches and losses lead with the task axis M.
Tasks are independent, so the gradient of the sum of the task losses with respect to the
task-batched parameters is every task's own gradient: the inner loop is one ``autograd.grad``.

:func:`adaptation_path` folds :func:`inner_step`, :func:`adapt` is its end, :func:`meta_loss` is
``outer_loss`` after :func:`adapt`. This is the only inner loop of the package: training,
evaluation and trust regions all use it.
"""

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from metarl.core.params import num_tasks_of
from metarl.types import BatchT, LossFn, Params, StepSize


def inner_step(
    loss_fn: LossFn[BatchT],
    params: Params,
    support: BatchT,
    *,
    lr: StepSize,
    first_order: bool = False,
    mask: Collection[str] | None = None,
) -> Params:
    """One gradient step of every task: θ'_m = θ_m - α ∇ L_m(θ_m; support_m).

    Equation 1 of Finn et al. 2017; ∇ is the partial derivative with respect to each parameter,
    also where parameters depend on one another (a head made from the encoder's embeddings).
    With gradients enabled the result is differentiable with respect to ``params`` and ``lr``. Under
    ``torch.no_grad()`` the same step is taken and no graph is kept.

    Args:
        loss_fn: task-batched parameters and ``support`` to losses ``[M]``.
        params: task-batched parameters ``[M, *shape]``.
        support: what ``loss_fn`` consumes.
        lr: step size α, see :data:`metarl.types.StepSize`.
        first_order: treat the inner gradient as a constant (first-order MAML).
        mask: names of the parameters that adapt; all of them by default.

    Returns:
        Adapted parameters, with the shapes of ``params``.

    Raises:
        ValueError: if the losses are not ``[M]`` or the mask names an unknown parameter.

    >>> loss = lambda params, target: (params["w"] - target) ** 2
    >>> inner_step(loss, {"w": torch.zeros(2)}, torch.tensor([1.0, 2.0]), lr=0.25)["w"].tolist()
    [0.5, 1.0]
    """
    num_tasks = num_tasks_of(params)
    names = list(params) if mask is None else [name for name in params if name in set(mask)]
    if mask is not None and len(names) != len(set(mask)):
        unknown = sorted(set(mask) - set(params))
        raise ValueError(f"mask names unknown parameters {unknown}; there are {sorted(params)}")
    if not names:
        return dict(params)
    if torch.compiler.is_compiling():  # compiled code nests torch.func.grad, and only that
        gradients_by_name = _compilable_gradients(loss_fn, params, names, support)
        if first_order:
            gradients_by_name = {k: g.detach() for k, g in gradients_by_name.items()}
        return params | {
            name: _descend(params[name], gradient, _step_size(lr, name))
            for name, gradient in gradients_by_name.items()
        }
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
    stepped = {
        name: _descend(params[name], gradient, _step_size(lr, name))
        for name, gradient in zip(names, gradients, strict=True)
        if gradient is not None  # a parameter the loss does not use stays where it is
    }
    return {**params, **stepped}


def adaptation_path(
    loss_fn: LossFn[BatchT],
    params: Params,
    supports: Sequence[BatchT],
    *,
    lr: StepSize | Sequence[StepSize],
    first_order: bool = False,
    mask: Collection[str] | None = None,
) -> list[Params]:
    """Parameters before the first inner step and after each, one set more than ``supports``.

    Args:
        loss_fn: as in :func:`inner_step`.
        params: task-batched parameters ``[M, *shape]``.
        supports: one batch a step; repeat a batch to step on it several times.
        lr: one step size for all steps, or a sequence of one a step.
        first_order: as in :func:`inner_step`.
        mask: as in :func:`inner_step`.
    """
    sizes = list(lr) if isinstance(lr, Sequence) else [lr] * len(supports)
    if len(sizes) != len(supports):
        raise ValueError(f"lr has {len(sizes)} step sizes for {len(supports)} inner steps")
    path = [params]
    for support, size in zip(supports, sizes, strict=True):
        path.append(
            inner_step(loss_fn, path[-1], support, lr=size, first_order=first_order, mask=mask)
        )
    return path


def adapt(
    loss_fn: LossFn[BatchT],
    params: Params,
    supports: Sequence[BatchT],
    *,
    lr: StepSize | Sequence[StepSize],
    first_order: bool = False,
    mask: Collection[str] | None = None,
) -> Params:
    """Fold :func:`inner_step` over ``supports``, one step each; no supports, no change.

    The arguments are those of :func:`adaptation_path`.
    """
    path = adaptation_path(loss_fn, params, supports, lr=lr, first_order=first_order, mask=mask)
    return path[-1]


def meta_loss(
    inner_loss: LossFn[BatchT],
    outer_loss: LossFn[BatchT],
    params: Params,
    supports: Sequence[BatchT],
    query: BatchT,
    *,
    lr: StepSize | Sequence[StepSize],
    first_order: bool = False,
    mask: Collection[str] | None = None,
) -> Tensor:
    """Loss of every task after adaptation, ``[M]``; the caller takes the mean.

    The summands of Finn et al. 2017, algorithm 1, line 8.

    Args:
        inner_loss: the loss that adaptation descends.
        outer_loss: the loss of the adapted parameters on ``query``.
        params: task-batched parameters, usually :func:`metarl.core.expand` of the meta-parameters.
        supports: one batch an inner step.
        query: what ``outer_loss`` consumes.
        lr: as in :func:`adapt`.
        first_order: as in :func:`inner_step`.
        mask: as in :func:`inner_step`.
    """
    adapted = adapt(inner_loss, params, supports, lr=lr, first_order=first_order, mask=mask)
    return outer_loss(adapted, query)


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


def _step_size(lr: StepSize, name: str) -> float | Tensor:
    return lr[name] if isinstance(lr, Mapping) else lr


def _descend(value: Tensor, gradient: Tensor, lr: float | Tensor) -> Tensor:
    if isinstance(lr, Tensor):
        return value - lr * gradient
    return torch.add(value, gradient, alpha=-lr)  # one kernel here, one in the backward pass

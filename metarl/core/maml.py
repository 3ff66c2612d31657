"""The meta-loss, which differentiates through adaptation, and Reptile's, which does not."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from metarl.core.gradients import one_a_task
from metarl.core.inner import InnerRule, StateT, adapt
from metarl.core.params import num_tasks_of
from metarl.types import BatchT, LossFn, Params


class MetaParameters(NamedTuple):
    """All that is meta-learned."""

    network: Params
    """Parameters of the network that adapts, ``[*shape]``."""
    rule: Params
    """What :meth:`InnerRule.meta_parameters` asked for."""

    def tensors(self) -> list[Tensor]:
        """All of them, in an order that holds."""
        return [*self.network.values(), *self.rule.values()]

    def proposed(self, vector: Tensor) -> "MetaParameters":
        """Others of the same names and shapes, from one vector of all numbers ``[P]``."""
        tensors = self.tensors()
        pieces = zip(tensors, torch.split(vector, [t.numel() for t in tensors]), strict=True)
        shaped = iter([piece.view_as(tensor) for tensor, piece in pieces])
        return MetaParameters(*({name: next(shaped) for name in part} for part in self))


def meta_loss(
    rule: InnerRule[StateT],
    inner_loss: LossFn[BatchT],
    outer_loss: LossFn[BatchT],
    params: Params,
    supports: Sequence[BatchT | Callable[[Params], BatchT]],
    query: BatchT,
) -> Tensor:
    """Loss of every task after adaptation, ``[M]``; the caller takes the mean.

    The summands of Finn et al. 2017, algorithm 1, line 8.

    Args:
        rule: what a step of adaptation does.
        inner_loss: the loss that adaptation descends.
        outer_loss: the loss of the adapted parameters on ``query``.
        params: task-batched parameters, usually :func:`metarl.core.expand` of the meta-parameters.
        supports: one batch an inner step.
        query: what ``outer_loss`` consumes.

    Raises:
        ValueError: if inner or outer losses are not ``[M]``.
    """
    losses = outer_loss(adapt(rule, inner_loss, params, supports), query)
    return one_a_task(losses, num_tasks_of(params))


def reptile_loss(start: Params, adapted: Params) -> Tensor:
    """0 for every task, ``[M]``, with the gradient θ - θ'_m in ``start`` (Nichol et al. 2018).

    Descending it moves θ towards where plain training on the tasks leads.

    Args:
        start: task-batched parameters before adaptation, with their graph to the meta-parameters.
        adapted: the same after adaptation; constants.

    >>> start = {"w": torch.ones(1, 1, requires_grad=True)}
    >>> torch.autograd.grad(reptile_loss(start, {"w": torch.zeros(1, 1)}), start["w"])[0].item()
    1.0
    """
    products = [
        (value - value.detach()) * (value - adapted[name]).detach() for name, value in start.items()
    ]
    return torch.stack([product.reshape(len(product), -1).sum(1) for product in products]).sum(0)

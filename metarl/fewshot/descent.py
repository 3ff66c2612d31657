"""The gradient of a meta-batch, added up in the parameters; on a GPU perhaps by a CUDA graph."""

from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor, nn

from metarl.core import Captured, second_derivatives
from metarl.fewshot.episodes import Episodes


class Descending(Protocol):
    """What a learner brings."""

    def losses(self, episodes: Episodes) -> tuple[Tensor, Tensor]:
        """Loss of every episode ``[M]`` and outputs of its queries."""
        ...

    def parameters(self) -> Iterable[nn.Parameter]:
        """What losses are differentiated by; these stay where they are in memory."""
        ...

    def autocast(self) -> torch.autocast:
        """The context in which losses are taken."""
        ...


class Descent:
    """Adds the gradients of episodes' losses to ``.grad``.

    Args:
        learner: whose losses and parameters they are.
    """

    def __init__(self, learner: Descending) -> None:
        self._learner = learner
        self._graph = Captured(self._gradients)
        self._used: list[nn.Parameter] = []

    def add(
        self, episodes: Episodes, total: int, *, repeated: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Add the gradient of the sum of the losses, divided by ``total``.

        Args:
            episodes: M of them.
            total: by what their gradient is divided.
            repeated: all is the same but for the numbers, so that on a GPU a graph can do it.

        Returns:
            Losses ``[M]`` and outputs ``[M, Q, N]``; from a graph good until the next call.
        """
        if repeated and episodes.support_x.device.type == "cuda":
            return self.add_repeated(episodes, total)
        with self._learner.autocast():
            loss, outputs = self._learner.losses(episodes)
        with second_derivatives():
            (loss.sum() / total).backward()  # type: ignore[no-untyped-call]
        return loss.detach(), outputs.detach()

    def add_repeated(self, episodes: Episodes, total: int) -> tuple[Tensor, Tensor]:
        """The same by what a graph can capture, on any device."""
        constants = {"num_ways": episodes.num_ways, "total": total}
        *gradients, loss, outputs = self._graph(*episodes[:4], **constants)
        for value, gradient in zip(self._used, gradients, strict=True):
            value.grad = gradient.clone() if value.grad is None else value.grad + gradient
        return loss.clone(), outputs

    def _gradients(
        self,
        support_x: Tensor,
        support_y: Tensor,
        query_x: Tensor,
        query_y: Tensor,
        *,
        num_ways: int,
        total: int,
    ) -> tuple[Tensor, ...]:
        """Those of the parameters that have any, then losses and outputs."""
        with self._learner.autocast():
            episodes = Episodes(support_x, support_y, query_x, query_y, num_ways)
            loss, outputs = self._learner.losses(episodes)
        parameters = [p for p in self._learner.parameters() if p.requires_grad]
        with second_derivatives():
            gradients: tuple[Tensor | None, ...] = torch.autograd.grad(
                loss.sum() / total, parameters, allow_unused=True
            )
        pairs = [(p, g) for p, g in zip(parameters, gradients, strict=True) if g is not None]
        self._used = [parameter for parameter, _ in pairs]
        return *(gradient for _, gradient in pairs), loss.detach(), outputs.detach()

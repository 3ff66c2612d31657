"""``MAML`` and ``ProtoNet`` around any ``nn.Module``: the core for plain PyTorch users.

All inputs lead with the task axis: supports ``[M, S, ...]``, queries ``[M, Q, ...]``.
"""

from collections.abc import Callable, Collection
from contextlib import ExitStack
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from metarl.core.adapted import AdaptedModel
from metarl.core.gradients import NoSecondDerivativeError, second_derivatives
from metarl.core.inner import SGD, InnerRule, adapt
from metarl.core.maml import meta_loss
from metarl.core.params import (
    Forward,
    PerTask,
    Strategy,
    expand,
    kept_buffers,
    lift,
    one_tensor,
    parameters_of,
)
from metarl.core.prototypes import check_labels, prototype_logits, prototypes
from metarl.types import Params, StepSize

ExampleLoss = Callable[[Tensor, Tensor], Tensor]
"""Outputs and targets of **one** task to its scalar loss, like ``functional.cross_entropy``."""

Examples = tuple[Tensor, Tensor]
ResultT = TypeVar("ResultT")


class MAML(nn.Module):
    """Model-agnostic meta-learning of any module (Finn et al. 2017).

    The meta-parameters are the module's own: ``meta_loss(...).mean().backward()`` fills the
    gradients of ``model``, and any optimiser over ``model.parameters()`` trains it. What is frozen
    (``requires_grad_(False)``) does not adapt, unless ``mask`` names it. What kinds of modules
    work, and which need a setting, is in ``docs/own-modules.md``.

    Args:
        model: any module with one tensor in and one tensor out.
        inner_lr: step size α, 0.1 by default; a number, a tensor, or a tensor for each parameter
            name. Tensors that require grad are learned with the rest; give them to your optimiser.
        num_inner_steps: steps on the support set.
        first_order: drop second derivatives (first-order MAML).
        mask: names of the parameters that adapt; all that require gradients by default.
        rule: another inner rule than the :class:`metarl.core.SGD` of the three above. What it wants
            meta-learned is among ``parameters()``.
        loss: outputs and targets of one task to a scalar. Targets are floats or ``torch.long``.
        strategy: how tasks run, ``auto``, ``vmap`` or ``loop``; see :func:`metarl.core.lift`.
            ``auto`` also loops where the loss, or a derivative, needs it.

    Raises:
        ValueError: if ``rule`` is given beside what it replaces, or does not fit the model.

    >>> maml = MAML(nn.Linear(3, 2), inner_lr=0.1)
    >>> x, y = torch.randn(4, 5, 3), torch.randint(2, (4, 5))
    >>> maml.meta_loss(x, y, x, y).shape
    torch.Size([4])
    >>> maml.adapt(x, y)(torch.randn(4, 7, 3)).shape
    torch.Size([4, 7, 2])
    """

    def __init__(
        self,
        model: nn.Module,
        inner_lr: StepSize | None = None,
        num_inner_steps: int = 1,
        *,
        first_order: bool = False,
        mask: Collection[str] | None = None,
        rule: InnerRule[Any] | None = None,
        loss: ExampleLoss = functional.cross_entropy,
        strategy: Strategy = "auto",
    ) -> None:
        super().__init__()
        if rule is None:
            rule = SGD(0.1 if inner_lr is None else inner_lr, mask, first_order)
        elif inner_lr is not None or first_order or mask is not None:
            raise ValueError(
                "inner_lr, first_order and mask are in the rule; give one or the other"
            )
        self.model = model
        self.inner_lr = inner_lr  # a parameter is registered by this, and so among parameters()
        self.rule = rule
        self.num_inner_steps = checked_steps(num_inner_steps)
        own = parameters_of(model)
        learned = rule.leaving_frozen(own).meta_parameters(own)
        self._learned_names = list(learned)
        self.learned = nn.ParameterList(learned.values())
        self.loss = loss  # a module is registered by this: its weights go to the device, too
        self.strategy = strategy
        self._forward: Forward = lift(model, strategy)
        self._task_losses = PerTask(partial(_loss_of_one, loss), strategy)
        self._has_derivatives = False  # of its meta-loss; tried once

    def forward(self, x: Tensor) -> Tensor:
        """The unadapted model on plain inputs ``[B, ...]``."""
        output: Tensor = self.model(x)
        return output

    def meta_loss(
        self, support_x: Tensor, support_y: Tensor, query_x: Tensor, query_y: Tensor
    ) -> Tensor:
        """Query loss of every task after adapting to its support set, ``[M]``.

        Raises:
            ValueError: if supports and queries do not go together, or torch has no second
                derivative of the model or the loss.
        """
        _check_examples("support", support_x, support_y)
        _check_examples("query", query_x, query_y, len(support_x))
        supports = [(support_x, support_y)] * self.num_inner_steps

        def run() -> Tensor:
            start = expand(parameters_of(self.model), len(support_x))
            query = (query_x, query_y)
            losses = meta_loss(self._rule(), self._loss, self._loss, start, supports, query)
            self._try_derivatives(losses)
            return losses

        return self._looping_if_need_be(run)

    def adapt(
        self, support_x: Tensor, support_y: Tensor, num_inner_steps: int | None = None
    ) -> AdaptedModel:
        """A model for each task, adapted to its support set; no graph is kept.

        The model and its buffers stay as they are; batch statistics that are tracked while it
        adapts are each task's own.

        Args:
            support_x: ``[M, S, ...]``.
            support_y: ``[M, S, ...]``.
            num_inner_steps: more or fewer steps than in training.
        """
        _check_examples("support", support_x, support_y)
        steps = self.num_inner_steps if num_inner_steps is None else checked_steps(num_inner_steps)
        supports = [(support_x, support_y)] * steps

        def run() -> Params:
            params, buffers = (
                expand(dict(named), len(support_x))
                for named in (self.model.named_parameters(), self.model.named_buffers())
            )
            buffers = {name: value.clone() for name, value in buffers.items()}  # to be written to

            def loss(params: Params, examples: Examples) -> Tensor:
                return self._loss(params | buffers, examples)

            return adapt(self._rule(), loss, params, supports) | buffers

        with torch.no_grad(), kept_buffers(self.model):
            return AdaptedModel(self.model, self._looping_if_need_be(run), self.strategy)

    def _rule(self) -> InnerRule[Any]:
        rule = self.rule.leaving_frozen(parameters_of(self.model))
        return rule.at(dict(zip(self._learned_names, self.learned, strict=True)))

    def _loss(self, params: Params, examples: Examples) -> Tensor:
        x, y = examples
        return self._task_losses(self._forward(params, x), y)

    def _looping_if_need_be(self, run: Callable[[], ResultT]) -> ResultT:
        """What ``run`` gives; one task after another where ``vmap`` has no derivative of it."""
        parts = [p for p in (self._forward, self._task_losses) if isinstance(p, PerTask)]
        parts = [part for part in parts if part.strategy == "auto"]
        try:
            with kept_buffers(self.model, always=False), second_derivatives():
                return run()
        except (RuntimeError, NoSecondDerivativeError):
            if not parts:
                raise
        with ExitStack() as undo:
            for part in parts:
                undo.callback(setattr, part, "strategy", "auto")
                part.strategy = "loop"
            with second_derivatives():
                result = run()
            undo.pop_all()  # that was it: they loop from now on
        return result

    def _try_derivatives(self, losses: Tensor) -> None:
        """Raise what the first backward pass would."""
        if self._has_derivatives or not losses.requires_grad:
            return
        parameters = [p for p in self.parameters() if p.requires_grad]
        torch.autograd.grad(losses.sum(), parameters, retain_graph=True, allow_unused=True)
        self._has_derivatives = True


class ProtoNet(nn.Module):
    """Prototypical network around any encoder (Snell et al. 2017).

    Args:
        encoder: maps inputs ``[B, ...]`` to embeddings ``[B, D]``, or to anything that flattens to
            them.

    >>> proto = ProtoNet(nn.Identity())
    >>> support, labels = torch.tensor([[[0.0], [4.0]]]), torch.tensor([[0, 1]])
    >>> proto(support, labels, torch.tensor([[[1.0]]])).tolist()
    [[[-1.0, -9.0]]]
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def embed(self, x: Tensor) -> Tensor:
        """Inputs ``[M, B, ...]`` to embeddings ``[M, B, D]``; tasks share the encoder."""
        embeddings = one_tensor(self.encoder, self.encoder(x.flatten(0, 1)))
        if embeddings.ndim == 0 or len(embeddings) != x.shape[0] * x.shape[1]:
            raise ValueError(
                f"need an embedding of each of {x.shape[0] * x.shape[1]} inputs, the encoder gave "
                f"{tuple(embeddings.shape)}"
            )
        return embeddings.reshape(x.shape[0], x.shape[1], -1)

    def forward(
        self, support_x: Tensor, support_y: Tensor, query_x: Tensor, num_classes: int | None = None
    ) -> Tensor:
        """Class logits of the queries, ``[M, Q, N]``.

        Args:
            support_x: ``[M, S, ...]``.
            support_y: classes in ``[0, N)``, each present in every task, ``[M, S]``, long.
            query_x: ``[M, Q, ...]``.
            num_classes: N; by default one more than the largest label.
        """
        _check_examples("support", support_x, support_y)
        _check_tasks("query", query_x, len(support_x))
        check_labels(support_y)
        classes = int(support_y.max()) + 1 if num_classes is None else num_classes
        if support_y.min() < 0 or support_y.max() >= classes:
            raise ValueError(
                f"support labels must be in [0, {classes}), got {int(support_y.min())} to "
                f"{int(support_y.max())}"
            )
        counts = functional.one_hot(support_y, classes).sum(1)
        if not counts.all():
            task, missing = (counts == 0).nonzero()[0].tolist()
            raise ValueError(f"class {missing} has no support example in task {task}")
        centres = prototypes(self.embed(support_x), support_y, classes)
        return prototype_logits(self.embed(query_x), centres)


def checked_steps(steps: int) -> int:
    """A number of steps of adaptation; :class:`ValueError` unless it is one."""
    if isinstance(steps, bool) or not isinstance(steps, int):
        raise ValueError(f"num_inner_steps must be a whole number, got {steps}")
    if steps < 0:
        raise ValueError(f"num_inner_steps must be at least 0, got {steps}")
    return steps


def _loss_of_one(loss: ExampleLoss, outputs: Tensor, targets: Tensor) -> Tensor:
    """Of one task."""
    try:
        value = loss(outputs, targets)
    except IndexError as error:
        raise ValueError(
            f"the targets do not fit {tuple(outputs.shape)} outputs: {error}"
        ) from error
    if not isinstance(value, Tensor):
        raise ValueError(f"the loss must give a scalar tensor, it gave {type(value).__name__}")
    return value


def _check_tasks(name: str, x: Tensor, num_tasks: int) -> None:
    if x.ndim < 2 or len(x) != num_tasks:
        raise ValueError(
            f"{name} needs inputs [M={num_tasks}, B, ...], as many tasks as the support, "
            f"got {tuple(x.shape)}"
        )


def _check_examples(name: str, x: Tensor, y: Tensor, num_tasks: int | None = None) -> None:
    if x.ndim < 2 or y.ndim < 2 or x.shape[:2] != y.shape[:2]:
        raise ValueError(
            f"{name} needs inputs [M, B, ...] and targets [M, B, ...] with the task axis first, "
            f"got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    if 0 in x.shape[:2]:
        raise ValueError(f"{name} has no examples: inputs are {tuple(x.shape)}")
    if num_tasks is not None:
        _check_tasks(name, x, num_tasks)
    if not y.is_floating_point():
        check_labels(y)

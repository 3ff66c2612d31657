"""``MAML`` and ``ProtoNet`` around any ``nn.Module``: the core for plain PyTorch users.

All inputs lead with the task axis: supports ``[M, S, ...]``, queries ``[M, Q, ...]``.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from metarl.core.inner import SGD, InnerRule, adapt
from metarl.core.maml import meta_loss
from metarl.core.params import Forward, expand, lift, num_tasks_of, parameters_of
from metarl.core.prototypes import prototype_logits, prototypes
from metarl.types import Params, StepSize

ExampleLoss = Callable[[Tensor, Tensor], Tensor]
"""Outputs and targets of **one** task to its scalar loss, like ``functional.cross_entropy``."""

Examples = tuple[Tensor, Tensor]


class MAML(nn.Module):
    """Model-agnostic meta-learning of any module (Finn et al. 2017).

    The meta-parameters are the module's own: ``meta_loss(...).mean().backward()`` fills the
    gradients of ``model``, and any optimiser over ``model.parameters()`` trains it.

    Args:
        model: any module with one tensor in and one tensor out.
        inner_lr: step size α, 0.1 by default; a number, a tensor, or a tensor for each parameter
            name. Tensors that require grad are learned with the rest; give them to your optimiser.
        num_inner_steps: steps on the support set.
        first_order: drop second derivatives (first-order MAML).
        mask: names of the parameters that adapt; all by default.
        rule: another inner rule than the :class:`metarl.core.SGD` of the three above. What it wants
            meta-learned is among ``parameters()``.
        loss: outputs and targets of one task to a scalar.

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
    ) -> None:
        super().__init__()
        if num_inner_steps < 0:
            raise ValueError(f"num_inner_steps must be at least 0, got {num_inner_steps}")
        if rule is None:
            rule = SGD(0.1 if inner_lr is None else inner_lr, mask, first_order)
        elif inner_lr is not None or first_order or mask is not None:
            raise ValueError(
                "inner_lr, first_order and mask are in the rule; give one or the other"
            )
        self.model = model
        self.inner_lr = inner_lr  # a parameter is registered by this, and so among parameters()
        self.rule = rule
        self.num_inner_steps = num_inner_steps
        learned = rule.meta_parameters(parameters_of(model))
        self._learned_names = list(learned)
        self.learned = nn.ParameterList(learned.values())
        self._forward: Forward = lift(model)
        self._task_losses = torch.func.vmap(loss)

    def forward(self, x: Tensor) -> Tensor:
        """The unadapted model on plain inputs ``[B, ...]``."""
        output: Tensor = self.model(x)
        return output

    def meta_loss(
        self, support_x: Tensor, support_y: Tensor, query_x: Tensor, query_y: Tensor
    ) -> Tensor:
        """Query loss of every task after adapting to its support set, ``[M]``."""
        _check_examples("support", support_x, support_y)
        _check_examples("query", query_x, query_y)
        return meta_loss(
            self._rule(),
            self._loss,
            self._loss,
            expand(parameters_of(self.model), support_x.shape[0]),
            [(support_x, support_y)] * self.num_inner_steps,
            (query_x, query_y),
        )

    def adapt(
        self, support_x: Tensor, support_y: Tensor, num_inner_steps: int | None = None
    ) -> "AdaptedModel":
        """A model for each task, adapted to its support set; no graph is kept.

        Args:
            support_x: ``[M, S, ...]``.
            support_y: ``[M, S, ...]``.
            num_inner_steps: more or fewer steps than in training.
        """
        _check_examples("support", support_x, support_y)
        steps = self.num_inner_steps if num_inner_steps is None else num_inner_steps
        with torch.no_grad():
            params = adapt(
                self._rule(),
                self._loss,
                expand(parameters_of(self.model), support_x.shape[0]),
                [(support_x, support_y)] * steps,
            )
        return AdaptedModel(self._forward, params)

    def _rule(self) -> InnerRule[Any]:
        return self.rule.at(dict(zip(self._learned_names, self.learned, strict=True)))

    def _loss(self, params: Params, examples: Examples) -> Tensor:
        x, y = examples
        losses: Tensor = self._task_losses(self._forward(params, x), y)
        return losses


class AdaptedModel(nn.Module):
    """Task-batched parameters of a model, ready for new inputs.

    Args:
        forward: the task-batched function of the model.
        params: ``[M, *shape]`` by name; kept as buffers.
    """

    def __init__(self, forward: Forward, params: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._forward = forward
        self._names = list(params)
        for index, name in enumerate(self._names):
            # buffer names may hold no dots
            self.register_buffer(f"adapted_{index}", params[name].detach().clone())

    @property
    def params(self) -> Params:
        """The adapted parameters by their names in the model, ``[M, *shape]``."""
        return {name: self.get_buffer(f"adapted_{i}") for i, name in enumerate(self._names)}

    def forward(self, x: Tensor) -> Tensor:
        """Inputs of each task ``[M, B, ...]`` to its outputs ``[M, B, ...]``."""
        num_tasks = num_tasks_of(self.params)
        if x.ndim < 2 or x.shape[0] != num_tasks:
            raise ValueError(f"need inputs [M={num_tasks}, B, ...], got {tuple(x.shape)}")
        return self._forward(self.params, x)


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
        embeddings: Tensor = self.encoder(x.flatten(0, 1))
        return embeddings.reshape(x.shape[0], x.shape[1], -1)

    def forward(
        self, support_x: Tensor, support_y: Tensor, query_x: Tensor, num_classes: int | None = None
    ) -> Tensor:
        """Class logits of the queries, ``[M, Q, N]``.

        Args:
            support_x: ``[M, S, ...]``.
            support_y: classes in ``[0, N)``, each present in every task, ``[M, S]``.
            query_x: ``[M, Q, ...]``.
            num_classes: N; by default one more than the largest label.
        """
        _check_examples("support", support_x, support_y)
        classes = int(support_y.max()) + 1 if num_classes is None else num_classes
        counts = functional.one_hot(support_y.long(), classes).sum(1)
        if not counts.all():
            task, missing = (counts == 0).nonzero()[0].tolist()
            raise ValueError(f"class {missing} has no support example in task {task}")
        centres = prototypes(self.embed(support_x), support_y, classes)
        return prototype_logits(self.embed(query_x), centres)


def _check_examples(name: str, x: Tensor, y: Tensor) -> None:
    if x.ndim < 2 or y.ndim < 2 or x.shape[:2] != y.shape[:2]:
        raise ValueError(
            f"{name} needs inputs [M, B, ...] and targets [M, B, ...] with the task axis first, "
            f"got {tuple(x.shape)} and {tuple(y.shape)}"
        )

"""Inner rules, which say what one step of adaptation does, and the one fold over them.

A rule is to adaptation what a gradient transformation of optax is to training: ``init`` gives a
state, ``step`` moves parameters and state. Step sizes, mask and order live in the rule.
:func:`adaptation_path` is the only inner loop of the package: training, evaluation, trust regions
and collection all use it.

Everything is batch-first over tasks: parameters, batches and losses lead with the task axis M.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, Self, TypeVar

import torch
from torch import Tensor

from metarl.core.gradients import task_gradients
from metarl.types import BatchT, LossFn, Params, StepSize

StateT = TypeVar("StateT")
"""What a rule remembers between steps; tensors in it lead with the task axis."""


class InnerRule(Protocol[StateT]):
    """How parameters adapt. A rule of your own subclasses this; ``init`` and ``step`` are enough.

    With gradients enabled a step is differentiable with respect to the parameters that it is given;
    under ``torch.no_grad()`` it takes the same step and keeps no graph.
    """

    first_order: bool = False
    """Whether inner gradients are constants, so that the graphs of inner losses are used up."""

    @abstractmethod
    def init(self, params: Params) -> StateT:
        """The state before the first step from task-batched parameters."""

    @abstractmethod
    def step(
        self, loss_fn: LossFn[BatchT], params: Params, support: BatchT, state: StateT
    ) -> tuple[Params, StateT]:
        """Parameters ``[M, *shape]`` and state after one step.

        Args:
            loss_fn: task-batched parameters and ``support`` to losses ``[M]``.
            params: task-batched parameters ``[M, *shape]``.
            support: what ``loss_fn`` consumes.
            state: of the step before.
        """

    def meta_parameters(self, params: Params) -> Params:
        """Starts of what the rule wants meta-learned besides ``params``, by name; nothing here.

        Args:
            params: those of a network, ``[*shape]``.

        Raises:
            ValueError: if the rule does not fit the network.
        """
        return {}

    def at(self, values: Params) -> Self:
        """The rule with these values of :meth:`meta_parameters`."""
        return self

    def with_step_sizes(self, sizes: Sequence[StepSize]) -> Self:
        """The rule with one step size a step; :class:`ValueError` if it has none."""
        raise ValueError(f"step sizes are for SGD and Momentum, not for {type(self).__name__}")

    def fixed_step_sizes(self, num_steps: int) -> list[float] | None:
        """Of the first steps, where they are numbers that all parameters share."""
        return None


def adaptation_path(
    rule: InnerRule[StateT],
    loss_fn: LossFn[BatchT],
    params: Params,
    supports: Sequence[BatchT | Callable[[Params], BatchT]],
) -> list[Params]:
    """Parameters before the first inner step and after each, one set more than ``supports``.

    Args:
        rule: what a step does.
        loss_fn: task-batched parameters and a batch to losses ``[M]``.
        params: task-batched parameters ``[M, *shape]``.
        supports: one batch a step; repeat a batch to step on it several times. A function is called
            with the parameters that adaptation has come to, and gives the batch.
    """
    path, state = [params], rule.init(params)
    for support in supports:
        batch: BatchT = support(path[-1]) if callable(support) else support
        stepped, state = rule.step(loss_fn, path[-1], batch, state)
        path.append(stepped)
    return path


def adapt(
    rule: InnerRule[StateT],
    loss_fn: LossFn[BatchT],
    params: Params,
    supports: Sequence[BatchT | Callable[[Params], BatchT]],
) -> Params:
    """The end of :func:`adaptation_path`; no supports, no change.

    >>> loss = lambda params, target: (params["w"] - target) ** 2
    >>> adapt(SGD(0.25), loss, {"w": torch.zeros(2)}, [torch.tensor([1.0, 2.0])])["w"].tolist()
    [0.5, 1.0]
    """
    return adaptation_path(rule, loss_fn, params, supports)[-1]


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


@dataclass(frozen=True)
class LearnedStepSizes:
    """Step sizes that are meta-learned with the parameters that they move.

    One for every number (Meta-SGD: Li et al. 2017), or with ``num_steps`` one for every step and
    tensor (MAML++: Antoniou et al. 2019), of which the last serves all later steps.
    """

    start: float
    """Of all of them."""
    num_steps: int | None = None
    """K of MAML++."""
    factors: tuple[float, ...] = (1.0,)
    """Of Meta-SGD: how much of them each step takes; the last serves all later steps."""

    def starts(self, params: Params) -> Params:
        """Their first values by the names of what they move."""
        shape = None if self.num_steps is None else (self.num_steps,)
        return {
            name: torch.full_like(value if shape is None else value.new_empty(shape), self.start)
            for name, value in params.items()
        }

    def schedule(self, values: Params) -> list[StepSize]:
        """What each step takes."""
        if self.num_steps is None:
            return [{name: part * size for name, size in values.items()} for part in self.factors]
        return [{name: s[k] for name, s in values.items()} for k in range(self.num_steps)]


@dataclass(frozen=True, eq=False)
class GradientRule(InnerRule[StateT], ABC):
    """What rules share whose steps go along the gradient of the inner loss."""

    lr: StepSize | Sequence[StepSize] | LearnedStepSizes = 0.1
    """Step size α. A tensor that requires grad is learned by whoever optimises it. Of a sequence of
    one a step, the last serves all later steps."""
    mask: Collection[str] | None = None
    """Names of the parameters that adapt; all by default."""
    first_order: bool = False
    """Treat inner gradients as constants (first-order MAML)."""

    def __post_init__(self) -> None:
        if isinstance(self.lr, Sequence) and not self.lr:
            raise ValueError("lr is an empty sequence; there is no step size to take")

    def meta_parameters(self, params: Params) -> Params:
        """Starts of learned step sizes, by the names of what they move."""
        adapted = {name: params[name] for name in self._names(params)}
        return self.lr.starts(adapted) if isinstance(self.lr, LearnedStepSizes) else {}

    def at(self, values: Params) -> Self:
        """The rule with these step sizes, where they are learned."""
        if not isinstance(self.lr, LearnedStepSizes):
            return self
        return replace(self, lr=self.lr.schedule(values))

    def with_step_sizes(self, sizes: Sequence[StepSize]) -> Self:
        """The rule with one step size a step."""
        return replace(self, lr=sizes)

    def fixed_step_sizes(self, num_steps: int) -> list[float] | None:
        """Of the first steps, where they are numbers that all parameters share."""
        if isinstance(self.lr, LearnedStepSizes):
            return None
        sizes = [self.step_size(k) for k in range(num_steps)]
        return [size for size in sizes if isinstance(size, float)] or None

    def step_size(self, step: int) -> StepSize:
        """α of a step, counted from 0."""
        if isinstance(self.lr, LearnedStepSizes):
            raise ValueError("these step sizes are learned: adapt with rule.at(their values)")
        return self.lr[min(step, len(self.lr) - 1)] if isinstance(self.lr, Sequence) else self.lr

    def _gradients(self, loss_fn: LossFn[BatchT], params: Params, support: BatchT) -> Params:
        names = self._names(params)
        return task_gradients(loss_fn, params, support, names, first_order=self.first_order)

    def _names(self, params: Params) -> list[str]:
        """Of what adapts, in the order of the parameters."""
        if self.mask is None:
            return list(params)
        unknown = sorted(set(self.mask) - set(params))
        if unknown:
            raise ValueError(f"mask names unknown parameters {unknown}; there are {sorted(params)}")
        return [name for name in params if name in set(self.mask)]


class SGD(GradientRule[int]):
    """Gradient descent: θ'_m = θ_m - α ∇ L_m(θ_m; support_m)  (Finn et al. 2017, equation 1).

    ∇ is the partial derivative with respect to each parameter, also where parameters depend on one
    another (a head made from the encoder's embeddings). A parameter that the loss does not use
    stays where it is. The state is the number of steps taken.
    """

    def init(self, params: Params) -> int:
        """No steps."""
        return 0

    def step(
        self, loss_fn: LossFn[BatchT], params: Params, support: BatchT, state: int
    ) -> tuple[Params, int]:
        """Down the gradient; :class:`ValueError` if the losses are not ``[M]``."""
        gradients = self._gradients(loss_fn, params, support)
        return _descend(params, gradients, self.step_size(state)), state + 1


class Velocities(NamedTuple):
    """State of :class:`Momentum`."""

    step: int
    """How many were taken."""
    values: Params
    """v of what has moved, ``[M, *shape]``."""


@dataclass(frozen=True, eq=False)
class Momentum(GradientRule[Velocities]):
    """Heavy ball: v' = μ v + ∇ L, θ' = θ - α v'  (Polyak 1964); v is 0 at first.

    As :class:`SGD` in all else, and equal to it at μ = 0.
    """

    momentum: float = 0.9
    """μ in [0, 1)."""

    def init(self, params: Params) -> Velocities:
        """At rest."""
        return Velocities(0, {})

    def step(
        self, loss_fn: LossFn[BatchT], params: Params, support: BatchT, state: Velocities
    ) -> tuple[Params, Velocities]:
        """Down the velocity."""
        gradients = self._gradients(loss_fn, params, support)
        values = {
            name: torch.add(gradient, state.values[name], alpha=self.momentum)
            if name in state.values
            else gradient
            for name, gradient in gradients.items()
        }
        stepped = _descend(params, values, self.step_size(state.step))
        return stepped, Velocities(state.step + 1, state.values | values)


def _descend(params: Params, directions: Params, lr: StepSize) -> Params:
    """All parameters, those with a direction moved against it by α."""
    return params | {
        name: _moved(params[name], direction, lr[name] if isinstance(lr, Mapping) else lr)
        for name, direction in directions.items()
    }


def _moved(value: Tensor, direction: Tensor, lr: float | Tensor) -> Tensor:
    if isinstance(lr, Tensor):
        return value - lr * direction
    return torch.add(value, direction, alpha=-lr)  # one kernel here, one in the backward pass

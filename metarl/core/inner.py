"""Inner rules, which say what one step of adaptation does, and the one fold over them.

A rule is to adaptation what a gradient transformation of optax is to training: ``init`` gives a
state, ``step`` moves parameters and state. Step sizes, mask and order live in the rule.
:func:`adaptation_path` is the only inner loop of the package: training, evaluation, trust regions
and collection all use it.

Everything is batch-first over tasks: parameters, batches and losses lead with the task axis M.
"""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

from metarl.core.gradients import task_gradients
from metarl.core.learned_step_sizes import LearnedStepSizes
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

    def leaving_frozen(self, params: Params) -> Self:
        """The rule that leaves alone what requires no gradient, unless it was told to move it.

        Raises:
            ValueError: if nothing would move, or a rule of your own does not override this and some
                of a network's ``params`` are frozen.
        """
        frozen = [name for name, value in params.items() if not value.requires_grad]
        if frozen:
            kind = type(self).__name__
            raise ValueError(f"{frozen} are frozen: {kind} needs a leaving_frozen that spares them")
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
    project: Callable[[Params], Params] | None = None,
) -> list[Params]:
    """Parameters before the first inner step and after each, one set more than ``supports``.

    Args:
        rule: what a step does.
        loss_fn: task-batched parameters and a batch to losses ``[M]``.
        params: task-batched parameters ``[M, *shape]``.
        supports: one batch a step; repeat a batch to step on it several times. A function is called
            with the parameters that adaptation has come to, and gives the batch.
        project: moves parameters to the nearest that may be, after every step.
    """
    path, state = [params], rule.init(params)
    for support in supports:
        batch: BatchT = support(path[-1]) if callable(support) else support
        stepped, state = inner_step(rule, loss_fn, path[-1], batch, state, project)
        path.append(stepped)
    return path


def inner_step(
    rule: InnerRule[StateT],
    loss_fn: LossFn[BatchT],
    params: Params,
    support: BatchT,
    state: StateT,
    project: Callable[[Params], Params] | None = None,
) -> tuple[Params, StateT]:
    """Parameters and the rule's state after one step: what :func:`adaptation_path` repeats.

    For adaptation whose batches come one at a time; arguments as there.
    """
    stepped, state = rule.step(loss_fn, params, support, state)
    return (stepped if project is None else project(stepped)), state


def adapt(
    rule: InnerRule[StateT],
    loss_fn: LossFn[BatchT],
    params: Params,
    supports: Sequence[BatchT | Callable[[Params], BatchT]],
    project: Callable[[Params], Params] | None = None,
) -> Params:
    """The end of :func:`adaptation_path`; no supports, no change.

    >>> loss = lambda params, target: (params["w"] - target) ** 2
    >>> adapt(SGD(0.25), loss, {"w": torch.zeros(2)}, [torch.tensor([1.0, 2.0])])["w"].tolist()
    [0.5, 1.0]
    """
    return adaptation_path(rule, loss_fn, params, supports, project)[-1]


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
        for size in self._given_sizes():
            for one in size.values() if isinstance(size, Mapping) else [size]:
                _check_step_size(one)

    def meta_parameters(self, params: Params) -> Params:
        """Starts of learned step sizes, by the names of what they move."""
        self._check_names(params)
        adapted = {name: params[name] for name in self._names(params)}
        return self.lr.starts(adapted) if isinstance(self.lr, LearnedStepSizes) else {}

    def at(self, values: Params) -> Self:
        """The rule with these step sizes, where they are learned."""
        if not isinstance(self.lr, LearnedStepSizes):
            return self
        rule = copy.copy(self)  # learned values are not checked again at every step of training
        object.__setattr__(rule, "lr", self.lr.schedule(values))
        return rule

    def leaving_frozen(self, params: Params) -> Self:
        """Only a mask moves what is frozen."""
        moving = [name for name, value in params.items() if value.requires_grad]
        if self.mask is not None or len(moving) == len(params):
            return self
        if not moving:
            raise ValueError(
                "all parameters are frozen: let some require gradients, or give a mask"
            )
        return replace(self, mask=moving)

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

    def _given_sizes(self) -> Sequence[StepSize]:
        """One a step, or one for all, or what learned ones start from."""
        if isinstance(self.lr, LearnedStepSizes):
            return [self.lr.start, *self.lr.factors]
        return self.lr if isinstance(self.lr, Sequence) else [self.lr]

    def _check_names(self, params: Params) -> None:
        """Raise a :class:`ValueError` unless step sizes by name are of what adapts."""
        names = self._names(params)
        for size in self._given_sizes():
            if isinstance(size, Mapping) and not set(names) <= set(size) <= set(params):
                missing, unknown = sorted(set(names) - set(size)), sorted(set(size) - set(params))
                wrong = f"missing are {missing}, unknown {unknown}"
                raise ValueError(f"step sizes must be of the parameters that adapt; {wrong}")

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
        self._check_names(params)
        return 0

    def step(
        self, loss_fn: LossFn[BatchT], params: Params, support: BatchT, state: int
    ) -> tuple[Params, int]:
        """Down the gradient; :class:`ValueError` if the losses are not ``[M]``."""
        gradients = self._gradients(loss_fn, params, support)
        return descend(params, gradients, self.step_size(state)), state + 1


def _check_step_size(size: object) -> None:
    """Raise a :class:`ValueError` unless it is a number or tensor that a step can take."""
    if isinstance(size, Tensor):
        good = bool(torch.isfinite(size).all())
    else:
        good = isinstance(size, int | float) and math.isfinite(size) and size >= 0
    if not good:
        raise ValueError(f"step sizes must be finite numbers of at least 0, or tensors, got {size}")


def descend(params: Params, directions: Params, lr: StepSize) -> Params:
    """All parameters, those with a direction moved against it by α."""
    return params | {
        name: _moved(params[name], direction, lr[name] if isinstance(lr, Mapping) else lr)
        for name, direction in directions.items()
    }


def _moved(value: Tensor, direction: Tensor, lr: float | Tensor) -> Tensor:
    if isinstance(lr, Tensor):
        return value - lr * direction
    return torch.add(value, direction, alpha=-lr)  # one kernel here, one in the backward pass

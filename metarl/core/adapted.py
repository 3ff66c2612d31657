"""What :meth:`metarl.core.MAML.adapt` gives: models of M tasks as one ordinary module."""

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from metarl.core.params import Forward, Strategy, lift, num_tasks_of, parameters_of
from metarl.types import Params


class AdaptedModel(nn.Module):
    """A copy of a module for each of M tasks, as one module with buffers and a mode of its own.

    Its ``state_dict`` has the module's names, every value with a leading task axis: ``select`` of
    it is what the module itself loads. Parameters require no gradients until you ask for them.

    Args:
        model: the module; it is copied.
        tensors: its parameters and buffers, ``[M, *shape]`` by name.
        strategy: as in :func:`metarl.core.lift`.
    """

    def __init__(
        self, model: nn.Module, tensors: Mapping[str, Tensor], strategy: Strategy = "auto"
    ) -> None:
        super().__init__()
        # a copy whose tensors are those that are given, wherever the module refers to them
        given: dict[int, Any] = {
            id(old): nn.Parameter(tensors[name].clone(), requires_grad=False)
            for name, old in model.named_parameters()
        }
        given |= {id(old): tensors[name].clone() for name, old in model.named_buffers()}
        self.model = copy.deepcopy(model, given)
        self.training = self.model.training
        self._forward: Forward = lift(self.model, strategy)
        hooks: Any = self  # torch gives their registration no types
        hooks.register_state_dict_post_hook(_without_prefix)
        hooks.register_load_state_dict_pre_hook(_with_prefix)

    @property
    def params(self) -> Params:
        """The adapted parameters by their names in the model, ``[M, *shape]``."""
        return parameters_of(self.model)

    def forward(self, x: Tensor) -> Tensor:
        """Inputs of each task ``[M, B, ...]`` to its outputs ``[M, B, ...]``."""
        num_tasks = num_tasks_of(self.params)
        if x.ndim < 2 or x.shape[0] != num_tasks:
            raise ValueError(f"need inputs [M={num_tasks}, B, ...], got {tuple(x.shape)}")
        return self._forward(self.params | dict(self.model.named_buffers()), x)


OWN = "model."  # what an adapted model calls its only part


def _without_prefix(
    module: nn.Module, state: dict[str, Any], prefix: str, metadata: dict[str, Any]
) -> None:
    """A hook: the model's names are its own."""
    renamed = {
        prefix + name.removeprefix(prefix + OWN) if name.startswith(prefix + OWN) else name: value
        for name, value in state.items()
    }
    state.clear()
    state.update(renamed)


def _with_prefix(module: nn.Module, state: dict[str, Any], prefix: str, *unused: object) -> None:
    """The hook that takes such names back."""
    renamed = {
        prefix + OWN + name.removeprefix(prefix) if name.startswith(prefix) else name: value
        for name, value in state.items()
    }
    state.clear()
    state.update(renamed)

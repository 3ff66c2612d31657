"""A backbone and what a learner has beside: the start of a linear head, or numbers of a ridge."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from metarl.core import expand, submodule_params
from metarl.nn import Backbone
from metarl.nn.mlp import linear_tasks
from metarl.nn.norm import BatchNorm
from metarl.types import Params

HeadKind = Literal["shared", "free"]


class HeadedNetwork(nn.Module):
    """Features and a linear layer on them.

    Every class starts with a row of its own (``free``, as Finn et al. 2017), so that the number of
    ways is fixed; or all with one meta-learned row (``shared``: Ye and Chao 2022, section 5), so
    that the order of the classes cannot matter and any number of ways works.

    Scale and shift of batch normalisation may be learned for every step of adaptation, instead of
    adapting (Antoniou et al. 2019, BNWB): ``step_norms`` are what is added to those that the
    backbone came with, which stay.

    Args:
        backbone: to features.
        num_outputs: N of a ``free`` head; 1 for regression.
        head: how a task's head starts.
        generator: source of the initial head.
        norm_steps: steps with scales and shifts of their own; 0 for none.
    """

    def __init__(
        self,
        backbone: Backbone,
        num_outputs: int,
        head: HeadKind,
        generator: torch.Generator | None = None,
        norm_steps: int = 0,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.step_norms = nn.ParameterDict()
        assert isinstance(backbone, nn.Module)
        for name in affine_norms(backbone) if norm_steps else ():
            value = backbone.get_parameter(name).requires_grad_(False)
            self.step_norms[name.replace(".", "/")] = value.new_zeros(norm_steps, *value.shape)
        rows = num_outputs if head == "free" else 1
        self.head_weight = nn.Parameter(torch.empty(rows, backbone.num_features))
        self.head_bias = nn.Parameter(torch.zeros(rows))
        nn.init.xavier_uniform_(self.head_weight, generator=generator)

    def start(self, params: Params, num_tasks: int, num_outputs: int) -> Params:
        """Task-batched parameters before adaptation; the head is ``[M, N, D]`` and ``[M, N]``.

        Args:
            params: the network's own, or others of their names and shapes.
            num_tasks: M.
            num_outputs: N.
        """
        rows = params["head_weight"].shape[0]
        if self.head == "free" and rows != num_outputs:
            raise ValueError(
                f"a free head has {rows} ways and cannot be used with {num_outputs}; "
                "train with --head shared"
            )
        head = {
            "head_weight": params["head_weight"].expand(num_outputs, -1),
            "head_bias": params["head_bias"].expand(num_outputs),
        }
        return self.shared(params | head, num_tasks)

    def shared(self, params: Params, num_tasks: int) -> Params:
        """Task-batched parameters as all tasks have them, normalised as in the first step."""
        return expand(self.adaptable(params), num_tasks) | self.norms(params, 0, num_tasks)

    @staticmethod
    def adaptable(params: Params) -> Params:
        """The parameters but for those that belong to a step."""
        return {k: v for k, v in params.items() if not k.startswith("step_norms.")}

    def norms(self, params: Params, step: int, num_tasks: int) -> Params:
        """Task-batched scales and shifts of a step, counted from 0; the last serves later ones."""
        found = {}
        for key, rows in submodule_params(params, "step_norms").items():
            name = f"backbone.{key.replace('/', '.')}"
            value = params[name] + rows[min(step, len(rows) - 1)]
            found[name] = value.expand(num_tasks, *value.shape)
        return found

    def features(self, params: Params, x: Tensor, num_reference: int | None = None) -> Tensor:
        """``[M, B, *shape]`` to ``[M, B, D]``."""
        return self.backbone.forward_tasks(submodule_params(params, "backbone"), x, num_reference)

    def outputs(self, params: Params, x: Tensor, num_reference: int | None = None) -> Tensor:
        """``[M, B, *shape]`` to ``[M, B, N]``."""
        features = self.features(params, x, num_reference)
        if features.dtype == torch.bfloat16:  # class scores of a prototype head would lose in bf16
            with torch.autocast(x.device.type, enabled=False):
                return self._head(params, features.float())
        return self._head(params, features)

    @staticmethod
    def _head(params: Params, features: Tensor) -> Tensor:
        return linear_tasks(features, params["head_weight"].mT, params["head_bias"])


class RidgeNetwork(nn.Module):
    """Features, and what ridge regression on them has learned beside.

    Args:
        backbone: to features.
        regularisation: λ at first.
        scale: of class scores at first.
    """

    def __init__(self, backbone: Backbone, regularisation: float, scale: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.num_features = backbone.num_features
        self.log_regularisation = nn.Parameter(torch.tensor(regularisation).log())
        self.log_scale = nn.Parameter(torch.tensor(scale).log())

    def forward(self, x: Tensor) -> Tensor:
        """Features ``[B, D]``."""
        return self.backbone(x)

    def forward_tasks(self, params: Params, x: Tensor, num_reference: int | None = None) -> Tensor:
        """Features ``[M, B, D]``."""
        return self.backbone.forward_tasks(submodule_params(params, "backbone"), x, num_reference)


def affine_norms(module: nn.Module) -> list[str]:
    """Names of the scales and shifts of a module's batch normalisation."""
    kinds = BatchNorm, nn.modules.batchnorm._BatchNorm
    norms = [(name, m) for name, m in module.named_modules() if isinstance(m, kinds)]
    return [f"{name}.{own}" for name, norm in norms for own, _ in norm.named_parameters()]


def backbone_of(network: nn.Module) -> nn.Module:
    """The part of a learner's network that gives features."""
    if isinstance(network, HeadedNetwork | RidgeNetwork):
        assert isinstance(network.backbone, nn.Module)
        return network.backbone
    return network


def backbone_state(network: nn.Module) -> dict[str, Any]:
    """State of the part that gives features, as it normalises in the first step."""
    state = backbone_of(network).state_dict()
    if isinstance(network, HeadedNetwork):
        for key, rows in network.step_norms.items():
            name = key.replace("/", ".")
            state[name] = state[name] + rows[0].detach()
    return state

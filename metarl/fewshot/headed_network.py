"""A backbone and what a learner has beside: the start of a linear head, or numbers of a ridge."""

from typing import Literal

import torch
from torch import Tensor, nn

from metarl.core import expand, submodule_params
from metarl.nn import Backbone
from metarl.nn.mlp import linear_tasks
from metarl.types import Params

HeadKind = Literal["shared", "free"]


class HeadedNetwork(nn.Module):
    """Features and a linear layer on them.

    Every class starts with a row of its own (``free``, as Finn et al. 2017), so that the number of
    ways is fixed; or all with one meta-learned row (``shared``: Ye and Chao 2022, section 5), so
    that the order of the classes cannot matter and any number of ways works.

    Args:
        backbone: to features.
        num_outputs: N of a ``free`` head; 1 for regression.
        head: how a task's head starts.
        generator: source of the initial head.
    """

    def __init__(
        self,
        backbone: Backbone,
        num_outputs: int,
        head: HeadKind,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
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
        return expand(params | head, num_tasks)

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


def backbone_of(network: nn.Module) -> nn.Module:
    """The part of a learner's network that gives features."""
    if isinstance(network, HeadedNetwork | RidgeNetwork):
        assert isinstance(network.backbone, nn.Module)
        return network.backbone
    return network

"""Small inner problems whose derivatives are known or can be had by central differences."""

import torch
from torch import Tensor

from metarl.types import Params

Examples = tuple[Tensor, Tensor]


def quadratic(params: Params, batch: Examples) -> Tensor:
    curvature, centre = batch
    return 0.5 * curvature * (params["w"] - centre) ** 2


def curved(params: Params, batch: Examples) -> Tensor:
    """A regression loss with derivatives of every order in both parameters."""
    x, y = batch
    outputs = torch.tanh((x * params["w"][:, None]).sum(-1)) * params["b"][:, None]
    return (outputs - y).square().mean(1)


def task_pair() -> Examples:
    """Curvatures a = (1, 3) and centres c = (0, 1)."""
    return (
        torch.tensor([1.0, 3.0], dtype=torch.float64),
        torch.tensor([0.0, 1.0], dtype=torch.float64),
    )


def curved_task() -> tuple[Params, Examples, Examples]:
    """Three tasks with two features: parameters, a support batch and a query batch."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    params = {"w": draw(3, 2), "b": draw(3)}
    return params, (draw(3, 4, 2), draw(3, 4)), (draw(3, 5, 2), draw(3, 5))


def scalar(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)

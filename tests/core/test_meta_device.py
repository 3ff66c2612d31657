"""The core computes nothing on values: it runs on the meta device and gives the right shapes."""

import torch
from torch import Tensor

from metarl.core import (
    SGD,
    adapt,
    expand,
    lift,
    meta_loss,
    parameters_of,
    proto_maml_head,
    prototype_logits,
    prototype_loss,
    prototypes,
)
from metarl.nn import MLP
from metarl.types import Params

META = torch.device("meta")


def assert_meta(value: Tensor, *shape: int) -> None:
    assert value.device.type == "meta"
    assert value.shape == shape


def test_adaptation() -> None:
    model = MLP([3, 5, 2]).to(META)
    forward, x = lift(model), torch.zeros(4, 6, 3, device=META)

    def loss(params: Params, x: Tensor) -> Tensor:
        return forward(params, x).square().mean((1, 2))

    params = expand(parameters_of(model), 4)
    adapted = adapt(SGD(0.1), loss, params, [x, x])
    for name, value in params.items():
        assert_meta(adapted[name], *value.shape)
    losses = meta_loss(SGD(0.1), loss, loss, params, [x], x)
    assert_meta(losses, 4)
    own = list(model.parameters())
    for gradient, value in zip(torch.autograd.grad(losses.sum(), own), own, strict=True):
        assert_meta(gradient, *value.shape)


def test_prototype_functions() -> None:
    centres = prototypes(
        torch.zeros(4, 6, 3, device=META), torch.zeros(4, 6, device=META).long(), 2
    )
    assert_meta(centres, 4, 2, 3)
    logits = prototype_logits(torch.zeros(4, 7, 3, device=META), centres)
    assert_meta(logits, 4, 7, 2)
    assert_meta(prototype_loss(logits, torch.zeros(4, 7, device=META).long()), 4)
    weight, bias = proto_maml_head(centres)
    assert_meta(weight, 4, 2, 3)
    assert_meta(bias, 4, 2)

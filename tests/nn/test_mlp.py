"""The multi-layer perceptron: task-batched and plain forward, initial weights."""

import math

import pytest
import torch
from torch import nn

from metarl.core import expand, parameters_of
from metarl.nn import MLP, GaussianPolicy, policy_network
from metarl.nn.mlp import Activation


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_forward_tasks_is_forward_of_every_task(activation: Activation) -> None:
    net = MLP([3, 7, 5, 2], activation).double()
    x = torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(net.forward_tasks(expand(parameters_of(net), 4), x), net(x))


@pytest.mark.parametrize(("activation", "layer"), [("tanh", nn.Tanh()), ("relu", nn.ReLU())])
def test_activation_between_the_layers_only(activation: Activation, layer: nn.Module) -> None:
    net = MLP([3, 7, 2], activation)
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(net(x), nn.Sequential(net.layers[0], layer, net.layers[1])(x))


def test_tasks_use_their_own_parameters() -> None:
    """Golden: y = w x + b with (w, b) = (2, 1) and (3, -1) at x = 5: 11 and 14."""
    params = {
        "layers.0.weight": torch.tensor([[[2.0]], [[3.0]]]),
        "layers.0.bias": torch.tensor([[1.0], [-1.0]]),
    }
    outputs = MLP([1, 1]).forward_tasks(params, torch.full((2, 1, 1), 5.0))
    assert outputs.flatten().tolist() == [11.0, 14.0]


@pytest.mark.parametrize("network", [lambda g: MLP([3, 8, 2], "tanh", g), lambda g: policy(g)])
def test_weights_come_from_the_generator_alone(network: object) -> None:
    assert callable(network)
    before = torch.random.get_rng_state()
    first, second, third = (network(torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    first, second, third = (
        nn.utils.parameters_to_vector(net.parameters()) for net in (first, second, third)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def policy(generator: torch.Generator) -> GaussianPolicy:
    return GaussianPolicy(policy_network(3, 2, hidden_sizes=(8,), generator=generator), 2)


def test_initial_weights_are_glorot_uniform_and_biases_zero() -> None:
    """Glorot's bound is sqrt(6 / (fan_in + fan_out)); 40 000 draws come within 1 % of it."""
    net = MLP([100, 400], generator=torch.Generator().manual_seed(0))
    bound = math.sqrt(6.0 / 500.0)
    weights = net.layers[0].weight
    assert isinstance(weights, torch.Tensor)
    assert 0.99 * bound < weights.abs().max().item() <= bound
    torch.testing.assert_close(weights.std().item(), bound / math.sqrt(3.0), rtol=0.02, atol=0)
    assert not torch.count_nonzero(parameters_of(net)["layers.0.bias"])


@pytest.mark.parametrize("sizes", [[3], [3, 0, 2]])
def test_sizes_are_checked(sizes: list[int]) -> None:
    with pytest.raises(ValueError, match="sizes needs an input and an output width"):
        MLP(sizes)

"""ResNet-12 against plain torch modules, in double precision."""

import pytest
import torch
from plain_networks import (
    check_running_statistics,
    grouped_derivatives,
    in_double,
    our_derivatives,
    plain_derivatives,
    plain_resnet12,
    task_inputs,
)
from torch import nn

from metarl.core import expand, parameters_of
from metarl.nn import Backbone, ResNet12

WIDTHS = [2, 3, 2, 4]
SIZE = (17, 20)
references = pytest.mark.parametrize("num_reference", [None, 1, 2])
channels = pytest.mark.parametrize("num_channels", [1, 2])


def make(num_channels: int = 2) -> tuple[ResNet12, nn.Module]:
    generator = torch.Generator().manual_seed(0)
    ours = ResNet12(num_channels, SIZE, widths=WIDTHS, generator=generator)
    plain = plain_resnet12(num_channels, WIDTHS)
    in_double(ours, plain)
    return ours, plain


@references
@channels
def test_features_and_two_derivatives(num_reference: int | None, num_channels: int) -> None:
    ours, plain = make(num_channels)
    params, x = task_inputs(ours, 2, 3, num_channels, *SIZE)
    expected = plain_derivatives(plain, params, x, num_reference)
    torch.testing.assert_close(our_derivatives(ours, params, x, num_reference), expected)
    assert expected.features.shape == (2, 3, ours.num_features)
    assert all(value.abs().max() > 0 for value in expected.second)


@references
@channels
def test_all_tasks_at_once_as_on_a_gpu(num_reference: int | None, num_channels: int) -> None:
    ours, _ = make(num_channels)
    params, x = task_inputs(ours, 3, 4, num_channels, *SIZE)
    grouped = grouped_derivatives(ours, params, x, num_reference)
    torch.testing.assert_close(grouped, our_derivatives(ours, params, x, num_reference))


def test_running_statistics_are_those_of_torch() -> None:
    check_running_statistics(*make(), 4, 2, *SIZE)


def test_the_meta_device() -> None:
    ours = ResNet12(3, (84, 84)).to("meta")
    params, x = expand(parameters_of(ours), 2), torch.zeros(2, 5, 3, 84, 84, device="meta")
    features = ours.forward_tasks(params, x, 3)
    assert (features.device.type, features.shape) == ("meta", (2, 5, 640))


def test_the_size_of_the_papers() -> None:
    """12.4 million parameters for widths of 64 to 640 (Lee et al. 2019), shortcuts among them."""
    widths = [3, 64, 160, 320, 640]
    convolutions = sum(
        9 * widths[i + 1] * (widths[i] + 2 * widths[i + 1]) + widths[i] * widths[i + 1]
        for i in range(4)
    )
    with torch.device("meta"):
        network = ResNet12(3, (84, 84))
    assert sum(value.numel() for value in network.parameters()) == convolutions + 8 * sum(
        widths[1:]
    )
    assert convolutions == 12_414_848
    assert isinstance(network, Backbone)


def test_initial_weights() -> None:
    """He et al. 2015 by the fan out: variance 2 / (1 + 0.1²) / (9 * 64) in the first layer."""
    before = torch.random.get_rng_state()
    networks = [
        ResNet12(3, (16, 16), widths=[64, 1, 1, 1], generator=torch.Generator().manual_seed(seed))
        for seed in (0, 1)
    ]
    assert torch.equal(torch.random.get_rng_state(), before)
    first, other = (net.get_parameter("blocks.0.layers.0.weight") for net in networks)
    assert not torch.equal(first, other)
    assert first.var().item() == pytest.approx(2 / 1.01 / (9 * 64), rel=0.1)


def test_what_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"needs images of at least 16x16, got \(15, 84\)"):
        ResNet12(3, (15, 84))
    with pytest.raises(ValueError, match=r"widths must be 4 of at least 1, got \(64, 160, 320\)"):
        ResNet12(3, (84, 84), widths=(64, 160, 320))

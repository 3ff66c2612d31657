"""Conv4 and its pooled moments against plain torch modules, in double precision."""

import pytest
import torch
from plain_networks import (
    check_running_statistics,
    draw,
    grouped_derivatives,
    in_double,
    our_derivatives,
    plain_conv4,
    plain_derivatives,
    task_inputs,
)
from torch import Tensor, nn
from torch.nn import functional

from metarl.core import expand, parameters_of
from metarl.nn import Conv4
from metarl.nn.conv4 import Downsample
from metarl.nn.norm import moments, pooled_moments

SIZES: dict[Downsample, tuple[int, int]] = {"max-pool": (17, 20), "stride": (5, 8)}
both = pytest.mark.parametrize("downsample", ["max-pool", "stride"])
references = pytest.mark.parametrize("num_reference", [None, 1, 2])
channels = pytest.mark.parametrize("num_channels", [1, 2])


def make(downsample: Downsample, num_channels: int = 2) -> tuple[Conv4, nn.Module]:
    generator = torch.Generator().manual_seed(0)
    ours = Conv4(
        num_channels, SIZES[downsample], filters=3, downsample=downsample, generator=generator
    )
    plain = plain_conv4(num_channels, 3, downsample)
    in_double(ours, plain)
    assert any(
        (value < 0).any() for name, value in ours.named_parameters() if "norm.weight" in name
    )
    return ours, plain


@both
@references
@channels
def test_features_and_two_derivatives(
    downsample: Downsample, num_reference: int | None, num_channels: int
) -> None:
    ours, plain = make(downsample, num_channels)
    params, x = task_inputs(ours, 2, 3, num_channels, *SIZES[downsample])
    expected = plain_derivatives(plain, params, x, num_reference)
    torch.testing.assert_close(our_derivatives(ours, params, x, num_reference), expected)
    assert expected.features.shape == (2, 3, ours.num_features)
    assert all(value.abs().max() > 0 for value in expected.second)


@both
@references
@channels
def test_all_tasks_at_once_as_on_a_gpu(
    downsample: Downsample, num_reference: int | None, num_channels: int
) -> None:
    ours, _ = make(downsample, num_channels)
    params, x = task_inputs(ours, 3, 4, num_channels, *SIZES[downsample])
    grouped = grouped_derivatives(ours, params, x, num_reference)
    torch.testing.assert_close(grouped, our_derivatives(ours, params, x, num_reference))


@both
def test_running_statistics_are_those_of_torch(downsample: Downsample) -> None:
    check_running_statistics(*make(downsample), 4, 2, *SIZES[downsample])


@both
def test_queries_do_not_depend_on_one_another_with_a_reference(downsample: Downsample) -> None:
    ours, _ = make(downsample)
    params, x = task_inputs(ours, 1, 4, 2, *SIZES[downsample])
    whole = ours.forward_tasks(params, x, 2)
    torch.testing.assert_close(ours.forward_tasks(params, x[:, :3], 2), whole[:, :3])
    assert not torch.allclose(ours.forward_tasks(params, x), whole)


@both
def test_the_meta_device(downsample: Downsample) -> None:
    ours = Conv4(3, (32, 24), filters=4, downsample=downsample).to("meta")
    params, x = expand(parameters_of(ours), 2), torch.zeros(2, 5, 3, 32, 24, device="meta")
    features = ours.forward_tasks(params, x, 3)
    assert (features.device.type, features.shape) == ("meta", (2, 5, ours.num_features))


@pytest.mark.parametrize(
    ("size", "downsample", "num_features"),
    [
        ((28, 28), "max-pool", 64),
        ((84, 84), "max-pool", 1600),
        ((16, 33), "max-pool", 128),
        ((28, 28), "stride", 64),
        ((1, 1), "stride", 64),
    ],
)
def test_the_number_of_features(
    size: tuple[int, int], downsample: Downsample, num_features: int
) -> None:
    network = Conv4(3, size, downsample=downsample).to("meta")
    features = network(torch.zeros(2, 3, *size, device="meta"))
    assert features.shape == (2, num_features) == (2, network.num_features)


def test_small_images_need_strides() -> None:
    with pytest.raises(ValueError, match=r"at least 16x16, got \(16, 15\); use downsample stride"):
        Conv4(1, (16, 15))


def test_inputs_of_another_number_of_tasks() -> None:
    network = Conv4(1, (16, 16), filters=2)
    with pytest.raises(ValueError, match=r"need inputs \[M=3, B, ...\], got \(2, 5, 1, 16, 16\)"):
        network.forward_tasks(expand(parameters_of(network), 3), torch.zeros(2, 5, 1, 16, 16))


def test_weights_come_from_the_generator_alone() -> None:
    before = torch.random.get_rng_state()
    networks = [Conv4(1, (16, 16), generator=torch.Generator().manual_seed(s)) for s in (0, 0, 1)]
    assert torch.equal(torch.random.get_rng_state(), before)
    first, second, third = (nn.utils.parameters_to_vector(net.parameters()) for net in networks)
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


POOLED = pytest.mark.parametrize("size", [(4, 4), (2, 3), (5, 4)])
COUNT = pytest.mark.parametrize("num_reference", [None, 1, 3])


def pooled(x: Tensor, num_reference: int | None) -> tuple[Tensor, Tensor, Tensor]:
    values, (mean, variance) = pooled_moments(x, num_reference)
    return values, mean, variance


@POOLED
@COUNT
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_pooled_moments(
    size: tuple[int, int], num_reference: int | None, layout: torch.memory_format
) -> None:
    x = draw(0, 3, 2, *size).contiguous(memory_format=layout).requires_grad_()
    reference = x[:num_reference]
    expected = (
        functional.max_pool2d(x, 2),
        reference.mean((0, 2, 3)),
        reference.var((0, 2, 3), unbiased=False),
    )
    values = pooled(x, num_reference)
    torch.testing.assert_close(values, expected)
    torch.testing.assert_close(tuple(moments(x, num_reference)), expected[1:])
    directions = [draw(k, *value.shape) for k, value in enumerate(values)]
    ours, plain = (torch.autograd.grad(v, x, directions) for v in (values, expected))
    torch.testing.assert_close(ours, plain)


@POOLED
@COUNT
def test_derivatives_of_pooled_moments(size: tuple[int, int], num_reference: int | None) -> None:
    x = draw(0, 3, 2, *size).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: pooled(x, num_reference), (x,))
    assert torch.autograd.gradgradcheck(lambda x: pooled(x, num_reference), (x,), fast_mode=True)
    assert torch.autograd.gradcheck(lambda x: tuple(moments(x, num_reference)), (x,))
    assert torch.autograd.gradgradcheck(lambda x: tuple(moments(x, num_reference)), (x,))


def test_moments_in_bf16_have_gradients_in_bf16() -> None:
    x = draw(0, 8, 3, 6, 6).bfloat16().requires_grad_()
    for count in (None, 2):
        (gradient,) = torch.autograd.grad(moments(x, count).variance.sum(), x)
        assert gradient.dtype == torch.bfloat16
        full = x.detach().float().requires_grad_()
        (expected,) = torch.autograd.grad(moments(full, count).variance.sum(), full)
        torch.testing.assert_close(gradient.float(), expected, rtol=2e-2, atol=1e-4)


def test_moments_in_bf16_are_taken_in_full() -> None:
    """Where the mean is large, eight bits would not do."""
    x = (20 + draw(0, 8, 3, 6, 6)).bfloat16()
    full = x.float()
    expected = full.mean((0, 2, 3)), full.var((0, 2, 3), unbiased=False)
    for stats in (moments(x), pooled_moments(x)[1]):
        torch.testing.assert_close(tuple(stats), expected)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(tuple(moments(full)), expected)

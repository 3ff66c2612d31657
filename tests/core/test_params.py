"""Task-batched parameters: expanding, and lifting any module to them."""

import copy

import pytest
import torch
from torch import Tensor, nn

from metarl.core import expand, lift, parameters_of, select
from metarl.core.params import Forward
from metarl.nn import MLP
from metarl.types import Params

NUM_TASKS = 3


def task_params(module: nn.Module) -> Params:
    """Parameters of each task's own for the module, ``[M, *shape]``."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(NUM_TASKS, *value.shape, generator=generator).to(value).requires_grad_()
        for name, value in module.named_parameters()
    }


def inputs(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(NUM_TASKS, *shape, generator=generator, dtype=torch.float64)


def outputs_and_gradients(forward: Forward, params: Params, x: Tensor) -> list[Tensor]:
    outputs = forward(params, x)
    gradients = torch.autograd.grad(outputs.square().sum(), list(params.values()))
    return [outputs, *gradients]


def conv_net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)).double()


@pytest.mark.parametrize(
    ("module", "shape"),
    [(MLP([3, 5, 2]).double(), (6, 3)), (conv_net(), (6, 2, 4, 4))],
    ids=["mlp", "conv"],
)
def test_auto_vmap_and_loop_agree(module: nn.Module, shape: tuple[int, ...]) -> None:
    params, x = task_params(module), inputs(*shape)
    expected = outputs_and_gradients(lift(module, "loop"), params, x)
    for forward in (lift(module), lift(module, "vmap")):
        torch.testing.assert_close(outputs_and_gradients(forward, params, x), expected)


def test_each_task_runs_with_its_own_parameters() -> None:
    module = conv_net()
    params, x = task_params(module), inputs(6, 2, 4, 4)
    outputs = lift(module)(params, x)
    for task in range(NUM_TASKS):
        own = copy.deepcopy(module)
        own.load_state_dict(select(params, task))
        torch.testing.assert_close(outputs[task], own(x[task]))


def test_batch_statistics_are_each_task_s_own() -> None:
    """vmap refuses running statistics; the lifted module normalises every task by itself."""
    module = nn.BatchNorm1d(4).double()
    params, x = task_params(module), 5.0 + inputs(6, 4)
    with pytest.raises(RuntimeError, match="vmap"):
        lift(copy.deepcopy(module), "vmap")(params, x)

    deviation = x - x.mean(1, keepdim=True)
    scale = torch.sqrt(x.var(1, correction=0, keepdim=True) + module.eps)
    expected = deviation / scale * params["weight"][:, None] + params["bias"][:, None]
    torch.testing.assert_close(lift(module)(params, x), expected)
    assert module.running_mean is not None
    assert (module.running_mean > 0.5).all()


class Fold(nn.Module):
    """Control flow on values: negative sums are mirrored."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x)
        return y if y.sum() > 0 else -y


def test_control_flow_on_values() -> None:
    module = Fold()
    params, x = task_params(module), inputs(6, 3)
    raw = torch.einsum("mbi,moi->mbo", x, params["linear.weight"]) + params["linear.bias"][:, None]
    signs = raw.sum((1, 2)).sign()
    assert set(signs.tolist()) == {-1.0, 1.0}
    torch.testing.assert_close(lift(module)(params, x), raw * signs[:, None, None])


def test_dropout_differs_between_tasks() -> None:
    module = nn.Sequential(nn.Linear(50, 50), nn.Dropout(0.5))
    ones = expand({"0.weight": torch.eye(50), "0.bias": torch.zeros(50)}, NUM_TASKS)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        outputs = lift(module)(ones, torch.ones(NUM_TASKS, 1, 50))
    assert set(outputs.flatten().tolist()) == {0.0, 2.0}
    assert not torch.equal(outputs[0], outputs[1])


class CountedLinear(nn.Linear):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x)


def test_one_wrong_call_does_not_end_the_batched_pass() -> None:
    module = CountedLinear(3, 2)
    forward, params = lift(module), expand(parameters_of(module), NUM_TASKS)
    with pytest.raises(RuntimeError, match="shape"):
        forward(params, torch.zeros(NUM_TASKS, 6, 4))
    module.calls = 0
    forward(params, torch.zeros(NUM_TASKS, 6, 3))
    assert module.calls == 1


class CountedFold(Fold):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x)


def test_a_module_that_vmap_refuses_is_tried_once() -> None:
    module = CountedFold()
    forward, params, x = lift(module), task_params(module), inputs(6, 3)
    forward(params, x)
    module.calls = 0
    forward(params, x)
    assert module.calls == NUM_TASKS


def test_parameters_left_out_keep_the_module_s_values() -> None:
    module = nn.Linear(3, 2).double()
    weight, x = task_params(module)["weight"], inputs(6, 3)
    expected = torch.einsum("mbi,moi->mbo", x, weight) + module.bias
    torch.testing.assert_close(lift(module)({"weight": weight}, x), expected)


def test_gradients_of_expanded_parameters_sum_over_tasks() -> None:
    w = torch.ones(2, requires_grad=True)
    weights = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    (gradient,) = torch.autograd.grad((expand({"w": w}, 3)["w"] * weights).sum(), w)
    assert gradient.tolist() == [9.0, 12.0]


def test_expand_needs_a_task() -> None:
    with pytest.raises(ValueError, match="num_tasks must be at least 1, got 0"):
        expand({"w": torch.zeros(1)}, 0)

"""An adapted model is an ordinary module, tied to nothing."""

import copy
import io
import pickle

import pytest
import torch
from torch import Tensor, nn

from metarl import MAML, AdaptedModel, ProtoNet
from metarl.core import select
from metarl.nn import MLP


class Body(nn.Module):
    """A child called as the adapted model calls its only part, batch statistics, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(0.5))
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.tanh(self.model(x)))
        return logits


@pytest.fixture
def maml() -> MAML:
    torch.manual_seed(0)
    return MAML(Body(), 0.5)


def episode() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 6, 4, generator=generator), torch.arange(12).reshape(2, 6) % 3


def state_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def assert_same(module: nn.Module, state: dict[str, Tensor]) -> None:
    assert list(module.state_dict()) == list(state)
    for name, value in module.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_its_state_has_the_modules_names_and_one_task_is_a_module(maml: MAML) -> None:
    x, y = episode()
    tuned = maml.adapt(x, y).eval()
    state, own = tuned.state_dict(), maml.model.state_dict()
    assert list(state) == list(own)
    assert {n: v.shape[1:] for n, v in state.items()} == {n: v.shape for n, v in own.items()}
    assert [name for name, _ in tuned.model.named_parameters()] == list(tuned.params)
    outputs = tuned(x)
    for task in range(2):
        model = Body().eval()
        model.load_state_dict(select(state, task))
        torch.testing.assert_close(model(x[task]), outputs[task])


def test_modes_are_its_own_both_ways(maml: MAML) -> None:
    tuned = maml.adapt(*episode())
    tuned.eval()
    assert all(part.training for part in maml.modules())
    again = maml.eval().adapt(*episode())
    again.train()
    assert not any(part.training for part in maml.modules())
    mixed = Body()
    mixed.model[1].eval()
    assert [p.training for p in MAML(mixed).adapt(*episode()).model.model] == [True, False, True]


@pytest.mark.parametrize("training", [True, False])
def test_nothing_that_happens_to_either_reaches_the_other(maml: MAML, training: bool) -> None:
    x, y = episode()
    maml.train(training)
    base = state_of(maml.model)
    tuned = maml.adapt(x, y, 3)
    assert_same(maml.model, base)
    adapted = state_of(tuned)
    tuned.train()(x)
    assert_same(maml.model, base)
    tuned.load_state_dict(adapted)
    optimiser = torch.optim.Adam(maml.model.parameters(), lr=0.1)
    for _ in range(2):  # further training of the base
        maml.train().meta_loss(x, y, x, y).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert_same(tuned, adapted)


def test_statistics_that_are_tracked_are_each_tasks_own(maml: MAML) -> None:
    x, y = episode()
    tuned = maml.adapt(x, y, 3)
    name = "model.1.num_batches_tracked"
    assert tuned.state_dict()[name].tolist() == [3, 3]
    tuned(x)
    assert tuned.state_dict()[name].tolist() == [4, 4]
    means = tuned.eval().state_dict()["model.1.running_mean"]
    assert not torch.allclose(means[0], means[1])


def test_a_refused_pass_leaves_no_trace(maml: MAML) -> None:
    """vmap counts the batch before it refuses the running mean."""
    x, y = episode()
    maml.meta_loss(x, y, x, y)
    norm = maml.model.get_buffer("model.1.num_batches_tracked")
    assert norm == 2 * 2  # tasks, and passes of each


class Counting(nn.Linear):
    """Task-batched by itself, with a buffer that counts the passes."""

    def __init__(self) -> None:
        super().__init__(4, 3)
        self.register_buffer("passes", torch.zeros(()))

    def forward_tasks(self, params: dict[str, Tensor], x: Tensor) -> Tensor:
        self.passes += 1
        return x @ params["weight"].mT + params["bias"][:, None]


def test_adapting_leaves_the_buffers_of_what_is_native_too() -> None:
    x, y = episode()
    maml = MAML(Counting())
    maml.adapt(x, y)
    assert maml.model.get_buffer("passes") == 0
    maml.meta_loss(x, y, x, y)
    assert maml.model.get_buffer("passes") == 2


@pytest.mark.parametrize("native", [False, True])
def test_copies_and_pickles_are_independent(maml: MAML, native: bool) -> None:
    x, y = episode()
    if native:
        maml = MAML(MLP([4, 5, 3]), 0.5)
    tuned = maml.eval().adapt(x, y)
    state, outputs = state_of(tuned), tuned(x)
    for other in (copy.deepcopy(tuned), pickle.loads(pickle.dumps(tuned))):
        assert torch.equal(other(x), outputs)
        for value in other.state_dict().values():
            value.zero_()
        assert not torch.equal(other(x), outputs)
        other.train()
        assert_same(tuned, state)
        assert not tuned.training


def test_what_adapts_is_copied_and_pickled_too(maml: MAML) -> None:
    x, y = episode()
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0]))
    maml = MAML(maml.model, 0.5, loss=loss).eval()
    expected = maml.meta_loss(x, y, x, y).detach()
    for other in (copy.deepcopy(maml), pickle.loads(pickle.dumps(maml))):
        torch.testing.assert_close(other.meta_loss(x, y, x, y), expected)
        other.train()
        assert not maml.training
        other.model.head.weight.data.zero_()
        other.loss.weight.zero_()
        torch.testing.assert_close(maml.meta_loss(x, y, x, y), expected)
    assert maml.double().loss.weight.dtype == torch.float64  # the loss goes where the module goes


def test_saved_and_loaded(maml: MAML) -> None:
    x, y = episode()
    tuned, other = maml.eval().adapt(x, y), maml.adapt(-x, y)
    file = io.BytesIO()
    torch.save(tuned.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(x), tuned(x))
    with pytest.raises(RuntimeError, match="size mismatch"):
        other.load_state_dict(maml.adapt(x[:1], y[:1]).state_dict())
    with pytest.raises(RuntimeError, match=r"Missing key.*head\.bias"):
        other.load_state_dict({n: v for n, v in tuned.state_dict().items() if n != "head.bias"})


def test_as_a_part_of_another_module(maml: MAML) -> None:
    x, y = episode()
    whole = nn.ModuleDict({"first": maml.eval().adapt(x, y), "second": nn.Linear(1, 1)})
    state = state_of(whole)
    assert set(state) == {f"first.{n}" for n in maml.model.state_dict()} | {
        "second.weight",
        "second.bias",
    }
    fresh = nn.ModuleDict({"first": maml.adapt(-x, y), "second": nn.Linear(1, 1)})
    fresh.load_state_dict(state)
    assert_same(fresh, state)


def test_its_parameters_train_on_where_asked(maml: MAML) -> None:
    x, y = episode()
    tuned = maml.eval().adapt(x, y)
    assert not any(value.requires_grad for value in tuned.parameters())
    assert not tuned(x).requires_grad
    optimiser = torch.optim.SGD(tuned.requires_grad_().parameters(), lr=0.5)
    before = nn.functional.cross_entropy(tuned(x).flatten(0, 1), y.flatten())
    before.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    after = nn.functional.cross_entropy(tuned(x).flatten(0, 1), y.flatten())
    assert after < before


def test_other_types_of_numbers(maml: MAML) -> None:
    x, y = episode()
    tuned = maml.eval().adapt(x, y).double()
    assert isinstance(tuned, AdaptedModel)
    assert tuned(x.double()).dtype == torch.float64
    assert next(maml.parameters()).dtype == torch.float32


def test_a_protonet_is_copied_and_pickled(maml: MAML) -> None:
    x, y = episode()
    proto = ProtoNet(maml.model).eval()
    for other in (copy.deepcopy(proto), pickle.loads(pickle.dumps(proto))):
        assert torch.equal(other(x, y, x), proto(x, y, x))
        other.train()
        assert not any(part.training for part in proto.modules())

"""Every row of ``docs/own-modules.md``, against one task after another in plain PyTorch."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from own_modules import CLASSES, ROWS, WIDTH, Centres, Last, Row, Tied, frozen, plain, weighted
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.attention import SDPBackend, sdpa_kernel

from metarl import MAML, ProtoNet
from metarl.core import NoSecondDerivativeError, select

DOCUMENT = Path(__file__).parents[2] / "docs" / "own-modules.md"
NUM_TASKS, STEPS, LR = 3, 2, 0.3
Examples = tuple[Tensor, Tensor]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def episode(
    row: Row | None = None, dtype: torch.dtype = torch.float64
) -> tuple[Examples, Examples]:
    """Support and query."""
    x = 2 * torch.randn(2, NUM_TASKS, 6, WIDTH, dtype=dtype)
    if row is not None and row.indices:
        x = torch.randint(9, x.shape)
    y = torch.randint(CLASSES, (2, NUM_TASKS, 6))
    return (x[0], y[0]), (x[1], y[1])


def rows(*names: str) -> pytest.MarkDecorator:
    chosen = [row for row in ROWS if not names or row.name in names]
    return pytest.mark.parametrize("row", chosen, ids=[row.name for row in chosen])


def made(row: Row) -> tuple[nn.Module, nn.Module]:
    return row.make().double().train(row.training), row.loss().double()


def meta_gradient(
    model: nn.Module, loss: nn.Module, support: Examples, query: Examples
) -> tuple[Tensor, ...]:
    """Of the sum over tasks, by the paper's algorithm."""
    theta = {name: p for name, p in model.named_parameters() if p.requires_grad}
    losses = []
    for m in range(NUM_TASKS):
        fast = dict(theta)
        for _ in range(STEPS):
            outputs = torch.func.functional_call(model, fast, (support[0][m],))
            gradients = torch.autograd.grad(
                loss(outputs, support[1][m]), list(fast.values()), create_graph=True
            )
            fast = {n: v - LR * g for (n, v), g in zip(fast.items(), gradients, strict=True)}
        losses.append(loss(torch.func.functional_call(model, fast, (query[0][m],)), query[1][m]))
    return torch.autograd.grad(torch.stack(losses).sum(), list(theta.values()))


@rows()
def test_the_meta_gradient_is_that_of_a_loop_in_torch(row: Row) -> None:
    model, loss = made(row)
    other = copy.deepcopy(model)
    support, query = episode(row)
    maml = MAML(model, LR, STEPS, loss=loss, strategy=row.strategy)
    for _ in range(2):  # once a strategy has been found, and at first
        maml.zero_grad()
        maml.meta_loss(*support, *query).sum().backward()  # type: ignore[no-untyped-call]
        with sdpa_kernel(SDPBackend.MATH):
            expected = meta_gradient(other, loss, support, query)
        gradients = [p.grad for p in model.parameters() if p.requires_grad]
        for gradient, value in zip(gradients, expected, strict=True):
            torch.testing.assert_close(gradient, value, rtol=1e-9, atol=1e-11)
    for name, buffer in model.named_buffers():  # means of batches depend on the order of the tasks
        if name.endswith("num_batches_tracked"):
            assert buffer == other.get_buffer(name)


@rows()
def test_adapted_models_are_copies_that_torch_trained(row: Row) -> None:
    model, loss = made(row)
    (x, y), query = episode(row)
    before = copy.deepcopy(model.state_dict())
    tuned = MAML(model, LR, STEPS, loss=loss, strategy=row.strategy).adapt(x, y)
    outputs = tuned(query[0])
    for m in range(NUM_TASKS):
        own = copy.deepcopy(model)
        optimiser = torch.optim.SGD([p for p in own.parameters() if p.requires_grad], lr=LR)
        for _ in range(STEPS):
            optimiser.zero_grad()
            loss(own(x[m]), y[m]).backward()
            optimiser.step()
        torch.testing.assert_close(outputs[m], own(query[0][m]))
        state = select(tuned.state_dict(), m)
        for name, value in own.state_dict().items():
            torch.testing.assert_close(state[name], value, msg=name)
        own.load_state_dict(state)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


@rows("linear layers", "attention, evaluation mode", "convolutions", "tied weights")
@pytest.mark.parametrize("strategy", ["vmap", "loop"])
def test_the_strategy_changes_no_number(row: Row, strategy: str) -> None:
    model, loss = made(row)
    support, query = episode(row)
    given = MAML(model, LR, STEPS, loss=loss, strategy=strategy)  # type: ignore[arg-type]
    expected = MAML(model, LR, STEPS, loss=loss).meta_loss(*support, *query)
    torch.testing.assert_close(given.meta_loss(*support, *query), expected)
    assert given.adapt(*support)(query[0]).shape == (NUM_TASKS, 6, CLASSES)


@rows("attention, training mode", "attention, evaluation mode", "recurrent")
def test_in_single_precision_torch_has_other_kernels(row: Row) -> None:
    """Fused attention, oneDNN's LSTM: they have second derivatives here, too."""
    model = row.make().train(row.training)
    support, query = episode(dtype=torch.float32)
    for first_order in (False, True):
        maml = MAML(model, LR, STEPS, first_order=first_order)
        maml.meta_loss(*support, *query).sum().backward()  # type: ignore[no-untyped-call]
    assert torch.backends.mha.get_fastpath_enabled()


class Once(Function):
    """Squares, and no way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        raise RuntimeError("no way back")


class Square(Function):
    """Squares, with a rule for vmap that cannot be differentiated."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x * x

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return 2 * ctx.saved_tensors[0] * gradients[0]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None], x: Tensor) -> Any:
        return Once.apply(x), in_dims[0]


class Squares(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        squares: Tensor = Square.apply(super().forward(x))
        return squares


def test_a_backward_pass_that_vmap_has_no_rule_of_loops() -> None:
    model, loss = Squares(WIDTH, CLASSES).double(), nn.CrossEntropyLoss()
    support, query = episode()
    with pytest.raises(RuntimeError, match="no way back"):
        MAML(model, LR, STEPS, strategy="vmap").meta_loss(*support, *query)
    maml = MAML(model, LR, STEPS)
    losses = maml.meta_loss(*support, *query)
    gradients = torch.autograd.grad(losses.sum(), list(model.parameters()))
    expected = meta_gradient(model, loss, support, query)
    torch.testing.assert_close(gradients, expected)
    assert maml.adapt(*support)(query[0]).shape == (NUM_TASKS, 6, CLASSES)
    wrong = MAML(nn.Linear(WIDTH, CLASSES).double())
    with pytest.raises(RuntimeError, match="shape"):  # a fault of the user's is no reason to loop
        wrong.meta_loss(support[0][..., :2], support[1], *query)
    assert wrong._forward.strategy == "auto"


def test_a_strategy_that_there_is_not() -> None:
    with pytest.raises(ValueError, match=r"strategy must be one of .*, got 'pmap'"):
        MAML(plain(), strategy="pmap")  # type: ignore[arg-type]


def test_vmap_alone_does_not_fall_back() -> None:
    support, query = episode()
    with pytest.raises(RuntimeError, match="vmap"):
        MAML(plain().double(), loss=weighted().double(), strategy="vmap").meta_loss(
            *support, *query
        )


def test_frozen_weights_adapt_where_the_mask_names_them() -> None:
    model, (support, _) = frozen().double(), episode()
    own = dict(model.named_parameters())
    tuned = MAML(model, LR, mask=["0.weight"]).adapt(*support).params
    moved = [name for name in own if not torch.equal(tuned[name][0], own[name])]
    assert moved == ["0.weight"]


def test_tied_weights_stay_tied() -> None:
    model, (support, _) = Tied().double(), episode()
    tuned = MAML(model, LR).adapt(*support)
    assert "second.weight" not in tuned.params
    state = tuned.state_dict()
    assert torch.equal(state["first.weight"], state["second.weight"])
    assert tuned.model.first.weight is tuned.model.second.weight


def test_dropout_in_training_mode_is_each_tasks_own() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(WIDTH, CLASSES)).double()
    x = torch.ones(NUM_TASKS, 6, WIDTH, dtype=torch.float64)
    y = torch.zeros(NUM_TASKS, 6, dtype=torch.long)
    weights = MAML(model, LR).adapt(x, y).params["1.weight"]
    assert not torch.equal(weights[0], weights[1])


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
def test_tuples_out_are_refused(kind: type[nn.Module]) -> None:
    (x, y), query = episode()
    module = kind(WIDTH, CLASSES).double()
    tasks = torch.arange(6).remainder(CLASSES).expand(NUM_TASKS, 6)
    for use in (
        lambda: MAML(module).meta_loss(x, y, *query),
        lambda: MAML(module).adapt(x, y),
        lambda: ProtoNet(module)(x, tasks, x),
    ):
        with pytest.raises(ValueError, match=r"must give one tensor, it gave tuple: wrap it in"):
            use()


@pytest.mark.parametrize("steps", [1, 2])
def test_without_a_second_derivative_the_line_says_what_to_set(steps: int) -> None:
    support, query = episode()
    model = Centres().double()
    with pytest.raises(
        NoSecondDerivativeError, match=r"set first_order=True .*_cdist_backward"
    ) as e:
        MAML(model, LR, steps).meta_loss(*support, *query)
    assert "\n" not in str(e.value)
    maml = MAML(model, LR, steps, first_order=True)
    maml.meta_loss(*support, *query).sum().backward()  # type: ignore[no-untyped-call]
    assert model.centres.grad is not None
    assert maml.adapt(*support)(query[0]).isfinite().all()


def test_lazy_modules_want_one_call_before() -> None:
    support, query = episode(dtype=torch.float32)
    model = nn.Sequential(nn.LazyLinear(CLASSES))
    with pytest.raises(ValueError, match="no shape yet: call the module once before"):
        MAML(model)
    model(support[0][0])
    assert MAML(model).meta_loss(*support, *query).isfinite().all()


@pytest.mark.gpu
def test_recurrent_on_a_gpu() -> None:
    model = Last(nn.GRU).cuda()
    support, query = ((x.cuda(), y.cuda()) for x, y in episode(dtype=torch.float32))
    with pytest.raises(NoSecondDerivativeError, match="set first_order=True"):
        MAML(model, strategy="loop").meta_loss(*support, *query)
    with torch.backends.cudnn.flags(enabled=False):
        maml = MAML(model)
        maml.meta_loss(*support, *query).sum().backward()  # type: ignore[no-untyped-call]
    assert maml.adapt(*support)(query[0]).isfinite().all()


@pytest.mark.parametrize("training", [True, False])
def test_the_encoder_of_a_protonet_sees_the_tasks_as_one_batch(training: bool) -> None:
    proto = ProtoNet(plain(nn.BatchNorm1d(WIDTH)).double().train(training))
    (x, _), (queries, _) = episode()
    y = torch.arange(6).remainder(CLASSES).expand(NUM_TASKS, 6)
    with torch.no_grad():
        alone, all_tasks = proto(x[:1], y[:1], queries[:1]), proto(x, y, queries)[:1]
    assert torch.allclose(alone, all_tasks) is not training


def test_each_row_of_the_document_is_executed() -> None:
    table = re.findall(r"^\| ([^|]+) \|", DOCUMENT.read_text(), re.MULTILINE)
    elsewhere = {  # rows with a test of their own here
        "recurrent on a GPU",
        "tuples out",
        "no second derivative",
        "lazy modules",
    }
    assert set(table[1:]) == {row.name for row in ROWS} | elsewhere

"""Arguments of ``MAML``, ``ProtoNet`` and the core that cannot be meant: a line that names them."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from metarl import MAML, ProtoNet
from metarl.core import (
    SGD,
    InnerRule,
    LearnedStepSizes,
    Momentum,
    adapt,
    expand,
    lift,
    meta_loss,
    parameters_of,
    prototype_loss,
    prototypes,
)
from metarl.nn import MLP
from metarl.types import BatchT, LossFn, Params

X, Y = torch.randn(4, 6, 2), torch.arange(24).reshape(4, 6) % 3
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "lifted": lambda: nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3)),
    "native": lambda: MLP([2, 4, 3]),
    "looping": lambda: nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)),
}
OF_ANY_KIND = pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
Make = Callable[[], nn.Module]


def core_loss(model: nn.Module) -> LossFn[tuple[Tensor, Tensor]]:
    forward = lift(model)

    def loss(params: Params, batch: tuple[Tensor, Tensor]) -> Tensor:
        outputs = forward(params, batch[0])
        return functional.cross_entropy(outputs.mT, batch[1], reduction="none").mean(1)

    return loss


@pytest.mark.parametrize("steps", [-3, 2.5, True, None])
def test_numbers_of_steps(steps: Any) -> None:
    message = r"num_inner_steps must be (at least 0|a whole number), got"
    with pytest.raises(ValueError, match=message):
        MAML(nn.Linear(2, 3), num_inner_steps=steps)
    if steps is not None:
        with pytest.raises(ValueError, match=message):
            MAML(nn.Linear(2, 3)).adapt(X, Y, num_inner_steps=steps)


@pytest.mark.parametrize(
    "size",
    [
        float("nan"),
        float("inf"),
        -0.1,
        torch.tensor(float("nan")),
        [0.1, float("nan")],
        [0.1, {"weight": torch.tensor([float("inf")]), "bias": torch.tensor(0.1)}],
        LearnedStepSizes(float("nan")),
        LearnedStepSizes(0.1, factors=(1.0, float("inf"))),
        "0.1",
        None,
    ],
    ids=str,
)
def test_step_sizes_that_no_step_can_take(size: Any) -> None:
    message = "step sizes must be finite numbers of at least 0"
    for kind in (SGD, Momentum):
        with pytest.raises(ValueError, match=message):
            kind(size)
    if size is not None and not isinstance(size, LearnedStepSizes):
        with pytest.raises(ValueError, match=message):
            MAML(nn.Linear(2, 3), inner_lr=size)


@pytest.mark.parametrize("kind", [SGD, Momentum])
@pytest.mark.parametrize(
    ("sizes", "wrong"),
    [
        ({"weight": torch.tensor(0.1)}, r"missing are \['bias'\], unknown \[\]"),
        (
            {"weight": torch.tensor(0.1), "bias": torch.tensor(0.1), "beta": torch.tensor(0.1)},
            r"missing are \[\], unknown \['beta'\]",
        ),
    ],
)
def test_step_sizes_of_some_parameters(kind: Any, sizes: Mapping[str, Tensor], wrong: str) -> None:
    model = nn.Linear(2, 3)
    with pytest.raises(ValueError, match=wrong):
        MAML(model, rule=kind(sizes))
    with pytest.raises(ValueError, match=wrong):
        adapt(kind([0.1, sizes]), core_loss(model), expand(parameters_of(model), 4), [(X, Y)])


def test_step_sizes_of_what_adapts_are_enough() -> None:
    model = nn.Linear(2, 3)
    tuned = MAML(model, rule=SGD({"bias": torch.tensor(0.1)}, mask=["bias"])).adapt(X, Y)
    assert torch.equal(tuned.params["weight"][0], model.weight)
    assert not torch.equal(tuned.params["bias"][0], model.bias)


@OF_ANY_KIND
def test_other_numbers_of_tasks(make: Make) -> None:
    """Also of a module that loops, where the tasks beyond the inputs would go unseen."""
    model = make()
    message = r"query needs inputs \[M=4, B, ...\], as many tasks as the support, got \(2, 6, 2\)"
    with pytest.raises(ValueError, match=message):
        MAML(model).meta_loss(X, Y, X[:2], Y[:2])
    with pytest.raises(ValueError, match=message):
        ProtoNet(model)(X, Y, X[:2])
    with pytest.raises(ValueError, match=r"as many tasks as the support, got \(4, 6, 2\)"):
        ProtoNet(model)(X[:2], Y[:2], X)
    with pytest.raises(ValueError, match=r"need inputs \[M=4, B, ...\], got \(2, 6, 2\)"):
        lift(model, "loop")(expand(parameters_of(model), 4), X[:2])


def test_other_numbers_of_tasks_in_the_core() -> None:
    params = {"w": torch.zeros(4, 2)}

    def loss(params: Params, x: Tensor) -> Tensor:
        return (x * params["w"][: len(x), None]).square().mean((1, 2))

    with pytest.raises(ValueError, match=r"losses must be one a task, \(4,\), got \(2,\)"):
        adapt(SGD(0.1), loss, params, [X[:2]])
    with pytest.raises(ValueError, match=r"losses must be one a task, \(4,\), got \(2,\)"):
        meta_loss(SGD(0.1), loss, loss, params, [X], X[:2])


@OF_ANY_KIND
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.bool])
def test_labels_of_another_type(make: Make, dtype: torch.dtype) -> None:
    message = f"labels must be torch.long, got {dtype}: use"
    model, labels = make(), Y.to(dtype)
    uses: list[Callable[[], object]] = [
        lambda: MAML(model).meta_loss(X, labels, X, Y),
        lambda: MAML(model).meta_loss(X, Y, X, labels),
        lambda: MAML(model).adapt(X, labels),
        lambda: ProtoNet(model)(X, labels, X),
        lambda: prototypes(X, labels, 3),
        lambda: prototype_loss(torch.zeros(4, 6, 3), labels),
    ]
    for use in uses:
        with pytest.raises(ValueError, match=message):
            use()


def test_floats_are_no_labels() -> None:
    with pytest.raises(ValueError, match=r"labels must be torch\.long, got torch\.float32"):
        prototypes(X, Y + 0.7, 3)
    with pytest.raises(ValueError, match=r"labels must be torch\.long, got torch\.float32"):
        ProtoNet(nn.Identity())(X, Y + 0.7, X)


@OF_ANY_KIND
@pytest.mark.parametrize("label", [3, -1])
def test_labels_that_the_outputs_have_no_place_for(make: Make, label: int) -> None:
    wrong = Y.clone()
    wrong[1, 2] = label
    for use in (
        lambda: MAML(make()).meta_loss(X, wrong, X, Y),
        lambda: MAML(make()).adapt(X, wrong),
    ):
        with pytest.raises(ValueError, match=rf"the targets do not fit \(6, 3\) outputs.* {label}"):
            use()
    with pytest.raises(ValueError, match=rf"support labels must be in \[0, 3\), got.*{label}"):
        ProtoNet(make())(X, wrong, X, num_classes=3)


def test_no_examples() -> None:
    with pytest.raises(ValueError, match=r"support has no examples: inputs are \(4, 0, 2\)"):
        MAML(nn.Linear(2, 3)).adapt(X[:, :0], Y[:, :0])
    with pytest.raises(ValueError, match=r"support has no examples: inputs are \(0, 6, 2\)"):
        ProtoNet(nn.Identity())(X[:0], Y[:0], X[:0])


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda outputs, y: 1.0, "the loss must give a scalar tensor, it gave float"),
        (lambda outputs, y: outputs.sum(1), r"losses must be one a task, \(4,\), got \(4, 6\)"),
    ],
)
def test_losses_that_are_no_number(loss: Any, message: str) -> None:
    maml = MAML(nn.Linear(2, 3), loss=loss)
    for use in (lambda: maml.meta_loss(X, Y, X, Y), lambda: maml.adapt(X, Y)):
        with pytest.raises(ValueError, match=message):
            use()


def test_an_encoder_that_joins_inputs() -> None:
    with pytest.raises(ValueError, match=r"an embedding of each of 24 inputs, .* gave \(12, 4\)"):
        ProtoNet(Pairs())(X, Y, X)


class Pairs(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(-1, 4)


def frozen(*names: str) -> nn.Module:
    model = NETWORKS["lifted"]()
    for name in names:
        model.get_parameter(name).requires_grad_(False)
    return model


@pytest.mark.parametrize("rule", [SGD(0.1), Momentum(0.1), SGD(LearnedStepSizes(0.1))])
def test_frozen_parameters_stay(rule: InnerRule[Any]) -> None:
    """Also those that are frozen later, and in the meta-loss."""
    model = frozen("0.weight")
    maml = MAML(model, num_inner_steps=2, rule=rule)
    model.get_parameter("2.bias").requires_grad_(False)
    tuned, own = maml.adapt(X, Y).params, parameters_of(model)
    moved = [name for name in own if not torch.equal(tuned[name][0], own[name])]
    assert moved == ["0.bias", "2.weight"]
    maml.meta_loss(X, Y, X, Y).sum().backward()  # type: ignore[no-untyped-call]
    assert [name for name, p in model.named_parameters() if p.grad is not None] == moved


def test_a_model_of_which_all_is_frozen() -> None:
    model = nn.Linear(2, 3).requires_grad_(False)
    with pytest.raises(ValueError, match="all parameters are frozen"):
        MAML(model)
    assert not torch.equal(MAML(model, mask=["bias"]).adapt(X, Y).params["bias"][0], model.bias)


class OwnRule(InnerRule[None]):
    """Without a mask: it moves all that it is given."""

    def init(self, params: Params) -> None:
        return None

    def step(
        self, loss_fn: LossFn[BatchT], params: Params, support: BatchT, state: None
    ) -> tuple[Params, None]:
        return {name: value + 1 for name, value in params.items()}, None


def test_a_rule_of_ones_own_has_to_say_how_it_spares_what_is_frozen() -> None:
    assert MAML(frozen(), rule=OwnRule()).adapt(X, Y).params
    with pytest.raises(ValueError, match=r"\['2.bias'\] are frozen: OwnRule needs a leaving_froz"):
        MAML(frozen("2.bias"), rule=OwnRule())

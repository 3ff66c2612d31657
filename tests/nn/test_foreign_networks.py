"""Policies around networks that are not of metarl.nn: the same numbers, and what is refused."""

import copy

import pytest
import torch
from torch import Tensor, nn

from metarl.core import SGD, expand, meta_loss, parameters_of
from metarl.nn import MLP, CategoricalPolicy, GaussianPolicy, Policy, policy_network
from metarl.types import Params

NUM_TASKS, NUM_STEPS, D, A = 3, 5, 4, 2


def draw(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def plain(mlp: MLP) -> nn.Sequential:
    """An MLP of ours in torch's own layers, with the same weights."""
    layers: list[nn.Module] = []
    for ours in mlp.layers:
        theirs = nn.Linear(*ours.weight.shape)
        theirs.load_state_dict({"weight": ours.weight.T, "bias": ours.bias})
        layers += [nn.Tanh(), theirs]
    return nn.Sequential(*layers[1:]).double()


def pairs(context_size: int = 0) -> list[tuple[Policy, Policy]]:
    """A policy around our MLP and one around torch's layers, Gaussian and categorical."""
    generator = torch.Generator().manual_seed(0)
    mlp = MLP([D + context_size, 8, 6, A], "tanh", generator).double()
    gaussian, categorical = (
        tuple(kind(network, A, context_size=context_size).double() for network in (mlp, plain(mlp)))
        for kind in (GaussianPolicy, CategoricalPolicy)
    )
    return [gaussian, categorical]


def their_name(name: str) -> str:
    """``mean.layers.1.weight`` of ours is ``mean.2.weight`` of theirs: activations count."""
    head, _, rest = name.partition(".layers.")
    if not rest:
        return name
    index, _, kind = rest.partition(".")
    return f"{head}.{2 * int(index)}.{kind}"


def by_our_names(policy: Policy, theirs: Params) -> Params:
    """Parameters or gradients of the plain layers as those of our MLP, ``[..., in, out]``."""
    renamed = {name: theirs[their_name(name)] for name in parameters_of(policy)}
    return {name: v.mT if name.endswith("weight") else v for name, v in renamed.items()}


def loss_of(policy: Policy, params: Params, observations: Tensor) -> Tensor:
    actions = torch.arange(NUM_STEPS * policy.action_width, dtype=torch.float64) % A
    actions = actions.reshape(1, NUM_STEPS, -1).expand(len(observations), -1, -1)
    return -policy.distribution(params, observations).log_prob(actions).mean(1)


def gradients(policy: Policy, *, adapted: bool) -> Params:
    """Of the loss in each task's own parameters ``[M, ...]``, or of the meta-loss."""
    own = {name: p for name, p in policy.named_parameters() if p.requires_grad}
    params = expand(parameters_of(policy), NUM_TASKS)
    support, query = draw(1, NUM_TASKS, NUM_STEPS, D), draw(2, NUM_TASKS, NUM_STEPS, D)
    if not adapted:
        leaves = {name: v.detach().clone().requires_grad_() for name, v in params.items()}
        losses = loss_of(policy, leaves, support)
        return dict(zip(leaves, torch.autograd.grad(losses.sum(), leaves.values()), strict=True))

    def loss(params: Params, observations: Tensor) -> Tensor:
        return loss_of(policy, params, observations)

    losses = meta_loss(SGD(0.5), loss, loss, params, [support, support], query)
    return dict(zip(own, torch.autograd.grad(losses.sum(), list(own.values())), strict=True))


@pytest.mark.parametrize("context_size", [0, 3])
def test_torchs_layers_give_the_distribution_of_ours(context_size: int) -> None:
    for ours, theirs in pairs(context_size):
        params, copies = (expand(parameters_of(p), NUM_TASKS) for p in (ours, theirs))
        if context_size:
            params["context"] = copies["context"] = draw(5, NUM_TASKS, context_size)
        observations = draw(1, NUM_TASKS, NUM_STEPS, D)
        expected = ours.distribution(params, observations)
        for got, value in zip(theirs.distribution(copies, observations), expected, strict=True):
            torch.testing.assert_close(got, value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("adapted", [False, True], ids=["inner", "meta"])
def test_torchs_layers_give_the_gradients_of_ours(adapted: bool) -> None:
    for ours, theirs in pairs():
        expected = gradients(ours, adapted=adapted)
        got = by_our_names(ours, gradients(theirs, adapted=adapted))
        for name, value in expected.items():
            torch.testing.assert_close(got[name], value, rtol=1e-10, atol=1e-12)
            assert value.abs().max() > 1e-3


class Mirror(nn.Module):
    """Control flow on values, which vmap refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(D, A)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x)
        return y if y.sum() > 0 else -y


@pytest.mark.parametrize(
    "network",
    [
        Mirror(),
        nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, A, 2), nn.Flatten()),
        nn.Sequential(nn.BatchNorm1d(D), nn.Linear(D, A)),
    ],
    ids=["control flow", "convolution", "batch statistics"],
)
def test_every_task_has_its_own_weights_in_networks_that_vmap_refuses(network: nn.Module) -> None:
    policy = GaussianPolicy(network.double(), A).double()
    params = {
        name: draw(i, NUM_TASKS, *value.shape)
        for i, (name, value) in enumerate(parameters_of(policy).items())
    }
    observations = draw(9, NUM_TASKS, NUM_STEPS, D)
    means = policy.distribution(params, observations).mean
    for task in range(NUM_TASKS):
        own = {name.removeprefix("mean."): v[task] for name, v in params.items() if "mean" in name}
        expected = torch.func.functional_call(network, own, observations[task])
        torch.testing.assert_close(means[task], expected)


def test_a_copy_runs_its_own_network() -> None:
    """Buffers are not among the parameters of a call."""
    network = nn.Sequential(nn.BatchNorm1d(D), nn.Linear(D, A)).eval()
    policy = GaussianPolicy(network, A)
    clone = copy.deepcopy(policy)
    clone.get_buffer("mean.0.running_mean").fill_(5.0)
    params, observations = expand(parameters_of(policy), 1), torch.ones(1, 3, D)
    outputs = [p.distribution(params, observations).mean for p in (policy, clone)]
    torch.testing.assert_close(outputs[1][0], clone.mean(observations[0]))
    assert not torch.allclose(outputs[0], outputs[1])


class TwoParts(nn.Module):
    """Parameters at the root, and a last layer without a bias that is one level down."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.body = nn.Linear(D, 3)
        self.top = nn.Sequential(nn.ReLU(), nn.Linear(3, A, bias=False), nn.Tanh())


def test_the_head_is_the_last_module_with_parameters() -> None:
    policy = CategoricalPolicy(TwoParts(), A)
    assert policy.head_names() == ["logits.top.1.weight"]
    assert pairs()[0][1].head_names() == ["log_std", "mean.4.weight", "mean.4.bias"]
    assert GaussianPolicy(nn.Linear(D, A), A).head_names() == [
        "log_std",
        "mean.weight",
        "mean.bias",
    ]
    assert CategoricalPolicy(nn.Identity(), D).head_names() == []


def test_tied_weights_are_no_head() -> None:
    """They have one name among the parameters, the first one."""
    first, last = nn.Linear(D, D, bias=False), nn.Linear(D, D, bias=False)
    last.weight = first.weight
    assert CategoricalPolicy(nn.Sequential(first, last), D).head_names() == ["logits.0.weight"]


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (nn.Linear(D, 3), r"\(2, 3\)"),
        (nn.Sequential(nn.Linear(D, 1), nn.Flatten(0)), r"\(2,\)"),
        (nn.Sequential(nn.Linear(D, A), nn.Unflatten(1, (1, A))), r"\(2, 1, 2\)"),
    ],
    ids=["width", "rank 1", "rank 3"],
)
def test_outputs_of_another_shape_are_named(network: nn.Module, shape: str) -> None:
    policy = GaussianPolicy(network, A)
    message = rf"the mean network gave outputs of shape {shape} for 2 observations, need \(2, 2\)"
    with pytest.raises(ValueError, match=message):
        policy.check_network(D)
    with pytest.raises(ValueError, match=message):
        policy.distribution(expand(parameters_of(policy), 3), torch.zeros(3, 2, D))


def test_our_own_networks_are_checked_when_the_policy_is_made() -> None:
    for network in (MLP([D, 3]), policy_network((5, 5, 1), 3)):
        with pytest.raises(ValueError, match=r"logits network gave .* \(2, 3\) .* need \(2, 2\)"):
            CategoricalPolicy(network, A)


def test_inputs_of_another_size_are_named() -> None:
    policy = GaussianPolicy(nn.Linear(D, A), A, context_size=1)
    policy.check_network(D - 1)
    message = (
        r"the mean network cannot take \[B, 5\], observations of 4 numbers and a context of 1: "
    )
    with pytest.raises(ValueError, match=message):
        policy.check_network(D)


def test_a_network_gives_one_tensor() -> None:
    policy = GaussianPolicy(nn.GRU(D, A), A)
    message = "GRU must give one tensor, it gave tuple"
    with pytest.raises(ValueError, match=message):
        policy.check_network(D)
    with pytest.raises(ValueError, match=message):
        policy.distribution(expand(parameters_of(policy), 3), torch.zeros(3, 2, D))


def test_a_check_leaves_the_network_as_it_was() -> None:
    network = nn.Sequential(nn.Dropout(0.5), nn.Linear(D, A), nn.BatchNorm1d(A))
    network[0].eval()
    before = copy.deepcopy(network.state_dict())
    GaussianPolicy(network, A).check_network(D)
    assert [part.training for part in network] == [False, True, True]
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])

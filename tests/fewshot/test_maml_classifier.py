"""MAML and its relatives: an independent loop over tasks, and identities of every relative."""

from functools import partial
from typing import Any

import pytest
import torch
from small_learners import CONV4, MLP, WAYS, draw, make_small, make_source
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, max_pool2d

from metarl.core import SGD, Momentum, Streams, adapt, prototype_logits, prototypes
from metarl.fewshot import Episodes
from metarl.fewshot.configs import MAMLClassifierConfig
from metarl.fewshot.episodes import EpisodeSamplers, EpisodeStream
from metarl.fewshot.from_config import make_backbone
from metarl.fewshot.headed_network import HeadedNetwork
from metarl.fewshot.maml_classifier import MAMLClassifier
from metarl.fewshot.samplers import FixedSampler

DOUBLE = torch.float64


def make_double(name: str, *args: Any, **settings: Any) -> MAMLClassifier:
    """A learner in float64 that adapts in chunks of two tasks."""
    learner = make_small(name, *args, task_chunk=2, **settings)
    assert isinstance(learner, MAMLClassifier)
    learner.network.double()
    for value in learner.step_sizes.values():
        value.data = value.data.double()
    generator = torch.Generator().manual_seed(1)
    for key, value in learner.network.named_parameters():
        if "norm" in key or key == "head_bias":  # they start at 0 and 1, which hides mistakes
            nn.init.normal_(value, 0.3, generator=generator)
    return learner


class PlainConv4(nn.Module):
    """Conv4 and a linear layer of torch's own parts, with the parameters of a learner."""

    def __init__(self, learner: MAMLClassifier) -> None:
        super().__init__()
        values = dict(learner.network.named_parameters())
        filters, rows = CONV4.filters, len(values["head_weight"])
        channels = [1, *[filters] * 4]
        self.convs = nn.ModuleList(
            nn.Conv2d(channels[i], filters, 3, padding=1, bias=False) for i in range(4)
        )
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(filters, track_running_stats=False) for _ in range(4)
        )
        self.head = nn.Linear(filters, rows)
        self.double()
        names = zip(self.names(), self.parameters(), strict=True)
        for name, value in names:
            value.data = values[name].data.clone()

    def names(self) -> list[str]:
        """What the learner calls the parameters, in our order."""
        blocks = [f"backbone.blocks.{index}" for index in range(4)]
        norms = [f"{block}.norm.{part}" for block in blocks for part in ("weight", "bias")]
        return [*(f"{block}.weight" for block in blocks), *norms, "head_weight", "head_bias"]

    def forward(self, x: Tensor, num_reference: int | None = None) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = conv(x)
            if num_reference is None:
                x = norm(x)
            else:  # by hand what torch has no layer for
                reference = x[:num_reference].transpose(0, 1).flatten(1)
                mean, variance = reference.mean(1), reference.var(1, unbiased=False)
                x = (x - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
                x = norm.weight[:, None, None] * x + norm.bias[:, None, None]
            x = max_pool2d(x.relu(), 2)
        logits: Tensor = self.head(x.flatten(1))
        return logits


def loop(
    model: PlainConv4,
    episodes: Episodes,
    lr: Any,
    *,
    num_steps: int,
    norm: str,
    first_order: bool = False,
) -> Tensor:
    """Mean loss after one task after another has adapted, by the algorithm as it is published."""
    names, theta = zip(*model.named_parameters(), strict=True)
    sizes = lr if isinstance(lr, tuple) else [lr] * len(names)
    losses = []
    for task in range(episodes.num_episodes):
        support_x, support_y = episodes.support_x[task], episodes.support_y[task]
        query_x, query_y = episodes.query_x[task], episodes.query_y[task]
        fast = list(theta)
        for _ in range(num_steps):
            named = dict(zip(names, fast, strict=True))
            logits = torch.func.functional_call(model, named, (support_x,))
            loss = cross_entropy(logits, support_y)
            gradients = torch.autograd.grad(loss, fast, create_graph=not first_order)
            fast = [v - a * g for v, a, g in zip(fast, sizes, gradients, strict=True)]
        named = dict(zip(names, fast, strict=True))
        if norm == "transductive":
            logits = torch.func.functional_call(model, named, (query_x,))
        else:
            both, count = torch.cat([support_x, query_x]), len(support_x)
            logits = torch.func.functional_call(model, named, (both, count))[count:]
        losses.append(cross_entropy(logits, query_y))
    return torch.stack(losses).mean()


def assert_same_meta_gradient(learner: MAMLClassifier, model: PlainConv4, loss: Tensor) -> None:
    expected = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
    ours = dict(learner.network.named_parameters())
    for name, gradient in zip(model.names(), expected, strict=True):
        assert gradient.abs().max() > 1e-6, f"the test says nothing about {name}"
        torch.testing.assert_close(ours[name].grad, gradient, rtol=1e-8, atol=1e-10, msg=name)


@pytest.mark.parametrize("norm", ["transductive", "inductive"])
@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("num_steps", [1, 2])
def test_meta_gradient_equals_a_loop_over_tasks(
    num_steps: int, first_order: bool, norm: str
) -> None:
    learner = make_double(
        "maml",
        norm=norm,
        first_order=first_order,
        num_inner_steps=num_steps,
        head="free",
        lr=0.0,
    )
    model, episodes = PlainConv4(learner), draw(dtype=DOUBLE)
    metrics = learner.update([episodes])
    loss = loop(model, episodes, 0.4, num_steps=num_steps, norm=norm, first_order=first_order)
    torch.testing.assert_close(metrics["meta/loss"], loss.item(), rtol=1e-10, atol=0)
    assert_same_meta_gradient(learner, model, loss)


def test_orders_and_norms_differ() -> None:
    """Otherwise the parities above would not tell them apart."""
    model, episodes = PlainConv4(make_double("maml", head="free")), draw(dtype=DOUBLE)
    gradients = []
    for norm in ("transductive", "inductive"):
        for first_order in (False, True):
            loss = loop(model, episodes, 0.4, num_steps=1, norm=norm, first_order=first_order)
            gradients.append(torch.autograd.grad(loss, model.convs[0].weight)[0])
    for index, one in enumerate(gradients):
        for other in gradients[:index]:
            assert (one - other).abs().max() > 1e-3 * one.abs().max()


def test_fomaml_is_first_order() -> None:
    """By its name alone, and by maml with --first-order."""
    metrics = [
        make_double(name, **settings).update([draw(dtype=DOUBLE)])
        for name, settings in [("fomaml", {}), ("maml", {"first_order": True}), ("maml", {})]
    ]
    assert metrics[0] == metrics[1]
    assert metrics[0]["meta/gradient_norm"] != metrics[2]["meta/gradient_norm"]


def test_anil_adapts_the_head_and_trains_the_backbone() -> None:
    learner = make_double("anil", num_inner_steps=2)
    episodes = draw(dtype=DOUBLE)
    first, *_, last = learner.fit(episodes.support_x, episodes.support_y, WAYS, 2)
    for name, value in first.items():
        moved = not torch.equal(value, last[name])
        assert moved == name.startswith("head"), name
    before = {k: v.detach().clone() for k, v in learner.network.named_parameters()}
    learner.update([episodes])
    for name, value in learner.network.named_parameters():
        if name.startswith("backbone"):
            assert not torch.equal(value, before[name]), name


def test_meta_sgd_learns_a_step_size_for_every_number() -> None:
    learner = make_double("meta-sgd", inner_lr=0.25, num_inner_steps=1, lr=0.0, norm="inductive")
    model, episodes = PlainConv4(learner), draw(dtype=DOUBLE)
    for name, value in learner.network.named_parameters():
        assert learner.step_sizes[name].shape == value.shape
    sizes = tuple(torch.full_like(v, 0.25, requires_grad=True) for v in model.parameters())
    loss = loop(model, episodes, sizes, num_steps=1, norm="inductive")
    learner.update([episodes])
    assert_same_meta_gradient(learner, model, loss)
    for name, gradient in zip(model.names(), torch.autograd.grad(loss, sizes), strict=True):
        ours = learner.step_sizes[name].grad
        torch.testing.assert_close(ours, gradient, rtol=1e-8, atol=1e-10, msg=name)


@pytest.mark.parametrize("name", ["meta-sgd", "maml++"])
def test_learned_step_sizes_are_trained(name: str) -> None:
    learner = make_double(name)
    before = {k: v.detach().clone() for k, v in learner.step_sizes.items()}
    learner.update([draw(dtype=DOUBLE)])
    for key, value in learner.step_sizes.items():
        assert not torch.equal(value, before[key]), key


def step_weights(learner: MAMLClassifier, episodes: Episodes) -> Tensor:
    """Weights of the losses after each step, solved for from the losses of many tasks."""
    num_steps = learner.config.num_inner_steps
    with torch.no_grad():
        path = learner.fit(episodes.support_x, episodes.support_y, WAYS, num_steps)[1:]
        outputs = [learner.scores(fitted, episodes.query_x) for fitted in path]
        columns = [cross_entropy(o.mT, episodes.query_y, reduction="none").mean(1) for o in outputs]
        losses, _ = learner.losses(episodes)
    return torch.linalg.lstsq(torch.stack(columns, 1), losses[:, None]).solution[:, 0]


def test_maml_plus_plus_moves_from_all_steps_to_the_last() -> None:
    """Uniform at first; w_k = (1 - i/I) / K for all but the last, which has the rest of 1."""
    learner = make_double("maml++", num_inner_steps=3, multi_step_iterations=8, inner_lr=1.0)
    episodes = draw(5, dtype=DOUBLE)
    expected = {0: [1 / 3] * 3, 2: [0.25, 0.25, 0.5], 8: [0.0, 0.0, 1.0], 9: [0.0, 0.0, 1.0]}
    for iteration, weights in expected.items():
        learner.iteration = iteration
        solved = step_weights(learner, episodes)
        torch.testing.assert_close(solved.tolist(), weights, rtol=0, atol=1e-5)


def test_steps_beyond_the_trained_ones_take_the_last_step_size() -> None:
    learner = make_double("maml++", num_inner_steps=2, step_norms=False)
    for value in learner.step_sizes.values():
        value.data = torch.tensor([0.1, 0.7], dtype=DOUBLE)
    episodes = draw(dtype=DOUBLE)
    support = episodes.support_x, episodes.support_y
    path = learner.fit(*support, WAYS, 4)

    def loss(params: dict[str, Tensor], _: None) -> Tensor:
        outputs = learner.network.outputs(params, support[0])
        return cross_entropy(outputs.mT, support[1], reduction="none").mean(1)

    for start, lr in enumerate([0.1, 0.7, 0.7, 0.7]):
        stepped = adapt(SGD(lr), loss, path[start], [None])
        for name, value in stepped.items():
            torch.testing.assert_close(path[start + 1][name], value, msg=name)


@pytest.mark.parametrize("name", ["maml", "anil", "maml++", "proto-maml"])
def test_class_labels_are_arbitrary(name: str) -> None:
    """Permuting the labels of an episode permutes the predictions, and changes nothing else."""
    order = torch.tensor([2, 0, 1])
    episodes = draw(dtype=DOUBLE)
    permuted = episodes._replace(
        support_y=order[episodes.support_y], query_y=order[episodes.query_y]
    )
    learners = [make_double(name, lr=0.0) for _ in range(2)]
    scores = []
    for learner, batch in zip(learners, (episodes, permuted), strict=True):
        fitted = learner.fit(batch.support_x, batch.support_y, WAYS, 3)[-1]
        scores.append(learner.scores(fitted, batch.query_x))
    torch.testing.assert_close(scores[1][..., order], scores[0])
    assert (scores[1] - scores[0]).abs().max() > 1e-3
    metrics = [
        learner.update([batch])
        for learner, batch in zip(learners, (episodes, permuted), strict=True)
    ]
    torch.testing.assert_close(metrics[0], metrics[1])
    for one, other in zip(*(learner.parameters() for learner in learners), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_labels_matter_to_a_free_head() -> None:
    """The negative control of the test above."""
    order = torch.tensor([2, 0, 1])
    learner, episodes = make_double("maml", head="free"), draw(dtype=DOUBLE)
    scores = []
    for labels in (episodes.support_y, order[episodes.support_y]):
        fitted = learner.fit(episodes.support_x, labels, WAYS, 1)[-1]
        scores.append(learner.scores(fitted, episodes.query_x))
    assert (scores[1][..., order] - scores[0]).abs().max() > 1e-3


@pytest.mark.parametrize("ways", [2, 5])
@pytest.mark.parametrize("name", ["maml", "anil", "maml++", "proto-maml", "reptile"])
def test_any_number_of_ways_at_test(name: str, ways: int) -> None:
    learner, sampler = (
        make_small(name),
        FixedSampler(make_source(), num_ways=ways, num_shots=1, num_queries=2),
    )
    figures = learner.evaluate_on(EpisodeStream(sampler, 2, Streams(0, "test")), 1)
    assert figures.shape == (2, 2)
    episodes = draw(ways=ways)
    fitted = learner.fit(episodes.support_x, episodes.support_y, ways, 1)[-1]
    assert learner.scores(fitted, episodes.query_x).shape == (*episodes.query_y.shape, ways)


@pytest.mark.parametrize("name", ["maml", "meta-sgd", "reptile"])
def test_a_free_head_has_its_ways(name: str) -> None:
    learner, episodes = make_small(name, head="free"), draw(ways=4)
    with pytest.raises(ValueError, match=r"free head has 3 ways .* with 4; train with --head"):
        learner.fit(episodes.support_x, episodes.support_y, 4, 1)


def test_proto_maml_starts_as_the_prototype_classifier() -> None:
    """Scores of the first head are ProtoNet's plus ||f(x)||², the same for all classes of a query.

    The encoder normalises support and query by a batch of their own.
    """
    learner, episodes = make_double("proto-maml"), draw(dtype=DOUBLE)
    start = learner.fit(episodes.support_x, episodes.support_y, WAYS, 0)[0]
    ours = learner.scores(start, episodes.query_x)
    support = learner.network.features(start, episodes.support_x)
    query = learner.network.features(start, episodes.query_x)
    logits = prototype_logits(query, prototypes(support, episodes.support_y, WAYS))
    torch.testing.assert_close(ours - query.square().sum(-1)[..., None], logits)


def test_proto_maml_starts_as_protonet() -> None:
    """The learners as they are, on an encoder that has no batch normalisation."""
    episodes = draw(dtype=DOUBLE)
    proto_maml, protonet = make_double("proto-maml", MLP), make_small("protonet", MLP)
    protonet.network.double()
    backbone = proto_maml.network.backbone
    assert isinstance(backbone, nn.Module)
    protonet.network.load_state_dict(backbone.state_dict())
    probabilities = []
    for learner in (proto_maml, protonet):
        fitted = learner.fit(episodes.support_x, episodes.support_y, WAYS, 0)[0]
        probabilities.append(torch.softmax(learner.scores(fitted, episodes.query_x), -1))
    torch.testing.assert_close(*probabilities)


@pytest.mark.parametrize("name", ["maml", "anil", "meta-sgd", "maml++", "proto-maml", "reptile"])
def test_more_steps_than_trained(name: str) -> None:
    """Each step goes on from the one before it."""
    learner = make_small(name, MLP, num_inner_steps=2, num_test_steps=4)
    sampler = learner.samplers.validation

    def curve(num_steps: int) -> Tensor:
        return learner.evaluate_on(EpisodeStream(sampler, 5, Streams(0, "test")), num_steps)

    longer = curve(6)
    assert longer.shape == (7, 5)
    assert torch.equal(longer[:3], curve(2))
    metrics = learner.evaluate()
    assert metrics["eval/adaptation_gain"] == pytest.approx(
        metrics["eval/score"] - metrics["eval/score_pre"]
    )


def test_another_rule_adapts_in_another_way() -> None:
    """Momentum with μ = 0 is MAML's own rule, and with more it is not."""
    episodes = draw(2)
    config, source = MAMLClassifierConfig(num_inner_steps=2), make_source()
    sampler = FixedSampler(source, num_ways=WAYS, num_shots=2, num_queries=4)
    paths = []
    for rule in (None, Momentum(0.4, momentum=0.0), Momentum(0.4)):
        backbone = make_backbone(MLP, (1, 16, 16), torch.Generator().manual_seed(2))
        network = HeadedNetwork(backbone, WAYS, "shared", torch.Generator().manual_seed(4))
        learner = MAMLClassifier(
            network, EpisodeSamplers(sampler, sampler, 2), config, iterations=1, seed=0, rule=rule
        )
        paths.append(learner.fit(episodes.support_x, episodes.support_y, WAYS, 2)[-1])
    for name in dict(network.named_parameters()):
        assert torch.equal(paths[1][name], paths[0][name])
        assert not torch.equal(paths[2][name], paths[0][name])


@pytest.mark.parametrize("name", ["maml", "meta-sgd", "maml++", "anil"])
def test_a_compiled_meta_gradient_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through dynamo, whose graphs then run as they are."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    plain, compiled = (make_small(name, MLP, lr=0.0, compile=c) for c in (False, True))
    episodes = draw(3)
    assert compiled.update([episodes]) == pytest.approx(plain.update([episodes]), rel=1e-4)
    for ours, theirs in zip(compiled.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_compiled_code_is_in_full_precision() -> None:
    with pytest.raises(ValueError, match="leave out compile or precision bf16"):
        make_small("maml", MLP, compile=True, precision="bf16")

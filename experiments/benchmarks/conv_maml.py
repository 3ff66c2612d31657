"""One meta-gradient of MAML on images: Conv4, second order, against a loop over the tasks.

Omniglot's images (28x28, 64 filters, 4 tasks) and mini-ImageNet's (84x84, 32 filters, 1 task),
here random; 5-way 1-shot, 15 queries a class, batch statistics. Ours is ``MAMLClassifier.losses``
on the package's Conv4, a chunk of tasks at a time as the learner does it. The loop is what the
peers run: ``functional_call`` and ``autograd.grad`` on an ``nn.Sequential``, the backward pass of
a task before the next. The rows ``lifted`` give that ``nn.Sequential`` to ``metarl.core.MAML``, all
tasks in one call or one a call. Both sides must give the same meta-gradient in double precision
before anything is timed.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import harness
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from metarl.core import MAML
from metarl.fewshot import ArraySource, Episodes
from metarl.fewshot.configs import MAMLClassifierConfig
from metarl.fewshot.episodes import EpisodeSamplers
from metarl.fewshot.headed_network import HeadedNetwork
from metarl.fewshot.maml_classifier import HEAD, MAMLClassifier
from metarl.fewshot.samplers import FixedSampler
from metarl.nn import Conv4

NUM_WAYS, NUM_SHOTS, NUM_QUERIES = 5, 1, 15


class Workload(NamedTuple):
    """Images, network and adaptation."""

    name: str
    shape: tuple[int, int, int]
    filters: int
    num_tasks: int
    num_steps: int
    inner_lr: float


WORKLOADS = (
    Workload("omniglot-conv4-maml", (1, 28, 28), 64, num_tasks=4, num_steps=1, inner_lr=0.4),
    Workload("omniglot-conv4-maml-5", (1, 28, 28), 64, num_tasks=4, num_steps=5, inner_lr=0.4),
    Workload("mini-conv4-maml-5", (3, 84, 84), 32, num_tasks=1, num_steps=5, inner_lr=0.05),
)


def random_images(shape: Sequence[int], num_classes: int, num_examples: int) -> ArraySource:
    """A source of noise, ``num_examples`` of each class."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(
        256, (num_classes * num_examples, *shape), generator=generator, dtype=torch.uint8
    )
    names = [f"class {index}" for index in range(num_classes)]
    return ArraySource("noise", images, [num_examples] * num_classes, names)


def plain_conv4(channels: int, filters: int) -> list[nn.Module]:
    """The layers of Conv4 as PyTorch users write them, before their outputs are flat."""
    layers: list[nn.Module] = []
    for fan_in in (channels, filters, filters, filters):
        norm = nn.BatchNorm2d(filters, track_running_stats=False)
        conv = nn.Conv2d(fan_in, filters, 3, padding=1)
        layers += [conv, norm, nn.ReLU(), nn.MaxPool2d(2)]
    return layers


def compared(plain: nn.Module) -> list[nn.Parameter]:
    """Parameters that ours has too: no biases before a normalisation, which takes them away."""
    return [
        value
        for layer in plain.children()
        for name, value in layer.named_parameters()
        if not (isinstance(layer, nn.Conv2d) and name == "bias")
    ]


def copy_weights(mine: Sequence[Tensor], plain: nn.Module) -> None:
    """Give the plain network our weights."""
    with torch.no_grad():
        for value, other in zip(mine, compared(plain), strict=True):
            other.copy_(value)


def make_learner(work: Workload, source: ArraySource) -> MAMLClassifier:
    """Ours."""
    channels, *size = work.shape
    generator = torch.Generator().manual_seed(0)
    backbone = Conv4(channels, (size[0], size[1]), filters=work.filters, generator=generator)
    sampler = FixedSampler(source, num_ways=NUM_WAYS, num_shots=NUM_SHOTS, num_queries=NUM_QUERIES)
    config = MAMLClassifierConfig(
        head="free",
        meta_batch_size=work.num_tasks,
        inner_lr=work.inner_lr,
        num_inner_steps=work.num_steps,
    )
    network = HeadedNetwork(backbone, NUM_WAYS, "free", generator)
    return MAMLClassifier(
        network, EpisodeSamplers(sampler, sampler, 1), config, iterations=100, seed=0
    )


class Sides(NamedTuple):
    """The same weights and episodes for everyone."""

    work: Workload
    learner: MAMLClassifier
    plain: nn.Module
    maml: MAML
    """Of the plain network; made once, as its first call also tries derivatives."""
    episodes: Episodes

    @staticmethod
    def make(work: Workload) -> "Sides":
        """Start a workload."""
        learner = make_learner(work, random_images(work.shape, num_classes=20, num_examples=20))
        network = learner.network
        head = nn.Linear(network.backbone.num_features, NUM_WAYS)
        plain = nn.Sequential(*plain_conv4(work.shape[0], work.filters), nn.Flatten(), head)
        copy_weights(native_parameters(network), plain)
        maml = MAML(plain, work.inner_lr, work.num_steps)
        return Sides(work, learner, plain, maml, learner.prepared(learner.collect()[0]))

    def to(self, device: torch.device) -> "Sides":
        """The same on another device."""
        self.learner.network.to(device)
        self.plain.to(device)
        return self._replace(episodes=self.episodes.to(device))

    def double(self) -> "Sides":
        """The same in double precision."""
        self.learner.network.double()
        self.plain.double()
        support_x, query_x = self.episodes.support_x.double(), self.episodes.query_x.double()
        return self._replace(episodes=self.episodes._replace(support_x=support_x, query_x=query_x))


def native_parameters(network: HeadedNetwork) -> list[nn.Parameter]:
    """Our parameters in the order of :func:`compared`."""
    backbone = [p for name, p in network.named_parameters() if name not in HEAD]
    return [*backbone, network.head_weight, network.head_bias]


def native(sides: Sides) -> list[Tensor]:
    """Ours: the meta-gradient as the learner takes it."""
    learner, episodes = sides.learner, sides.episodes
    learner.network.zero_grad()
    for chunk in episodes.chunks(learner.task_chunk):
        (learner.losses(chunk)[0].sum() / episodes.num_episodes).backward()
    return gradients(native_parameters(learner.network))


def lifted(sides: Sides, task_chunk: int) -> list[Tensor]:
    """Ours for any module: the plain network in ``MAML``."""
    maml = sides.maml
    maml.zero_grad()
    for chunk in sides.episodes.chunks(task_chunk):
        losses = maml.meta_loss(chunk.support_x, chunk.support_y, chunk.query_x, chunk.query_y)
        (losses.sum() / sides.episodes.num_episodes).backward()
    return gradients(compared(sides.plain))


def looped(sides: Sides) -> list[Tensor]:
    """Theirs: one task after another."""
    plain, work = sides.plain, sides.work
    plain.zero_grad()
    for support_x, support_y, query_x, query_y in zip(*sides.episodes[:4], strict=True):
        params: dict[str, Tensor] = dict(plain.named_parameters())
        for _ in range(work.num_steps):
            loss = functional.cross_entropy(functional_call(plain, params, support_x), support_y)
            slopes = torch.autograd.grad(loss, list(params.values()), create_graph=True)
            pairs = zip(params.items(), slopes, strict=True)
            params = {name: value - work.inner_lr * slope for (name, value), slope in pairs}
        loss = functional.cross_entropy(functional_call(plain, params, query_x), query_y)
        (loss / work.num_tasks).backward()
    return gradients(compared(plain))


def gradients(parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    """What a backward pass left."""
    return [p.grad for p in parameters if p.grad is not None]


def check_same(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> None:
    """Raise unless each gradient is the peer's, up to rounding in double precision."""
    for mine, other in zip(ours, theirs, strict=True):
        difference = float((mine - other).norm() / other.norm())
        if not difference < 1e-9:
            raise AssertionError(f"the gradients differ by a relative {difference}")


Side = Callable[[Sides], Sequence[Tensor]]


def make_side(work: Workload, side: Side) -> Callable[[], object]:
    """One side with its own tensors, for a process of its own."""
    return partial(side, Sides.make(work))


def variants(work: Workload) -> dict[str, Side]:
    """Ours, by the names of the rows."""
    sides: dict[str, Side] = {
        work.name: native,
        f"{work.name}-lifted": partial(lifted, task_chunk=0),
    }
    if work.num_tasks > 1:
        sides[f"{work.name}-lifted-by-task"] = partial(lifted, task_chunk=1)
    return sides


def compare(work: Workload, pairs: int) -> list[harness.Row]:
    """Check, then time and look at memory."""
    exact, sides = Sides.make(work).double(), Sides.make(work)
    expected, theirs_once = looped(exact), partial(looped, sides)
    num_operations = harness.operations(theirs_once)
    memory = harness.added_megabytes(partial(make_side, work, looped))
    rows = []
    for name, side in variants(work).items():
        check_same(side(exact), expected)
        ours, theirs = harness.alternate(
            harness.milliseconds(partial(side, sides)), harness.milliseconds(theirs_once), pairs
        )
        megabytes = harness.added_megabytes(partial(make_side, work, side)), memory
        extra = harness.use_of_machine(ours, theirs, num_operations, megabytes)
        rows.append(
            harness.Row(
                name=name,
                against="task-loop",
                unit="milliseconds",
                ours=ours,
                theirs=theirs,
                extra=extra,
            )
        )
    return rows


def main() -> None:
    """Check and time every row."""
    pairs = 2 if harness.quick_asked(__doc__) else 10
    rows = [row for work in WORKLOADS for row in compare(work, pairs)]
    harness.report(rows)
    harness.print_use_of_machine(rows)


if __name__ == "__main__":
    main()

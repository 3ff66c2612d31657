"""Drawing episodes from memory, and its share of a training step.

4112 classes of 20 images 1x28x28, as Omniglot has them with rotations, here random bytes; 32
episodes of 5 ways, 1 shot and 15 queries. Ours is ``FixedSampler``. The peer is a ``DataLoader``
in this process: a batch sampler of index lists, a data set that gives one image and its label, and
a collation into support and query, as easyfsl has it. For the same indices both must give the same
images and labels before anything is timed.

The share is that of ``collect`` in ``collect`` and ``update`` of each learner of this folder's
other benchmarks. Mini-ImageNet's 38,400 images are 6,400 here.
"""

import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

import conv_maml
import harness
import protonet_episode
import sinusoid_maml
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from metarl.fewshot import ArraySource, Episodes
from metarl.fewshot.configs import MAMLClassifierConfig
from metarl.fewshot.episodes import EpisodeSamplers
from metarl.fewshot.episodic_learner import FewShotLearner
from metarl.fewshot.headed_network import HeadedNetwork
from metarl.fewshot.maml_classifier import MAMLClassifier
from metarl.fewshot.samplers import FixedSampler, SinusoidSampler
from metarl.nn import FeatureMLP

NUM_EPISODES, NUM_WAYS, NUM_SHOTS, NUM_QUERIES = 32, 5, 1, 15
NUM_CLASSES, NUM_EXAMPLES = 4112, 20

Episode = tuple[Tensor, Tensor, Tensor, Tensor]
"""Support images and labels, query images and labels."""


class Images(Dataset[tuple[Tensor, int]]):
    """One image and its class at a time."""

    def __init__(self, source: ArraySource) -> None:
        self.images = source.examples
        self.labels = [label for label, n in enumerate(source.counts.tolist()) for _ in range(n)]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """The image and the class of an index."""
        return self.images[index], self.labels[index]


class IndexLists(Sampler[list[int]]):
    """Indices of an episode: those of a class next to one another, shots first."""

    def __init__(self, labels: Iterable[int]) -> None:
        self.members: dict[int, list[int]] = {}
        for index, label in enumerate(labels):
            self.members.setdefault(label, []).append(index)
        self.random = random.Random(0)

    def __iter__(self) -> Iterator[list[int]]:
        for _ in range(NUM_EPISODES):
            classes = self.random.sample(sorted(self.members), NUM_WAYS)
            drawn = [
                torch.tensor(self.random.sample(self.members[label], NUM_SHOTS + NUM_QUERIES))
                for label in classes
            ]
            yield torch.cat(drawn).tolist()


def collate(examples: list[tuple[Tensor, int]]) -> Episode:
    """Support and query of an index list, with labels by the order of the classes in it."""
    classes = list(dict.fromkeys(label for _, label in examples))
    labels = torch.tensor([classes.index(label) for _, label in examples])
    images = torch.cat([image[None] for image, _ in examples])
    by_class = images.unflatten(0, (NUM_WAYS, -1)), labels.unflatten(0, (NUM_WAYS, -1))
    support_x, support_y = (part[:, :NUM_SHOTS].flatten(0, 1) for part in by_class)
    query_x, query_y = (part[:, NUM_SHOTS:].flatten(0, 1) for part in by_class)
    return support_x, support_y, query_x, query_y


def make_loader(data: Images, lists: Iterable[list[int]]) -> DataLoader[Episode]:
    """The peer."""
    return DataLoader(data, batch_sampler=lists, collate_fn=collate)  # type: ignore[arg-type]


def make_sampler(source: ArraySource) -> FixedSampler:
    """Ours."""
    return FixedSampler(source, num_ways=NUM_WAYS, num_shots=NUM_SHOTS, num_queries=NUM_QUERIES)


def check_same(source: ArraySource, data: Images) -> None:
    """Raise unless the indices that ours draws give the same episodes on both sides."""
    indices = ArraySource(
        "indices",
        torch.arange(len(data), dtype=torch.float32),  # exact up to 2**24
        source.counts.tolist(),
        source.class_names,
    )
    drawn, ours = (
        make_sampler(one).sample(NUM_EPISODES, torch.Generator().manual_seed(1))[0]
        for one in (indices, source)
    )
    parts = [x.long().unflatten(1, (NUM_WAYS, -1)) for x in (drawn.support_x, drawn.query_x)]
    lists = torch.cat(parts, 2).flatten(1).tolist()
    theirs = zip(*make_loader(data, lists), strict=True)
    for mine, other in zip(ours[:4], theirs, strict=True):
        torch.testing.assert_close(mine, torch.stack(other), rtol=0, atol=0)


def compare(source: ArraySource, pairs: int) -> harness.Row:
    """Check, then time."""
    data = Images(source)
    check_same(source, data)
    sampler, generator = make_sampler(source), torch.Generator().manual_seed(0)
    loader = make_loader(data, IndexLists(data.labels))

    def draw() -> list[Episodes]:
        return sampler.sample(NUM_EPISODES, generator)

    ours, theirs = harness.alternate(
        harness.milliseconds(draw, repeat=20),
        harness.milliseconds(partial(list, loader), repeat=2),
        pairs,
    )
    return harness.Row(
        name="episode-sampling", against="DataLoader", unit="milliseconds", ours=ours, theirs=theirs
    )


def sinusoid_learner() -> MAMLClassifier:
    """The learner of the row ``sinusoid-maml``."""
    generator = torch.Generator().manual_seed(0)
    network = HeadedNetwork(FeatureMLP((1,), (40, 40), generator), 1, "free", generator)
    points = SinusoidSampler(sinusoid_maml.NUM_SHOTS, sinusoid_maml.NUM_SHOTS)
    config = MAMLClassifierConfig(
        head="free",
        meta_batch_size=sinusoid_maml.NUM_TASKS,
        inner_lr=sinusoid_maml.INNER_LR,
        num_inner_steps=1,
    )
    return MAMLClassifier(
        network, EpisodeSamplers(points, points, 1), config, iterations=100, seed=0
    )


def learners(omniglot: ArraySource) -> Iterator[tuple[str, FewShotLearner]]:
    """Those of the other benchmarks, by the names of their rows."""
    yield "sinusoid-maml", sinusoid_learner()
    mini = conv_maml.random_images((3, 84, 84), num_classes=64, num_examples=100)
    for work in conv_maml.WORKLOADS:
        source = omniglot if work.shape == omniglot.shape else mini
        yield work.name, conv_maml.make_learner(work, source)
    yield protonet_episode.NAME, protonet_episode.make_learner(omniglot)


def seconds_of_steps(learner: FewShotLearner, num_steps: int) -> tuple[float, float]:
    """Seconds of drawing, and of whole training steps, after one that does not count."""
    learner.update(learner.collect())
    drawing = 0.0
    begin = time.perf_counter()
    for _ in range(num_steps):
        start = time.perf_counter()
        batches = learner.collect()
        drawing += time.perf_counter() - start
        learner.update(batches)
    return drawing, time.perf_counter() - begin


def print_shares(shares: dict[str, tuple[float, float]], num_steps: int) -> None:
    """A table of drawing in training steps."""
    harness.print_table(
        ("training step of", "drawing ms", "step ms", "share"),
        [
            [
                name,
                *(f"{1e3 * seconds / num_steps:.3f}" for seconds in pair),
                f"{pair[0] / pair[1]:.2%}",
            ]
            for name, pair in shares.items()
        ],
    )


def main() -> None:
    """Compare, then take the share in each training step."""
    quick = harness.quick_asked(__doc__)
    num_steps = 3 if quick else 20
    omniglot = conv_maml.random_images((1, 28, 28), NUM_CLASSES, NUM_EXAMPLES)
    row = compare(omniglot, pairs=5 if quick else 20)
    shares = {name: seconds_of_steps(learner, num_steps) for name, learner in learners(omniglot)}
    extra = {"share_of_step": {name: draw / whole for name, (draw, whole) in shares.items()}}
    harness.report([replace(row, extra=extra)])
    print_shares(shares, num_steps)


if __name__ == "__main__":
    main()

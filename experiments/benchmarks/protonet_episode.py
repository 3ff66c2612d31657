"""One training gradient of a prototypical network: 60-way 1-shot, 5 queries a class, Conv4-64.

28x28 images, here random. Ours is ``ProtoNetClassifier.losses`` on the package's Conv4, which also
moves its running moments. The peer is the same in plain PyTorch, as learn2learn's example has it:
an ``nn.Sequential``, class means and squared distances (by ``torch.cdist``, which takes a ninth of
the time of learn2learn's own). Both must give the same gradient in double precision before
anything is timed.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import harness
import torch
from conv_maml import check_same, compared, copy_weights, gradients, plain_conv4, random_images
from torch import Tensor, nn
from torch.nn import functional

from metarl.fewshot import ArraySource, Episodes
from metarl.fewshot.configs import ProtoNetConfig
from metarl.fewshot.episodes import EpisodeSamplers
from metarl.fewshot.metric import ProtoNetClassifier
from metarl.fewshot.samplers import FixedSampler
from metarl.nn import Conv4

NAME = "protonet-60way"
SHAPE, FILTERS = (1, 28, 28), 64
NUM_WAYS, NUM_SHOTS, NUM_QUERIES = 60, 1, 5


def make_learner(source: ArraySource) -> ProtoNetClassifier:
    """Ours."""
    encoder = Conv4(1, (28, 28), filters=FILTERS, generator=torch.Generator().manual_seed(0))
    sampler = FixedSampler(source, num_ways=NUM_WAYS, num_shots=NUM_SHOTS, num_queries=NUM_QUERIES)
    config = ProtoNetConfig()
    return ProtoNetClassifier(
        encoder, EpisodeSamplers(sampler, sampler, 1), config, iterations=100, seed=0
    )


class Sides(NamedTuple):
    """The same weights and episode for both."""

    learner: ProtoNetClassifier
    plain: nn.Module
    episodes: Episodes

    @staticmethod
    def make() -> "Sides":
        """Draw an episode."""
        learner = make_learner(random_images(SHAPE, num_classes=80, num_examples=20))
        plain = nn.Sequential(*plain_conv4(SHAPE[0], FILTERS), nn.Flatten())
        copy_weights(list(learner.parameters()), plain)
        return Sides(learner, plain, learner.prepared(learner.collect()[0]))

    def double(self) -> "Sides":
        """The same in double precision."""
        self.learner.network.double()
        self.plain.double()
        support_x, query_x = self.episodes.support_x.double(), self.episodes.query_x.double()
        return self._replace(episodes=self.episodes._replace(support_x=support_x, query_x=query_x))


def ours(sides: Sides) -> list[Tensor]:
    """The gradient as the learner takes it."""
    sides.learner.network.zero_grad()
    sides.learner.losses(sides.episodes)[0].mean().backward()
    return gradients(list(sides.learner.parameters()))


def theirs(sides: Sides) -> list[Tensor]:
    """The gradient in plain PyTorch."""
    sides.plain.zero_grad()
    support_x, support_y, query_x, query_y = (tensor[0] for tensor in sides.episodes[:4])
    embeddings = sides.plain(torch.cat([support_x, query_x]))
    support, query = embeddings.split([len(support_x), len(query_x)])
    order = support_y.argsort(stable=True)
    centres = support[order].reshape(NUM_WAYS, NUM_SHOTS, -1).mean(1)
    functional.cross_entropy(-torch.cdist(query, centres).square(), query_y).backward()
    return gradients(compared(sides.plain))


def make_side(side: Callable[[Sides], object]) -> Callable[[], object]:
    """One side with its own tensors, for a process of its own."""
    return partial(side, Sides.make())


def main() -> None:
    """Check, then time and look at memory."""
    pairs = 3 if harness.quick_asked(__doc__) else 15
    exact = Sides.make().double()
    check_same(ours(exact), theirs(exact))
    sides = Sides.make()
    mine, other = harness.alternate(
        harness.milliseconds(partial(ours, sides)),
        harness.milliseconds(partial(theirs, sides)),
        pairs,
    )
    num_operations = harness.operations(partial(theirs, sides))
    memory = [harness.added_megabytes(partial(make_side, side)) for side in (ours, theirs)]
    row = harness.Row(
        name=NAME,
        against="plain",
        unit="milliseconds",
        ours=mine,
        theirs=other,
        extra=harness.use_of_machine(mine, other, num_operations, (memory[0], memory[1])),
    )
    harness.report([row])
    harness.print_use_of_machine([row])


if __name__ == "__main__":
    main()

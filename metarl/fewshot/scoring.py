"""What comes of a learner's adaptation: scores of episodes, drawn in blocks; classifiers."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from metarl.fewshot.episodes import Episodes, EpisodeStream, Support
from metarl.fewshot.losses import finite_score
from metarl.types import Adaptation, Params

DRAWN_AT_ONCE = 32  # test episodes in memory; the same on every device, so that draws are too


class Adapting(Protocol):
    """What a learner brings."""

    network: nn.Module

    def fit(
        self, support_x: Tensor, support_y: Tensor, num_ways: int, num_steps: int
    ) -> Sequence[Params]:
        """Classifiers of every task after 0 to ``num_steps`` steps."""
        ...

    def scores(self, fitted: Params, x: Tensor) -> Tensor:
        """Class scores or regression outputs of queries ``[M, Q, *shape]``."""
        ...

    def prepared(self, episodes: Episodes) -> Episodes:
        """Episodes as the network takes them."""
        ...

    def inputs(self, x: Tensor) -> Tensor:
        """Examples as the network takes them."""
        ...

    def autocast(self) -> torch.autocast:
        """The context in which networks run."""
        ...

    @property
    def task_chunk(self) -> int:
        """Episodes worked on at once; 0 for all."""
        ...


def num_blocks(source: EpisodeStream) -> int:
    """Blocks of 32 episodes; the last may be shorter."""
    return -(-source.num_episodes // DRAWN_AT_ONCE)


def block_scores(learner: Adapting, source: EpisodeStream, num_steps: int, block: int) -> Tensor:
    """Score of every episode of a block after 0 to ``num_steps`` steps, ``[K + 1, episodes]``."""
    learner.network.eval()
    start, total = block * DRAWN_AT_ONCE, source.num_episodes
    num = min(DRAWN_AT_ONCE, total - start)
    batches = source.sampler.sample(num, source.streams.torch("episodes", block))
    chunks = (chunk for batch in batches for chunk in batch.chunks(learner.task_chunk))
    scores = [curve(learner, learner.prepared(chunk), num_steps) for chunk in chunks]
    source.progress(start + num, total)
    return torch.cat(scores, 1)


def curve(learner: Adapting, episodes: Episodes, num_steps: int) -> Tensor:
    """The same of prepared episodes, on the CPU."""
    with torch.no_grad(), learner.autocast():
        path = learner.fit(episodes.support_x, episodes.support_y, episodes.num_ways, num_steps)
        pairs = [(fitted, learner.scores(fitted, episodes.query_x)) for fitted in path]
    return torch.stack([finite_score(*pair, episodes) for pair in pairs]).cpu()


def fitted_to(learner: Adapting, support: Support, num_steps: int) -> Adaptation[Params]:
    """Classifiers of support sets, which nothing is scored by."""
    learner.network.eval()
    with torch.no_grad(), learner.autocast():
        x = learner.inputs(support.x)
        path = learner.fit(x, support.y.to(x.device), support.num_ways, num_steps)
    return Adaptation(
        values=np.empty((0, len(x))),
        measure="accuracy",
        unit="gradient steps",
        model=lambda task, after: {
            name: value[task : task + 1] for name, value in path[-1 if after else 0].items()
        },
    )

"""Pre-training: one classifier over all train classes, by mini-batches.

What it learns are features. :mod:`metarl.fewshot.transfer` classifies episodes by them.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from metarl.core import Streams, expand
from metarl.fewshot.configs import Balance, PretrainingConfig
from metarl.fewshot.episodes import Episodes, EpisodeSamplers
from metarl.fewshot.losses import task_losses
from metarl.fewshot.metric import MetricLearner
from metarl.fewshot.samplers import check_counts, part_of_batch
from metarl.fewshot.sources import Source
from metarl.nn import Backbone
from metarl.nn.mlp import linear_tasks
from metarl.nn.norm import batches_over_ranks
from metarl.types import Params


def draw_examples(
    counts: Tensor, shape: tuple[int, ...], balance: Balance, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw examples of a source with replacement.

    Args:
        counts: examples of every class, ``[C]`` int64, each at least 1.
        shape: of what is drawn.
        balance: what is equally likely, every example or every class.
        generator: of the CPU.

    Returns:
        Classes and examples, int64 of that shape, as :meth:`Source.take` wants them.

    >>> generator = torch.Generator().manual_seed(0)
    >>> classes, _ = draw_examples(torch.tensor([1, 999]), (1000,), "examples", generator)
    >>> bool(classes.sum() > 990)
    True
    """
    if balance == "classes":
        classes = torch.randint(len(counts), shape, generator=generator)
        # doubles, so that the examples of a large class stay equally likely
        unit = torch.rand(shape, generator=generator, dtype=torch.float64)
        return classes, (unit * counts[classes]).long()
    return located(counts, torch.randint(int(counts.sum()), shape, generator=generator))


def located(counts: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Classes and examples in them of places in a source, all its examples in a row.

    >>> located(torch.tensor([1, 999]), torch.tensor([0, 1, 999]))
    (tensor([0, 1, 1]), tensor([  0,   0, 998]))
    """
    ends = counts.cumsum(0)
    classes = torch.searchsorted(ends, places, right=True)
    return classes, places - (ends - counts)[classes]


class PretrainedLearner(MetricLearner):
    """Trains features with a head over all train classes; subclasses classify by the features.

    Args:
        network: to features.
        samplers: of episodes; those of training are not used.
        config: numbers of the algorithm.
        train_source: examples to pre-train on.
        iterations: over which the outer step size decays.
        seed: of the mini-batches, of the head and of validation episodes.
    """

    config: PretrainingConfig

    def __init__(
        self,
        network: Backbone,
        samplers: EpisodeSamplers,
        config: PretrainingConfig,
        *,
        train_source: Source,
        iterations: int,
        seed: int,
    ) -> None:
        check_counts(train_source, 1, 1, "mini-batches")
        self.train_source = train_source
        device = next(_module(network).parameters()).device
        generator = Streams(seed, "training").torch("pretraining head")
        head = self.initial_head(network, len(train_source.class_names), generator)
        self.head = {name: nn.Parameter(value.to(device)) for name, value in head.items()}
        super().__init__(_module(network), samplers, config, iterations=iterations, seed=seed)

    def initial_head(
        self, network: Backbone, num_classes: int, generator: torch.Generator
    ) -> Params:
        """The pre-training head at its start, not task-batched; linear unless overridden."""
        weight = torch.empty(num_classes, network.num_features)
        nn.init.xavier_uniform_(weight, generator=generator)
        return {"weight": weight, "bias": torch.zeros(num_classes)}

    def logits(self, head: Params, features: Tensor) -> Tensor:
        """Class scores ``[M, B, N]`` of features ``[M, B, D]`` by a head of each task, W f + b."""
        return linear_tasks(features, head["weight"].mT, head["bias"])

    def parameters(self) -> Iterable[nn.Parameter]:
        """The network's, and those of the pre-training head."""
        return [*self.network.parameters(), *self.head.values()]

    def collect(self) -> list[Episodes]:
        """Draw mini-batches, episodes of all train classes without a support set; its part."""
        config = self.config
        shape = config.meta_batch_size, config.batch_size
        counts = self.train_source.counts
        generator = self.streams.torch("episodes")
        classes, examples = draw_examples(counts, shape, config.balance, generator)
        part = self.part
        classes, examples = (each[part.start : part.stop] for each in (classes, examples))
        x = self.train_source.take(classes, examples)
        y = classes.to(x.device)
        episodes = Episodes(x[:, :0], y[:, :0], x, y, num_ways=len(counts))
        return part_of_batch(episodes, part, config.meta_batch_size)

    def losses(self, episodes: Episodes) -> tuple[Tensor, Tensor]:
        """Loss of every mini-batch."""
        with batches_over_ranks(episodes.shared):
            features = self._embed_by_mode(episodes.query_x)
        head: Params = dict(self.head)
        with self.full_precision():
            outputs = self.logits(expand(head, len(features)), features)
        return task_losses(outputs, episodes.query_y), outputs

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what happens next."""
        head = {name: value.detach() for name, value in self.head.items()}
        return super().state_dict() | {"head": head}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
        super().load_state_dict(state)
        with torch.no_grad():
            for name, value in self.head.items():
                value.copy_(state["head"][name])


def _module(network: Backbone) -> nn.Module:
    if not isinstance(network, nn.Module):
        raise ValueError(f"network must be a torch module, got {type(network).__name__}")
    return network

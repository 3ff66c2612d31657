"""What every few-shot learner shares: episodes in, classifiers out; outer step, state.

A learner says how a support set becomes a *fitted* classifier (tensors by name, leading with M)
and how that gives class scores of queries. Training, evaluation, ``metarl adapt`` and the saved
classifier all use these two functions.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any, get_args

import torch
from torch import Tensor, nn

from metarl.core import Streams, checked_steps, iteration_times
from metarl.core.collectives import ranks, sum_gradients
from metarl.core.streams import Stream
from metarl.fewshot import shards
from metarl.fewshot.augment import augment
from metarl.fewshot.configs import FewShotConfig, NormMode
from metarl.fewshot.descent import Descent
from metarl.fewshot.episodes import (
    Episodes,
    EpisodeSamplers,
    EpisodeStream,
    Support,
    in_chunks,
    no_model,
)
from metarl.fewshot.headed_network import backbone_of
from metarl.fewshot.losses import score
from metarl.fewshot.scoring import block_scores, fitted_to, num_blocks
from metarl.nn.backbones import FixedStatistics, fixed_statistics
from metarl.types import Adaptation, Metrics

Fitted = dict[str, Tensor]
"""A classifier of each task, as tensors ``[M, ...]`` by name."""


class FewShotLearner(ABC):
    """Sampling, outer step, evaluation and state of a few-shot learner.

    Args:
        network: what is trained; its device is the learner's.
        samplers: of train and validation episodes.
        config: numbers of the algorithm.
        iterations: over which the outer step size decays.
        seed: of the episodes.
    """

    num_steps: int = 0
    """Adaptation steps that an evaluation shows after step 0."""
    pools: bool = False
    """Whether batch normalisation in updates is over all episodes differentiated at once."""

    def __init__(
        self,
        network: nn.Module,
        samplers: EpisodeSamplers,
        config: FewShotConfig,
        *,
        iterations: int,
        seed: int,
    ) -> None:
        self.network = network
        self.samplers = samplers
        self.config = config
        self.iterations = iterations
        self.iteration = 0
        self._seed = seed
        self.descent = Descent(self)
        if ranks().size > 1 and any(map(torch.numel, self.parameters())):
            shards.check_norms(network, pooled=self.pools and not self.task_chunk)
            _ = self.part  # raises where there is none
        self.optimiser: torch.optim.Optimizer = torch.optim.Adam(
            self.parameters(), lr=config.lr, weight_decay=config.weight_decay
        )

    @abstractmethod
    def losses(self, episodes: Episodes) -> tuple[Tensor, Tensor]:
        """Training loss of every episode ``[M]``, and the outputs of the queries behind it."""

    @abstractmethod
    def fit(
        self, support_x: Tensor, support_y: Tensor, num_ways: int, num_steps: int
    ) -> list[Fitted]:
        """Classifiers of every task after 0 to ``num_steps`` steps; of learners without, one.

        Those of inductive mode can be scored in either mode.
        """

    @abstractmethod
    def scores(self, fitted: Fitted, x: Tensor) -> Tensor:
        """Class scores ``[M, Q, N]`` (or regression outputs) of queries ``[M, Q, *shape]``."""

    @property
    def streams(self) -> Streams:
        """What training draws from in this iteration."""
        return Streams(self._seed, "training").at(self.iteration)

    def generators(self, stream: Stream, episodes: Episodes) -> list[torch.Generator]:
        """One for each episode of a part of the meta-batch, whatever the parts are."""
        numbers = range(episodes.first, episodes.first + episodes.num_episodes)
        return [self.streams.torch(stream, number) for number in numbers]

    def parameters(self) -> Iterable[nn.Parameter]:
        """What the outer optimiser trains."""
        return self.network.parameters()

    @property
    def device(self) -> torch.device:
        """Where the network lives."""
        return next(iter(self.network.parameters())).device

    @property
    def task_chunk(self) -> int:
        """Episodes differentiated at once; 0 for all."""
        if self.config.task_chunk is not None:
            return self.config.task_chunk
        convolves = any(p.ndim > 3 for p in self.network.parameters())
        return 1 if convolves and self.device.type == "cpu" else 0

    @property
    def part(self) -> range:
        """Which episodes of a meta-batch are this process's."""
        undivided = self.task_chunk if self.pools else 0
        return shards.own_part(self.config.meta_batch_size, undivided or 1)

    def inputs(self, x: Tensor) -> Tensor:
        """Examples as the network takes them: on its device, images as numbers in [0, 1]."""
        x = x.to(self.device, non_blocking=True)
        return x.float() / 255 if x.dtype == torch.uint8 else x

    def autocast(self) -> torch.autocast:
        """The context in which networks run."""
        return torch.autocast(self.device.type, torch.bfloat16, self.config.precision == "bf16")

    def full_precision(self) -> torch.autocast:
        """The context, within that one, for what loses by bf16: distances, fits of heads."""
        return torch.autocast(self.device.type, enabled=False)

    def iterate(self) -> Metrics:
        """:meth:`collect`, then :meth:`update`, with the seconds that each took."""
        started = perf_counter()
        collected = self.collect()
        between = perf_counter()
        return self.update(collected) | iteration_times(between - started, perf_counter() - between)

    def collect(self) -> list[Episodes]:
        """Draw the meta-batch of the iteration: this process's part of it."""
        total, generator = self.config.meta_batch_size, self.streams.torch("episodes")
        part = (self.part,) if ranks().size > 1 else ()
        return self.samplers.train.sample(total, generator, *part)

    def update(self, batches: Sequence[Episodes]) -> Metrics:
        """One outer step. A non-finite meta-gradient changes nothing: ``meta/skipped`` is 1.

        Args:
            batches: this process's part of the meta-batch; the step is by the mean over all parts.
        """
        self.network.train()
        self.optimiser.zero_grad()
        before = [buffer.clone() for buffer in self.network.buffers()]
        chunks = in_chunks(batches, self.task_chunk)
        num_episodes = sum(batch.num_episodes for batch in batches)
        total = shards.episodes_of_all(num_episodes, self.device)
        figures = self._accumulate(chunks, total)
        if ranks().size > 1:
            figures = sum_gradients(self.parameters(), figures * (num_episodes / total))
            if self.pools and before and not chunks[0].shared:
                shards.join_running(list(self.network.buffers()), before, len(chunks))
        metrics = self._step()
        if metrics["meta/skipped"]:  # the running statistics of batch norm have moved
            for buffer, value in zip(self.network.buffers(), before, strict=True):
                buffer.copy_(value)
        return metrics | dict(zip(("meta/loss", "train/score"), figures.tolist(), strict=True))

    def _accumulate(self, chunks: Sequence[Episodes], total: int) -> Tensor:
        """Add up the gradient of the losses, divided by ``total``; mean loss and mean score."""
        losses, figures = [], []
        for chunk in chunks:
            episodes = self.augmented(self.prepared(chunk))
            # a graph could not hold the messages of a batch that goes on elsewhere
            repeated = self.repeats and not (self.pools and chunk.shared)
            loss, outputs = self.descent.add(episodes, total, repeated=repeated)
            losses.append(loss)
            figures.append(score(outputs, episodes))
        return torch.stack([torch.cat(losses).mean(), torch.cat(figures).mean()])

    @property
    def repeats(self) -> bool:
        """Whether a GPU may repeat the gradient of an update without Python."""
        return False

    def _step(self) -> Metrics:
        """Let the optimiser step on what has been added up."""
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        skipped = not bool(torch.isfinite(norm))
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.lr_at(self.iteration / self.iterations)
        if not skipped:
            self.optimiser.step()
        self.iteration += 1
        return {
            "meta/skipped": float(skipped),
            "meta/gradient_norm": float(norm),
            "meta/lr": self.optimiser.param_groups[0]["lr"],
        }

    def prepared(self, episodes: Episodes) -> Episodes:
        """Episodes on the network's device, inputs as the network takes them."""
        moved = episodes.to(self.device)
        return moved._replace(
            support_x=self.inputs(moved.support_x), query_x=self.inputs(moved.query_x)
        )

    def augmented(self, episodes: Episodes) -> Episodes:
        """Prepared train episodes with their images changed as the config says."""
        kind = self.config.augmentation
        if kind == "none":
            return episodes
        generators = self.generators("augmentation", episodes)
        return episodes._replace(
            support_x=augment(kind, episodes.support_x, generators),
            query_x=augment(kind, episodes.query_x, generators),
        )

    def evaluate(self) -> Metrics:
        """Score on validation episodes, the same ones every time."""
        sampler, num_episodes = self.samplers.validation, self.samplers.num_validation
        source = EpisodeStream(sampler, num_episodes, Streams(self._seed, "validation"))
        scores = partial(block_scores, self, source, self.num_steps)
        figures = torch.cat(shards.in_turns(num_blocks(source), scores), 1).mean(1).tolist()
        first, last, sign = figures[0], figures[-1], -1 if self.samplers.regression else 1
        metrics = {"eval/score": last, "eval/validation": sign * last}
        if len(figures) > 1:
            metrics |= {"eval/score_pre": first, "eval/adaptation_gain": last - first}
        return metrics

    @property
    def norm(self) -> NormMode | FixedStatistics:
        """What normalises query sets in an evaluation."""
        return fixed_statistics(backbone_of(self.network)) or self.config.norm

    def with_norm(self, norm: NormMode) -> "FewShotLearner":
        """The same learner, network included, with other batch statistics of query sets.

        Raises:
            ValueError: its backbone does not go by what is asked.
        """
        if self.norm in get_args(FixedStatistics):
            raise ValueError(f"{norm}: this backbone normalises by {self.norm} statistics only")
        other = copy.copy(self)
        other.config, other.descent = replace(self.config, norm=norm), Descent(other)
        return other

    def adapt(self, source: EpisodeStream | Support, steps: int) -> Adaptation[Fitted]:
        """Adapt to every task of a source.

        Args:
            source: episodes, which are scored, or support sets alone.
            steps: of adaptation.
        """
        if isinstance(source, EpisodeStream):
            return Adaptation(
                values=self.evaluate_on(source, checked_steps(steps)).double().numpy(),
                measure="mse" if source.regression else "accuracy",
                unit="gradient steps" if self.num_steps else "",
                model=no_model,
            )
        return fitted_to(self, source, checked_steps(steps))

    def evaluate_on(self, source: EpisodeStream, num_steps: int) -> Tensor:
        """Score of every episode after 0 to ``num_steps`` steps, ``[K + 1, episodes]``.

        Accuracy in [0, 1], or the mean squared error of a regression. Every 32 episodes have a
        generator of their own.
        """
        blocks = range(num_blocks(source))
        return torch.cat([block_scores(self, source, num_steps, block) for block in blocks], 1)

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what happens next."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "seed": self._seed,
            "iteration": self.iteration,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self._seed, self.iteration = state["seed"], state["iteration"]

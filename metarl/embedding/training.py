"""The encoder's training: on the finished trials of every iteration, by the nearest prototype."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

from metarl.core.collectives import gathered, ranks, sum_gradients
from metarl.embedding.configs import EncoderConfig
from metarl.embedding.encoders import TaskEncoder
from metarl.embedding.loss import embedding_logits, embedding_loss
from metarl.embedding.prototypes import Trajectories, whole_prototypes
from metarl.embedding.trial_data import HardNegatives, TrialData
from metarl.embedding.trials import Trials
from metarl.files import check_finite
from metarl.types import Metrics

REFRESH = 50  # steps of the encoder after which hard negatives are looked for anew


class EncoderTrainer:
    """Trains an encoder and keeps the average of its weights that makes the prototypes.

    Args:
        trained: the encoder at its start.
        config: numbers of the training.
        averaged: whether there is such an average; without, what is trained makes the prototypes.
    """

    encoder: TaskEncoder
    """What makes the prototypes."""

    def __init__(
        self, trained: TaskEncoder, config: EncoderConfig, *, averaged: bool = True
    ) -> None:
        self.trained = trained
        self.config = config
        # fused: of layers as small as these the calls cost more than the work
        self.optimiser = torch.optim.Adam(trained.parameters(), config.encoder_lr, fused=True)
        self.encoder = trained
        if averaged:
            self._average = get_ema_multi_avg_fn(config.encoder_average)  # type: ignore[no-untyped-call]
            self.encoder = copy.deepcopy(trained)
            self.encoder.inputs = trained.inputs  # one set of statistics

    def train(self, trials: Trials, iteration: int, generator: torch.Generator) -> Metrics:
        """Steps on the trials of an iteration.

        Several processes train on the trials of all, which each of them gets: every step draws its
        tasks from these, and each process encodes a part of them.

        Args:
            trials: finished ones, with transitions; of this process.
            iteration: of meta-training, from 1.
            generator: draws what each step looks at; the same in every process.

        Returns:
            ``adapt/embedding_loss`` and ``adapt/embedding_accuracy``, means over the steps; nothing
            where all trials have the same task.

        Raises:
            NonFiniteError: the encoder diverged.
        """
        if len(parts := gathered(trials)) > 1:
            trials = Trials(*map(np.concatenate, zip(*parts, strict=True)))
        if len(np.unique(trials.tasks, axis=0)) < 2:
            return {}  # nothing to tell apart
        data = TrialData(trials, next(self.trained.parameters()).device)
        self.trained.observe(data.real_transitions())
        self.optimiser.param_groups[0]["lr"] = self.lr_at(iteration)
        config = self.config
        num_steps = config.encoder_warmup if iteration == 1 else config.encoder_steps
        figures = [self._step(p, generator) for p in self._pairs(data, num_steps, generator)]
        check_finite(self.encoder.state_dict(), "encoder")
        losses, accuracies = zip(*figures, strict=True)
        return {
            "adapt/embedding_loss": float(np.mean(losses)),
            "adapt/embedding_accuracy": float(np.mean(accuracies)),
        }

    def lr_at(self, iteration: int) -> float:
        """Step size in an iteration, of which the first is 1."""
        halvings = (iteration - 1) / self.config.encoder_half_life
        return self.config.encoder_lr * float(0.5**halvings)

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what happens next."""
        return {
            "encoder": self.trained.state_dict(),
            "averaged": self.encoder.state_dict(),
            "adam": self.optimiser.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
        self.trained.load_state_dict(state["encoder"])
        self.encoder.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["adam"])

    def _pairs(
        self, data: TrialData, num_steps: int, generator: torch.Generator
    ) -> Iterator[list[Trajectories]]:
        """What each step looks at; hard negatives are those of the encoder as it is by then."""
        config = self.config
        # a recurrent encoder needs all that came before, so it looks at all
        support = None if self.trained.state_size else config.num_support
        for step in range(num_steps):
            if step % REFRESH == 0:
                with torch.no_grad():
                    found = whole_prototypes(self.trained, data.firsts(support, generator))
                negatives = HardNegatives(found, config.num_similar)
            yield data.draw(config.num_ways, generator, support, negatives)

    def _step(self, pair: list[Trajectories], generator: torch.Generator) -> tuple[float, float]:
        """One optimiser step; loss and accuracy before it."""
        num_tasks = len(pair[0].lengths)
        # fewer tasks than processes: all do the same
        part = ranks().part(num_tasks) if ranks().size <= num_tasks else range(num_tasks)
        logits = embedding_logits(
            self.trained,
            pair,
            num_queries=self.config.num_queries,
            generator=generator,
            part=part,
        )
        # of all queries alike: gradients flow from each process to the prototypes of all
        share = len(part) / num_tasks
        loss, accuracy = (share * figure for figure in embedding_loss(logits, part.start))
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        figures = torch.stack([loss.detach(), accuracy])
        if len(part) < num_tasks:
            figures = sum_gradients(self.trained.parameters(), figures)
        self.optimiser.step()
        if self.encoder is not self.trained:
            self._average(list(self.encoder.parameters()), list(self.trained.parameters()), None)
        mean_loss, mean_accuracy = figures.tolist()
        return mean_loss, mean_accuracy

"""Reptile: the outer step moves the parameters towards where plain training on a task leads."""

from collections.abc import Iterator

import torch
from torch import Tensor

from metarl.core import adapt, reptile_loss
from metarl.fewshot.configs import ReptileConfig
from metarl.fewshot.episodes import Episodes, EpisodeSamplers
from metarl.fewshot.headed_network import HeadedNetwork
from metarl.fewshot.losses import task_losses
from metarl.fewshot.maml_classifier import MAMLClassifier
from metarl.fewshot.samplers import draw_distinct
from metarl.types import Params

Examples = tuple[Tensor, Tensor]


class ReptileClassifier(MAMLClassifier):
    """Meta-learns by θ ← θ + ε mean_m (θ'_m - θ), θ'_m after k steps of SGD on task m.

    Args:
        network: backbone and start of the head.
        samplers: of train and validation episodes.
        config: numbers of the algorithm.
        iterations: over which ε decays.
        seed: of the episodes and the inner mini-batches.
    """

    config: ReptileConfig

    def __init__(
        self,
        network: HeadedNetwork,
        samplers: EpisodeSamplers,
        config: ReptileConfig,
        *,
        iterations: int,
        seed: int,
    ) -> None:
        super().__init__(network, samplers, config, iterations=iterations, seed=seed)
        self.optimiser = torch.optim.SGD(
            self.parameters(), lr=config.lr, weight_decay=config.weight_decay
        )

    @property
    def repeats(self) -> bool:
        """No: every update has mini-batches of its own."""
        return False

    def losses(self, episodes: Episodes) -> tuple[Tensor, Tensor]:
        """Loss of the queries, which adaptation has seen; its gradient is Reptile's, θ - θ'_m."""
        support = episodes.support_x, episodes.support_y
        start = self._start(self._theta().network, support, episodes.num_ways)
        with torch.no_grad():
            batches: list[tuple[Tensor, Tensor, Params]] = [
                (x, y, {}) for x, y in self._mini_batches(episodes)
            ]
            adapted = adapt(self.rule, self._support_losses, start, batches)
            outputs = self._query_outputs(adapted, episodes.support_x, episodes.query_x)
            losses = task_losses(outputs, episodes.query_y)
        return losses + reptile_loss(start, adapted), outputs

    def _mini_batches(self, episodes: Episodes) -> Iterator[Examples]:
        """One for every inner step, each without repetition, of support and query together."""
        x = torch.cat([episodes.support_x, episodes.query_x], 1)
        y = torch.cat([episodes.support_y, episodes.query_y], 1)
        num_examples = x.shape[1]
        size = min(self.config.inner_batch_size, num_examples)
        sizes = torch.full((self.config.num_inner_steps,), num_examples)
        generators = self.generators("mini-batches", episodes)
        drawn = [draw_distinct(sizes, size, generator) for generator in generators]
        tasks = torch.arange(len(x), device=x.device)[:, None]
        for chosen in torch.stack(drawn, 1).to(x.device):  # [M, B]
            yield x[tasks, chosen], y[tasks, chosen]

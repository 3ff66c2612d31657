"""Reptile: the outer step moves the parameters towards where plain training on a task leads."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from metarl.core import adapt
from metarl.fewshot.episodes import Episodes
from metarl.fewshot.learner import Tasks, task_losses
from metarl.fewshot.maml import MAMLClassifier
from metarl.fewshot.maml_configs import MAMLClassifierConfig
from metarl.fewshot.network import HeadedNetwork
from metarl.fewshot.samplers import check_positive, draw_distinct

Examples = tuple[Tensor, Tensor]

ALWAYS = {
    "first_order": True,
    "adapted": "all",
    "learned_lr": "none",
    "multi_step_iterations": 0,
    "compile": False,
}
"""Settings of MAML that mean nothing here."""


@dataclass(frozen=True, kw_only=True)
class ReptileConfig(MAMLClassifierConfig):
    """Reptile (Nichol et al. 2018): first order, and no split of train episodes.

    Differs from the paper: inner steps are plain SGD (Adam without momentum there), ε falls as a
    cosine (linearly there), and at test 10 steps take the whole support set (50 take mini-batches
    there). As there, training wants more shots than the test, 10 where that has 1 or 5.
    """

    meta_batch_size: int = 5
    """Episodes of a meta-iteration."""
    lr: float = 1.0
    """Outer step size ε at first: the share of the way to the adapted parameters."""
    inner_lr: float = 0.2
    """Step size α of adaptation, for the mean loss."""
    inner_batch_size: int = 10
    """Examples of an inner step in training, drawn from support and query together."""
    first_order: bool = True
    """Always."""
    head: Literal["shared", "free", "prototypes"] = "shared"
    """How the head starts: one row for all classes, or a row each."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(inner_batch_size=self.inner_batch_size)
        for name, value in ALWAYS.items():
            if getattr(self, name) != value:
                raise ValueError(f"{name} of reptile is {value}, got {getattr(self, name)}")
        if self.head == "prototypes":
            raise ValueError("head of reptile is shared or free, got prototypes")


class ReptileClassifier(MAMLClassifier):
    """Meta-learns by θ ← θ + ε mean_m (θ'_m - θ), θ'_m after k steps of SGD on task m.

    Args:
        network: backbone and start of the head.
        tasks: samplers of train and validation episodes.
        config: numbers of the algorithm.
        iterations: over which ε decays.
        seed: of the episodes and the inner mini-batches.
    """

    config: ReptileConfig

    def __init__(
        self,
        network: HeadedNetwork,
        tasks: Tasks,
        config: ReptileConfig,
        *,
        iterations: int,
        seed: int,
    ) -> None:
        super().__init__(network, tasks, config, iterations=iterations, seed=seed)
        self.optimiser = torch.optim.SGD(
            self.parameters(), lr=config.lr, weight_decay=config.weight_decay
        )

    def losses(self, episodes: Episodes) -> tuple[Tensor, Tensor]:
        """Loss of the queries, which adaptation has seen; its gradient is Reptile's, θ - θ'_m."""
        start = self._start(
            self._theta(), (episodes.support_x, episodes.support_y), episodes.num_ways
        )
        with torch.no_grad():
            adapted = adapt(
                self._support_losses,
                start,
                list(self._mini_batches(episodes)),
                lr=self.config.inner_lr,
            )
            outputs = self._query_outputs(adapted, episodes.support_x, episodes.query_x)
            losses = task_losses(outputs, episodes.query_y)
        for name, value in start.items():
            products = (value - value.detach()) * (value - adapted[name]).detach()
            losses = losses + products.flatten(1).sum(1)
        return losses, outputs

    def _mini_batches(self, episodes: Episodes) -> Iterator[Examples]:
        """One for every inner step, each without repetition, of support and query together."""
        x = torch.cat([episodes.support_x, episodes.query_x], 1)
        y = torch.cat([episodes.support_y, episodes.query_y], 1)
        num_tasks, num_examples = x.shape[:2]
        size = min(self.config.inner_batch_size, num_examples)
        sizes = torch.full((self.config.num_inner_steps,), num_examples)
        # one task after another, so that the draws are the same in chunks of any size
        drawn = [draw_distinct(sizes, size, self._generator) for _ in range(num_tasks)]
        tasks = torch.arange(num_tasks, device=x.device)[:, None]
        for chosen in torch.stack(drawn, 1).to(x.device):  # [M, B]
            yield x[tasks, chosen], y[tasks, chosen]

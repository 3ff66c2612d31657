"""Losses and scores of episodes."""

import torch
from torch import Tensor
from torch.nn import functional

from metarl.fewshot.episodes import Episodes
from metarl.files import check_finite
from metarl.types import Params


def widened(x: Tensor) -> Tensor:
    """bf16 to float32, for what would lose by it; everything else stays."""
    return x.float() if x.dtype == torch.bfloat16 else x


def task_losses(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy of every task, or mean squared error where targets are floats; ``[M]``."""
    if targets.is_floating_point():
        return (widened(outputs) - targets).square().flatten(1).mean(1)
    return functional.cross_entropy(widened(outputs).mT, targets, reduction="none").mean(1)


def score(outputs: Tensor, episodes: Episodes) -> Tensor:
    """Accuracy of every episode, or mean squared error of a regression, ``[M]``."""
    if episodes.num_ways == 0:
        return task_losses(outputs, episodes.query_y)
    return (outputs.argmax(-1) == episodes.query_y).float().mean(1)


def finite_score(fitted: Params, outputs: Tensor, episodes: Episodes) -> Tensor:
    """:func:`score` of a classifier, provided that it and its outputs are numbers.

    Raises:
        NonFiniteError: they are not: the learner diverged. The largest of NaN is some class, too.
    """
    check_finite({"classifier": fitted, "scores": outputs})
    return score(outputs, episodes)

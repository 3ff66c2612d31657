"""Policy-gradient losses of task-batched parameters, each ``[M]``.

Written once for any distribution of actions; means are over the real steps of each task.
"""

import torch
from torch import Tensor

from metarl.nn import ActionDistribution, Gaussian
from metarl.rl.estimators import INNER_LOSSES, Estimator
from metarl.rl.rollout import AdvantageBatch


def inner_loss(acting: ActionDistribution, batch: AdvantageBatch, estimator: Estimator) -> Tensor:
    """The inner objective of MAML-RL (Finn et al. 2017, eq. 4), by :mod:`metarl.rl.estimators`."""
    log_probs = log_prob(acting, batch)
    signal = batch.rewards if estimator == "dice" else batch.advantages
    taken, signal, weights = map(batch.by_time, (log_probs, signal, batch.weights))
    sampled = None if batch.sampled is None else batch.by_time(batch.sampled)
    return INNER_LOSSES[estimator](taken, signal, weights, sampled)


def log_prob(acting: ActionDistribution, batch: AdvantageBatch) -> Tensor:
    """Log π(a|s) of the actions taken, as far as they are known, ``[M, B]``."""
    if batch.censored is None:
        return acting.log_prob(batch.actions)
    assert isinstance(acting, Gaussian)  # choices are always known
    return acting.censored_log_prob(batch.actions, batch.censored)


def ratio(new: ActionDistribution, old: ActionDistribution, batch: AdvantageBatch) -> Tensor:
    """π_new(a|s) / π_old(a|s) of the actions taken, ``[M, B]``."""
    return torch.exp(new.log_prob(batch.actions) - old.log_prob(batch.actions))


def surrogate_loss(
    new: ActionDistribution, old: ActionDistribution, batch: AdvantageBatch
) -> Tensor:
    """-E[π_new(a|s) / π_old(a|s) A]  (Schulman et al. 2015, eq. 14); ``old`` is a constant."""
    return -(ratio(new, old, batch) * batch.advantages * batch.weights).sum(-1)


def clipped_loss(
    new: ActionDistribution, old: ActionDistribution, batch: AdvantageBatch, clip: float
) -> Tensor:
    """-E[min(r A, clip(r, 1 - ε, 1 + ε) A)], r = π_new / π_old  (Schulman et al. 2017, eq. 7)."""
    ratios = ratio(new, old, batch)
    clipped = ratios.clamp(1 - clip, 1 + clip)
    gain = torch.minimum(ratios * batch.advantages, clipped * batch.advantages)
    return -(gain * batch.weights).sum(-1)


def mean_kl(new: ActionDistribution, old: ActionDistribution, batch: AdvantageBatch) -> Tensor:
    """E[KL(π_old || π_new)] over the visited states; ``old`` is a constant."""
    return (new.kl_from(old) * batch.weights).sum(-1)

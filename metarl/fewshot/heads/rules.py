"""The heads themselves: features of episodes and a config to class scores, all tasks at once.

Inductive ones first: nearest class means and ridge regression score every query by itself. The
others use the queries jointly.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from metarl.core import prototype_logits, prototypes, squared_distances
from metarl.fewshot.heads.configs import (
    BDCSPNConfig,
    HeadConfig,
    LaplacianShotConfig,
    PrototypesConfig,
    PTMAPConfig,
    RidgeConfig,
    SimpleShotConfig,
    TIMConfig,
)
from metarl.fewshot.heads.features import FeatureEpisodes
from metarl.fewshot.heads.ridge import ridge_weights, with_ones
from metarl.fewshot.heads.transport import balanced_assignments, power_transformed


def class_scores(head: HeadConfig, episodes: FeatureEpisodes) -> Tensor:
    """Class scores ``[M, Q, N]`` of the queries by a head.

    Raises:
        ValueError: it uses the queries jointly, and there is only one.

    >>> from metarl.fewshot.heads import head_of
    >>> support, queries = torch.eye(2)[None], torch.tensor([[[2.0, 1.0], [1.0, 3.0]]])
    >>> episodes = FeatureEpisodes(support, torch.tensor([[0, 1]]), queries, num_ways=2)
    >>> class_scores(head_of("tim", {"num_steps": 10}), episodes).argmax(-1)
    tensor([[0, 1]])
    """
    check_queries(head, episodes.queries.shape[1])
    rule: Any = _RULES[type(head)]
    scores: Tensor = rule(episodes, head)
    return scores


def check_queries(head: HeadConfig, num: int) -> None:
    """Raise a :class:`ValueError` unless the head can classify so many queries at once."""
    if head.transductive and num < 2:
        raise ValueError(f"{head.title} classifies queries jointly, at least 2 of them, got {num}")


def _nearest_prototype(episodes: FeatureEpisodes, head: HeadConfig) -> Tensor:
    means = prototypes(episodes.support, episodes.labels, episodes.num_ways)
    return prototype_logits(episodes.queries, means)


def _simpleshot(episodes: FeatureEpisodes, head: HeadConfig) -> Tensor:
    return _nearest_prototype(episodes.unit(), head)


def _ridge(episodes: FeatureEpisodes, head: RidgeConfig) -> Tensor:
    episodes = episodes.unit()
    weights = ridge_weights(episodes.support, episodes.onehot, head.regularisation)
    return head.scale * with_ones(episodes.queries) @ weights


def _bd_cspn(episodes: FeatureEpisodes, head: BDCSPNConfig) -> Tensor:
    """P'_n = Σ w_i x_i over support and confident queries, w_i ∝ exp(ε cos(x_i, P_n))."""
    support, labels, queries, num_ways, _ = episodes.unit()
    queries = queries + support.mean(1, keepdim=True) - queries.mean(1, keepdim=True)
    basic = prototypes(support, labels, num_ways)
    certain = _most_certain(head.scale * _cosines(queries, basic), head.num_confident)
    members = torch.cat([episodes.onehot, certain], 1)  # [M, S + Q, N]
    examples = torch.cat([support, queries], 1)
    weights = members * torch.exp(head.scale * (_cosines(examples, basic) - 1))
    rectified = (weights / weights.sum(1, keepdim=True)).mT @ examples
    return head.scale * _cosines(queries, rectified)


def _most_certain(scores: Tensor, num: int) -> Tensor:
    """1 where a query ``[M, Q, N]`` is among the ``num`` most certain of those of a class."""
    probabilities = torch.softmax(scores, -1)
    own = functional.one_hot(scores.argmax(-1), scores.shape[-1]).to(scores)
    best = (own * probabilities).topk(min(num, scores.shape[1]), dim=1).indices
    return own * torch.zeros_like(own).scatter_(1, best, 1.0)


def _cosines(x: Tensor, y: Tensor) -> Tensor:
    """Of every pair, ``[M, Q, D]`` and ``[M, N, D]`` to ``[M, Q, N]``."""
    return functional.normalize(x, dim=-1) @ functional.normalize(y, dim=-1).mT


def _laplacianshot(episodes: FeatureEpisodes, head: LaplacianShotConfig) -> Tensor:
    """y_q ∝ exp(-||x_q - m_c||² + λ Σ_p w_qp y_p), w_qp = 1 of the nearest p."""
    episodes = episodes.unit()
    near = _nearest_prototype(episodes, head)
    affinity = _neighbours(episodes.queries, head.num_neighbours)
    scores = near
    for _ in range(head.num_steps):
        scores = near + head.weight * affinity @ torch.softmax(scores, -1)
    return scores


def _neighbours(queries: Tensor, num: int) -> Tensor:
    """1 where column p is among the nearest others of row q, ``[M, Q, Q]``."""
    distances = squared_distances(queries, queries)
    distances.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    nearest = distances.topk(min(num, distances.shape[-1] - 1), largest=False).indices
    return torch.zeros_like(distances).scatter_(-1, nearest, 1.0)


def _tim(episodes: FeatureEpisodes, head: TIMConfig) -> Tensor:
    episodes = episodes.unit()
    weights = prototypes(episodes.support, episodes.labels, episodes.num_ways).requires_grad_()
    optimiser = torch.optim.Adam([weights], lr=head.lr)  # of each number, so tasks stay apart
    with torch.enable_grad():
        for _ in range(head.num_steps):
            loss = tim_losses(weights, episodes, head).sum()
            (weights.grad,) = torch.autograd.grad(loss, [weights])
            optimiser.step()
    return _tim_scores(weights.detach(), episodes.queries, head.temperature)


def tim_losses(weights: Tensor, episodes: FeatureEpisodes, head: TIMConfig) -> Tensor:
    """λ CE - H(Y) + α H(Y | X) of every task, ``[M]``  (Boudiaf et al. 2020).

    Args:
        weights: class vectors ``[M, N, D]``.
        episodes: with features of unit length.
        head: temperature and weights of the terms.
    """
    examples = torch.cat([episodes.support, episodes.queries], 1)
    logs = torch.log_softmax(_tim_scores(weights, examples, head.temperature), -1)
    support, queries = torch.tensor_split(logs, [episodes.support.shape[1]], 1)
    shares = queries.exp()
    marginal = shares.mean(1)
    losses: Tensor = (
        -head.support_weight * support.gather(2, episodes.labels[..., None]).mean((1, 2))
        + head.marginal_weight * torch.special.xlogy(marginal, marginal).sum(1)
        - head.conditional_weight * (shares * queries).sum((1, 2)) / queries.shape[1]
    )
    return losses


def _tim_scores(weights: Tensor, features: Tensor, temperature: float) -> Tensor:
    """τ (f w - ||w||² / 2): -τ/2 ||f - w||² but for what all classes have in common."""
    norms = weights.square().sum(-1)[:, None] / 2
    return temperature * (features @ weights.mT - norms)


def _pt_map(episodes: FeatureEpisodes, head: PTMAPConfig) -> Tensor:
    """Class means move to those of all examples by their assignments, again and again."""
    episodes = power_transformed(episodes, head.power)
    means = prototypes(episodes.support, episodes.labels, episodes.num_ways)
    examples = torch.cat([episodes.support, episodes.queries], 1)
    for step in range(head.num_steps + 1):
        distances = squared_distances(episodes.queries, means)
        assigned = balanced_assignments(head.regularisation * distances)
        if step < head.num_steps:
            members = torch.cat([episodes.onehot, assigned], 1)
            estimates = members.mT @ examples / members.sum(1)[..., None]
            means = means + head.step_size * (estimates - means)
    return assigned.clamp_min(1e-30).log()


_RULES = {
    PrototypesConfig: _nearest_prototype,
    SimpleShotConfig: _simpleshot,
    RidgeConfig: _ridge,
    BDCSPNConfig: _bd_cspn,
    LaplacianShotConfig: _laplacianshot,
    TIMConfig: _tim,
    PTMAPConfig: _pt_map,
}

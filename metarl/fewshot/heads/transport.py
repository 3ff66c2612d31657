"""What PT-MAP is made of: the power transform, and assignments to classes of equal size."""

import torch
from torch import Tensor
from torch.nn import functional

from metarl.fewshot.heads.features import FeatureEpisodes

EPSILON = 1e-6  # the authors'
TOLERANCE = 1e-5
MOST_ITERATIONS = 1000


def power_transformed(episodes: FeatureEpisodes, power: float) -> FeatureEpisodes:
    """Features to the power, at unit length; then support and queries less their own means, again.

    The authors' features are not negative; of others the sign stays. Their QR decomposition turns
    features without changing distances, and is left out.
    """
    support, queries = (
        _centred(functional.normalize(torch.copysign((x.abs() + EPSILON) ** power, x), dim=-1))
        for x in (episodes.support, episodes.queries)
    )
    return episodes._replace(support=support, queries=queries)


def _centred(x: Tensor) -> Tensor:
    return functional.normalize(x - x.mean(1, keepdim=True), dim=-1)


def balanced_assignments(costs: Tensor) -> Tensor:
    """Shares ``[M, Q, N]`` of the classes in every query that cost least, by entropy: Sinkhorn.

    Rows add up to 1, and columns to Q / N: every class has as many queries. One iteration scales
    columns, then rows, by logarithms, so that no cost is too high. They end where they change the
    columns of a task by less than 1e-5, which may then be off by some thousandths.

    Args:
        costs: λ d², ``[M, Q, N]``.

    >>> balanced_assignments(torch.tensor([[[0.0, 9.0], [1.0, 9.0]]])).sum(1).round(decimals=2)
    tensor([[1., 1.]])
    """
    share = costs.shape[1] / costs.shape[2]
    bias = torch.zeros_like(costs[:, :1])
    before = torch.zeros_like(bias)
    for _ in range(MOST_ITERATIONS):
        plan = torch.softmax(bias - costs, -1)
        sizes = plan.sum(1, keepdim=True) / share
        moving = (sizes - before).abs().amax(2, keepdim=True) > TOLERANCE  # whatever others do
        if not moving.any():
            break
        bias = torch.where(moving, bias - sizes.log(), bias)
        before = sizes
    return plan

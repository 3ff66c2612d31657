"""What trains an encoder of tasks: a ProtoNet whose classes are the tasks of a meta-batch.

Queries are classified by the nearest prototype (Snell et al. 2017).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from metarl.core.collectives import rows_of_all
from metarl.core.prototypes import prototype_loss
from metarl.embedding.encoders import TaskEncoder
from metarl.embedding.prototypes import Trajectories, prefix_prototypes


def embedding_logits(
    encoder: TaskEncoder,
    pair: Sequence[Trajectories],
    *,
    num_queries: int,
    generator: torch.Generator,
    part: range | None = None,
) -> Tensor:
    """Scores of every query among the tasks, from its distance to their prototypes.

    A query is what is known of a task after the first n transitions of its trajectory, n uniform:
    the situations that a policy meets. With the sums P of its n precisions

        logits = -Σ_d (q_d - c_d)² P_d / (1 + P_d)

    which is, but for what all c share, the log density of prototype c under a Gaussian of mean q
    and variance (1 + 1 / P) / 2: the squared distance where the query is sure, less where it is
    not. Without this, early queries would keep the embedding too coarse for late ones.

    Args:
        encoder: of the transitions.
        pair: two trajectories of every task; each is the support of the other's queries.
        num_queries: Q, of each trajectory.
        generator: draws the n.
        part: tasks whose trajectories this process encodes, where several have a part each; by
            default all. The prototypes are those of all processes.

    Returns:
        Logits ``[M, 2 Q, M]``: those of queries ``[m]`` belong to task m. Of a part, its rows.
    """
    num_tasks = len(pair[0].lengths)
    shared = part is not None and len(part) < num_tasks
    own = slice(part.start, part.stop) if part is not None else slice(None)
    pair = [Trajectories(*(values[own] for values in one)) for one in pair]
    encoded = [encoder.encode(one.transitions) for one in pair]
    logits = []
    for support, query in ((0, 1), (1, 0)):
        whole, lengths = pair[support].lengths[:, None], pair[query].lengths[:, None]
        drawn = torch.rand(num_tasks, num_queries, generator=generator)
        uniform = drawn[own].to(lengths.device)
        counts = (uniform * lengths).long() + 1
        centres = prefix_prototypes(encoded[support], whole).means[:, 0]
        if shared:
            centres = rows_of_all(centres, num_tasks)
        queries = prefix_prototypes(encoded[query], torch.minimum(counts, lengths))
        sureness = queries.precisions / (1.0 + queries.precisions)
        logits.append(-_weighted_distances(queries.means, centres, sureness))
    return torch.cat(logits, 1)


def embedding_loss(logits: Tensor, first: int = 0) -> tuple[Tensor, Tensor]:
    """Mean cross entropy and accuracy of :func:`embedding_logits` of tasks from ``first``."""
    num_tasks, num_queries, _ = logits.shape
    tasks = torch.arange(first, first + num_tasks, device=logits.device)
    labels = tasks[:, None].expand(-1, num_queries)
    accuracy = (logits.argmax(-1) == labels).float().mean()
    return prototype_loss(logits, labels).mean(), accuracy


def _weighted_distances(queries: Tensor, centres: Tensor, weights: Tensor) -> Tensor:
    """Σ_d w_qd (q_d - c_d)²; ``[M, Q, D]``, ``[N, D]`` and ``[M, Q, D]`` to ``[M, Q, N]``."""
    own = (weights * queries.square()).sum(-1, keepdim=True)
    mixed = 2.0 * (weights * queries) @ centres.T
    return own - mixed + weights @ centres.square().T

"""Prototype functions of Snell et al. 2017, batch-first over tasks.

``prototypes`` -> ``prototype_logits`` -> ``prototype_loss`` is a prototypical network's head;
``proto_maml_head`` is the linear layer that gives the same logits (Triantafillou et al. 2020).
"""

import torch
from torch import Tensor
from torch.nn import functional


def prototypes(embeddings: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Mean embedding of every class: p_c = mean of f(x) over the support of c  (Snell 2017, eq. 1).

    Args:
        embeddings: support embeddings ``[M, S, D]``.
        labels: their classes in ``[0, num_classes)``, ``[M, S]``, integers.
        num_classes: N. A class without a support example gets a NaN prototype.

    Returns:
        Prototypes ``[M, N, D]``.

    >>> prototypes(torch.tensor([[[0.0], [2.0], [5.0]]]), torch.tensor([[0, 0, 1]]), 2).squeeze()
    tensor([1., 5.])
    """
    if embeddings.ndim != 3 or labels.shape != embeddings.shape[:2]:
        raise ValueError(
            "prototypes need embeddings [M, S, D] and labels [M, S], "
            f"got {tuple(embeddings.shape)} and {tuple(labels.shape)}"
        )
    check_labels(labels)
    member = functional.one_hot(labels, num_classes).to(embeddings.dtype)  # [M, S, N]
    return member.mT @ embeddings / member.sum(1)[..., None]


def check_labels(labels: Tensor) -> None:
    """Raise a :class:`ValueError` unless they are ``torch.long``, as torch's own losses want it."""
    if labels.dtype != torch.long:
        raise ValueError(f"labels must be torch.long, got {labels.dtype}: use labels.long()")


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """||x_i - y_j||² of every pair, ``[M, Q, D]`` and ``[M, N, D]`` to ``[M, Q, N]``.

    >>> squared_distances(torch.tensor([[[0.0, 0.0]]]), torch.tensor([[[3.0, 4.0]]])).item()
    25.0
    """
    if x.ndim != 3 or y.ndim != 3 or x.shape[0] != y.shape[0] or x.shape[2] != y.shape[2]:
        raise ValueError(
            f"need x [M, Q, D] and y [M, N, D], got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    norms = x.square().sum(-1)[:, :, None] + y.square().sum(-1)[:, None, :]
    return torch.baddbmm(norms, x, y.mT, alpha=-2.0)


def prototype_logits(queries: Tensor, prototypes: Tensor) -> Tensor:
    """Class scores of every query: -||f(x) - p_c||², the **squared** distance  (Snell 2017, eq. 2).

    Args:
        queries: query embeddings ``[M, Q, D]``.
        prototypes: ``[M, N, D]``.

    Returns:
        Logits ``[M, Q, N]``.
    """
    return -squared_distances(queries, prototypes)


def prototype_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy of every task, ``[M, Q, N]`` and ``[M, Q]`` to ``[M]``."""
    if logits.ndim != 3 or labels.shape != logits.shape[:2]:
        raise ValueError(
            "need logits [M, Q, N] and labels [M, Q], "
            f"got {tuple(logits.shape)} and {tuple(labels.shape)}"
        )
    check_labels(labels)
    return functional.cross_entropy(logits.mT, labels, reduction="none").mean(-1)


def proto_maml_head(prototypes: Tensor) -> tuple[Tensor, Tensor]:
    """Linear layer equal to the prototype classifier: w_c = 2 p_c, b_c = -||p_c||².

    Snell 2017, section 2.4; the head that proto-MAML starts adapting from
    (Triantafillou et al. 2020, section 3.1). Gradients flow through the prototypes.

    Args:
        prototypes: ``[M, N, D]``.

    Returns:
        Weight ``[M, N, D]`` and bias ``[M, N]``.
    """
    return 2.0 * prototypes, -prototypes.square().sum(-1)

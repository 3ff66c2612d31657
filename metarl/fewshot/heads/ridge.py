"""Ridge regression in closed form, differentiable (Bertinetto et al. 2019, R2-D2)."""

import torch
from torch import Tensor


def with_ones(features: Tensor) -> Tensor:
    """Features ``[M, B, D]`` with a 1 behind each, whose weight is the bias: ``[M, B, D + 1]``."""
    return torch.cat([features, torch.ones_like(features[..., :1])], -1)


def ridge_weights(features: Tensor, targets: Tensor, regularisation: Tensor | float) -> Tensor:
    """W = argmin ||X W - Y||² + λ ||W||², the bias included in both.

    By Woodbury's identity, Xᵀ (X Xᵀ + λ I)⁻¹ Y, where examples are fewer than features; else the
    normal equations, (Xᵀ X + λ I)⁻¹ Xᵀ Y.

    Args:
        features: X but for its ones, ``[M, S, D]``.
        targets: Y, ``[M, S, N]``.
        regularisation: λ above 0. The authors' λ is for means over the support set: S times that
            is this one.

    Returns:
        Weights ``[M, D + 1, N]``, the last row the bias; NaN where numbers are not finite.

    >>> ridge_weights(torch.ones(1, 1, 1), torch.ones(1, 1, 1), 1.0).flatten().tolist()
    [0.3333333432674408, 0.3333333432674408]
    """
    if features.ndim != 3 or targets.ndim != 3 or features.shape[:2] != targets.shape[:2]:
        raise ValueError(
            "ridge regression needs features [M, S, D] and targets [M, S, N], "
            f"got {tuple(features.shape)} and {tuple(targets.shape)}"
        )
    x = with_ones(features)
    if x.shape[1] <= x.shape[2]:
        return x.mT @ _solved(x @ x.mT, targets, regularisation)
    return _solved(x.mT @ x, x.mT @ targets, regularisation)


def _solved(products: Tensor, targets: Tensor, regularisation: Tensor | float) -> Tensor:
    identity = torch.eye(products.shape[-1], dtype=products.dtype, device=products.device)
    # unchecked: what is not finite stays so, and is reported where all else is
    solution: Tensor = torch.linalg.solve_ex(products + regularisation * identity, targets).result
    return solution

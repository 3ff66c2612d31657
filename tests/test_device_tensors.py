"""What stands for a device in tests sees what a device would wait for."""

from collections.abc import Callable

import array_api_compat.torch as xp
import numpy as np
import pytest
import torch
from device_tensors import NoHostCopies

X = torch.ones(3)
MASK = X > 0


@pytest.mark.parametrize(
    "work",
    [
        lambda: X.sum().item(),
        lambda: bool(X.sum()),
        lambda: float(X.sum()),
        lambda: range(X.long().sum()),
        lambda: X.numpy(),
        lambda: np.asarray(X),
        lambda: np.sqrt(X),
        lambda: X.cpu(),
        lambda: X.to("cpu"),
        lambda: X.tolist(),
        lambda: torch.nonzero(X),
        lambda: X[MASK],
        lambda: X.__setitem__(MASK, 0.0),
        lambda: X[np.array([0])],
        lambda: torch.where(MASK, X, 0.0),
        lambda: xp.maximum(X, 0.5),
        lambda: torch.tensor(1.0),
        lambda: xp.asarray([1.0]),
    ],
)
def test_what_waits_or_copies_is_refused(work: Callable[[], object]) -> None:
    with NoHostCopies(), pytest.raises(AssertionError, match=r"Tensor\.\w+ in a rollout"):
        work()


def test_tensor_operations_are_not() -> None:
    with NoHostCopies():
        y = X.new_zeros(3)
        y[...] = xp.where(MASK, X, y).clip(0, 1)
        y[0] = 3.0
        y += X[torch.arange(3)].to(torch.float32)
    assert y.tolist() == [4.0, 2.0, 2.0]

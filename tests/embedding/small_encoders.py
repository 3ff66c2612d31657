"""Small encoders and transitions for them."""

import torch
from torch import Tensor

from metarl.embedding import RecurrentEncoder, TaskEncoder, TransitionEncoder

NUM_FEATURES, HIDDEN, SIZE = 5, 8, 3
KINDS = [TransitionEncoder, RecurrentEncoder]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_encoder(kind: type[TaskEncoder]) -> TaskEncoder:
    encoder = kind(NUM_FEATURES, HIDDEN, SIZE, seeded(0))
    encoder.observe(2.0 + 3.0 * torch.randn(500, NUM_FEATURES, generator=seeded(1)))
    return encoder


def trajectories(num: int, horizon: int, seed: int = 2) -> Tensor:
    return torch.randn(num, horizon, NUM_FEATURES, generator=seeded(seed))

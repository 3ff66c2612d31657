"""Small encoders, transitions and trials for them."""

import numpy as np
import torch
from torch import Tensor

from metarl.embedding import (
    EncoderConfig,
    RecurrentEncoder,
    TaskEncoder,
    TransitionEncoder,
    Trials,
)

NUM_FEATURES, HIDDEN, SIZE = 5, 8, 3
KINDS = [TransitionEncoder, RecurrentEncoder]
CONFIG = EncoderConfig(
    encoder_lr=0.01,
    encoder_half_life=20,
    encoder_average=0.75,
    encoder_warmup=3,
    encoder_steps=2,
    num_ways=4,
    num_similar=2,
    num_support=5,
    num_queries=2,
)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_encoder(kind: type[TaskEncoder]) -> TaskEncoder:
    encoder = kind(NUM_FEATURES, HIDDEN, SIZE, seeded(0))
    encoder.observe(2.0 + 3.0 * torch.randn(500, NUM_FEATURES, generator=seeded(1)))
    return encoder


def trajectories(num: int, horizon: int, seed: int = 2) -> Tensor:
    return torch.randn(num, horizon, NUM_FEATURES, generator=seeded(seed))


def make_trials(num: int = 12, *, num_tasks: int = 6) -> Trials:
    """Two trajectories of 7 transitions each, whose last number is the task."""
    rng = np.random.default_rng(0)
    tasks = (np.arange(num) % num_tasks).astype(np.float32)[:, None]
    transitions = rng.normal(size=(num, 2, 7, NUM_FEATURES)).astype(np.float32)
    transitions[..., -1] = tasks[..., None]
    told = np.zeros((num, 2, 1), np.float32)
    return Trials(np.zeros((num, 2)), np.full((num, 2), 7), transitions, tasks, told)

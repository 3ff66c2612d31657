"""A recurrent policy's pass over trials, without a loop in Python over their steps."""

from typing import Any

import torch
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from torch import Tensor, nn

States = tuple[Tensor, Tensor]
"""Hidden and cell states, ``[layers, sequences, size]`` each."""


def process_sequence(
    features: Tensor, lstm_states: States, episode_starts: Tensor, lstm: nn.LSTM
) -> tuple[Tensor, States]:
    """sb3-contrib's ``_process_sequence``: it loops over all steps where any is a first one.

    Its buffer cuts sequences where trials start, so first steps are first in them, and forgetting
    the states that are given is all there is to do. Where a start is further on, its loop does it.

    Args:
        features: ``[sequences · steps, F]``, the steps of a sequence next to one another.
        lstm_states: before the first steps.
        episode_starts: ``[sequences · steps]``, 1 at the first step of a trial, else 0.
        lstm: of the policy or of its value function.

    Returns:
        Outputs ``[sequences · steps, size]``, and the states after the last steps.
    """
    num_sequences = lstm_states[0].shape[1]
    starts = episode_starts.reshape(num_sequences, -1)
    if (starts[:, 1:] != 0).any():
        process: Any = RecurrentActorCriticPolicy._process_sequence  # whose type it says wrongly
        looped: tuple[Tensor, States] = process(features, lstm_states, episode_starts, lstm)
        return looped
    kept = (1 - starts[:, 0]).view(1, num_sequences, 1)
    steps = features.reshape(num_sequences, -1, lstm.input_size).swapaxes(0, 1)
    outputs, states = lstm(steps, (kept * lstm_states[0], kept * lstm_states[1]))
    return torch.flatten(outputs.transpose(0, 1), end_dim=1), states

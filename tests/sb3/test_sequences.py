"""The pass over whole trials is sb3-contrib's loop over their steps, states and gradients too."""

from typing import Any

import pytest
import torch
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from test_learners import iterate, make_learner
from torch import Tensor, nn

from metarl.sb3.sequences import process_sequence

NUM, STEPS, INPUTS, SIZE = 3, 5, 4, 6


def results(process: object, starts: Tensor, lstm: nn.LSTM) -> list[Tensor]:
    """Outputs, states, and the gradients of a sum of them that weighs every number differently."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(NUM * STEPS, INPUTS, generator=generator)
    given = tuple(torch.randn(1, NUM, SIZE, generator=generator) for _ in range(2))
    assert callable(process)
    outputs, states = process(features, given, starts.flatten(), lstm)
    weights = torch.arange(outputs.numel()).view_as(outputs).sin()
    gradients = torch.autograd.grad((weights * outputs).sum(), list(lstm.parameters()))
    return [outputs, *states, *gradients]


@pytest.mark.parametrize("first_steps", [[(0, 0), (1, 0), (2, 0)], [(1, 0)], [], [(0, 0), (1, 2)]])
def test_it_is_the_loop(first_steps: list[tuple[int, int]]) -> None:
    """Where all, one or no sequence starts with a first step, and where one is further on."""
    torch.manual_seed(0)
    lstm, starts = nn.LSTM(INPUTS, SIZE), torch.zeros(NUM, STEPS)
    for sequence, step in first_steps:
        starts[sequence, step] = 1
    theirs = results(RecurrentActorCriticPolicy._process_sequence, starts, lstm)
    for ours, expected in zip(results(process_sequence, starts, lstm), theirs, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)


def test_training_needs_no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials of two trajectories: their second one is no start."""
    loops: list[tuple[Any, ...]] = []
    theirs = RecurrentActorCriticPolicy._process_sequence

    def looped(*arguments: Any) -> Any:
        loops.append(arguments)
        return theirs(*arguments)

    monkeypatch.setattr(RecurrentActorCriticPolicy, "_process_sequence", staticmethod(looped))
    learner = make_learner("rl2")
    iterate(learner)
    assert learner.model.num_timesteps > 0
    assert not loops

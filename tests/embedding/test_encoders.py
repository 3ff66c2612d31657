"""Encoders of transitions: their inputs and precisions."""

import pytest
import torch
from small_encoders import HIDDEN, KINDS, NUM_FEATURES, SIZE, make_encoder, seeded, trajectories

from metarl.embedding import TaskEncoder, TransitionEncoder


def test_inputs_are_normalised_by_all_that_was_shown() -> None:
    encoder = TransitionEncoder(NUM_FEATURES, HIDDEN, SIZE, seeded(0))
    shown = 5.0 + 2.0 * torch.randn(400, NUM_FEATURES, generator=seeded(1))
    for part in shown.split(100):
        encoder.observe(part)
    encoder.train()
    normal = encoder.inputs(shown)
    torch.testing.assert_close(normal.mean(0), torch.zeros(NUM_FEATURES), atol=1e-3, rtol=0.0)
    torch.testing.assert_close(normal.std(0), torch.ones(NUM_FEATURES), atol=0.05, rtol=0.0)
    torch.testing.assert_close(encoder.inputs(shown), normal)  # using them changes nothing


@pytest.mark.parametrize("kind", KINDS)
def test_precisions_differ_between_transitions_and_numbers(kind: type[TaskEncoder]) -> None:
    """And they stay within their bounds."""
    encoder = make_encoder(kind)
    precisions = encoder.encode(trajectories(3, 40)).precisions
    assert precisions.shape == (3, 40, SIZE)
    assert precisions.std((0, 1)).min() > 0.01
    assert precisions.std(2).min() > 1e-3
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.mul_(1e4)
        extreme = encoder.encode(trajectories(3, 40)).precisions
    assert extreme.log().abs().max().item() == pytest.approx(8.0)

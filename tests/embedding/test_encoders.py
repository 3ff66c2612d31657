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


def test_images_before_and_after_a_transition_go_through_the_same_convolutions() -> None:
    """9 pixels, 2 numbers of an action, a reward, 9 pixels, whether it ended."""
    generator = torch.Generator().manual_seed(0)
    encoder = TransitionEncoder(22, 4, 2, generator, image_shape=(3, 3, 1))
    transitions = torch.randn(2, 5, 22, generator=generator)
    seen = encoder._seen(transitions)
    before, after = (transitions[..., at : at + 9].flatten(0, 1) for at in (0, 12))
    features = [torch.relu(encoder.images(part)).reshape(2, 5, 4) for part in (before, after)]
    expected = [*features, transitions[..., 9:12], transitions[..., -1:]]
    torch.testing.assert_close(seen, torch.cat(expected, -1))
    assert encoder.encode(transitions).embeddings.shape == (2, 5, 2)
    one, _ = encoder.advance(transitions[:, 0], torch.zeros(2, 0))
    torch.testing.assert_close(one.embeddings, encoder.encode(transitions).embeddings[:, 0])

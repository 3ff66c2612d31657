"""The encoder's loss: queries find their task, padding does not matter."""

import math

import pytest
import torch
from small_encoders import KINDS, NUM_FEATURES, SIZE, make_encoder, seeded, trajectories
from torch import Tensor

from metarl.embedding import (
    OnlinePrototypes,
    TaskEncoder,
    Trajectories,
    TransitionEncoder,
    embedding_logits,
    embedding_loss,
    whole_prototypes,
)
from metarl.embedding.trial_data import ordered_times


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_distances_of_prefixes_where_they_are_sure(kind: type[TaskEncoder]) -> None:
    """One-step queries on one side, so that every prefix is the first transition alone."""
    encoder = make_encoder(kind)
    support = Trajectories(trajectories(3, 4), torch.tensor([4, 2, 3]))
    query = Trajectories(trajectories(3, 1, seed=5), torch.ones(3, dtype=torch.long))
    logits = embedding_logits(encoder, (support, query), num_queries=2, generator=seeded(0))
    assert logits.shape == (3, 4, 3)

    def mean(transitions: Tensor) -> Tensor:
        embeddings, precisions = encoder.encode(transitions)
        return (precisions * embeddings).sum(1) / precisions.sum(1)

    rows = zip(*support, strict=True)
    centres = torch.cat([mean(row[None, :length]) for row, length in rows])
    asked, (precisions,) = mean(query.transitions), encoder.encode(query.transitions)[1:]
    sureness = precisions / (1 + precisions)
    expected = -(sureness * (asked[:, None] - centres).square()).sum(-1)
    torch.testing.assert_close(
        logits[:, :2], expected[:, None].expand(-1, 2, -1), atol=1e-5, rtol=1e-4
    )
    other_way = embedding_logits(encoder, (query, support), num_queries=2, generator=seeded(0))
    torch.testing.assert_close(
        other_way[:, 2:], expected[:, None].expand(-1, 2, -1), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing(kind: type[TaskEncoder]) -> None:
    encoder = make_encoder(kind)
    lengths = torch.tensor([2, 3, 1])
    clean = trajectories(3, 4)
    soiled = torch.where(torch.arange(4)[:, None] < lengths[:, None, None], clean, 1e6)

    def logits(transitions: Tensor) -> Tensor:
        one = Trajectories(transitions, lengths)
        return embedding_logits(encoder, (one, one), num_queries=3, generator=seeded(0))

    torch.testing.assert_close(logits(soiled), logits(clean))
    wholes = [whole_prototypes(encoder, Trajectories(x, lengths)) for x in (soiled, clean)]
    torch.testing.assert_close(*wholes)


def test_loss_and_accuracy_of_known_logits() -> None:
    """Task 0 is sure of itself, task 1 is undecided: (0 + log 2) / 2."""
    logits = torch.tensor([[[100.0, 0.0]], [[5.0, 5.0]]])
    loss, accuracy = embedding_loss(logits)
    assert loss.item() == pytest.approx(math.log(2) / 2)
    assert accuracy.item() == 0.5  # argmax takes the first of equals
    swapped, _ = embedding_loss(logits.flip(-1))
    assert swapped.item() == pytest.approx((100 + math.log(2)) / 2)


def test_training_tells_tasks_apart_that_one_transition_does_not() -> None:
    """The task is a slope: rewards are slope · s + noise, and s alone says nothing."""
    generator = seeded(0)
    encoder = TransitionEncoder(NUM_FEATURES, 32, SIZE, generator)
    adam = torch.optim.Adam(encoder.parameters(), 3e-3)

    def drawn(slopes: Tensor) -> Trajectories:
        x = torch.randn(len(slopes), 20, NUM_FEATURES, generator=generator)
        noise = 0.1 * torch.randn(len(slopes), 20, generator=generator)
        x[..., -1] = slopes[:, None] * x[..., 0] + noise
        return Trajectories(x, torch.full((len(slopes),), 20))

    encoder.observe(drawn(torch.linspace(-2, 2, 50)).transitions.flatten(0, 1))
    accuracies = []
    for _ in range(120):
        slopes = 4.0 * torch.rand(10, generator=generator) - 2.0
        pair = drawn(slopes), drawn(slopes)
        logits = embedding_logits(encoder, pair, num_queries=4, generator=generator)
        loss, accuracy = embedding_loss(logits)
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        accuracies.append(accuracy.item())
    early, late = sum(accuracies[:10]) / 10, sum(accuracies[-10:]) / 10
    assert early < 0.25
    assert late > 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_everything_stays_on_its_device(kind: type[TaskEncoder]) -> None:
    encoder = make_encoder(kind).to("meta")
    one = Trajectories(trajectories(3, 4).to("meta"), torch.tensor([4, 2, 3], device="meta"))
    times = ordered_times(one.lengths, 2, seeded(0))
    logits = embedding_logits(encoder, (one, one), num_queries=2, generator=seeded(0))
    loss, accuracy = embedding_loss(logits)
    online = OnlinePrototypes(encoder, 3)
    online.add(one.transitions[:, 0], torch.zeros(3, dtype=torch.bool, device="meta"))
    for tensor in (times, logits, loss, accuracy, online.features()):
        assert tensor.device.type == "meta"

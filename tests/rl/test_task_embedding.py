"""Task embeddings: online equals batch, queries find their task, padding does not matter."""

import math

import pytest
import torch
from torch import Tensor

from metarl.rl.task_embedding import (
    OnlinePrototypes,
    Trajectories,
    embedding_logits,
    embedding_loss,
    ordered_times,
    whole_prototypes,
)
from metarl.rl.task_encoders import RecurrentEncoder, TaskEncoder, TransitionEncoder

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


def fed(online: OnlinePrototypes, steps: Tensor, *, ending: bool = False) -> None:
    """The transitions ``[N, T, F]`` one after the other; the last may end the trajectories."""
    for t in range(steps.shape[1]):
        ended = torch.full((len(steps),), ending and t == steps.shape[1] - 1)
        online.add(steps[:, t], ended)


@pytest.mark.parametrize("kind", KINDS)
def test_online_prototypes_are_those_of_the_whole_support(kind: type[TaskEncoder]) -> None:
    """Two trajectories one transition at a time, beside the weighted mean over both at once."""
    encoder = make_encoder(kind)
    first, second = trajectories(4, 6), trajectories(4, 3, seed=3)
    online = OnlinePrototypes(encoder, 4, uncertainty=False)
    fed(online, first, ending=True)
    fed(online, second)
    with torch.no_grad():
        parts = [encoder.encode(first), encoder.encode(second)]
        embeddings, precisions = (torch.cat(part, 1) for part in zip(*parts, strict=True))
        expected = (precisions * embeddings).sum(1) / precisions.sum(1)
    torch.testing.assert_close(online.features(), expected, atol=1e-6, rtol=1e-5)
    assert expected.std(0).max() > 1e-3  # and they differ between tasks


def test_a_trajectory_can_count_only_once_it_has_ended() -> None:
    encoder = make_encoder(TransitionEncoder)
    online = OnlinePrototypes(encoder, 2, within_trajectory=False)
    nothing = online.features()
    steps = trajectories(2, 4)
    fed(online, steps)
    torch.testing.assert_close(online.features(), nothing)
    online.add(steps[:, 0], torch.tensor([True, False]))
    at_once = OnlinePrototypes(encoder, 2)
    fed(at_once, torch.cat([steps, steps[:, :1]], 1))
    torch.testing.assert_close(online.features()[0], at_once.features()[0])
    torch.testing.assert_close(online.features()[1], nothing[1])


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_rows_that_begin_anew_are_forgotten(kind: type[TaskEncoder]) -> None:
    online = OnlinePrototypes(make_encoder(kind), 3)
    fresh = online.features()
    fed(online, trajectories(3, 5))
    kept = online.features()
    online.forget(torch.tensor([False, True, False]))
    torch.testing.assert_close(online.features()[1], fresh[1])
    torch.testing.assert_close(online.features()[[0, 2]], kept[[0, 2]])
    online.add(trajectories(3, 1)[:, 0], torch.zeros(3, dtype=torch.bool))
    again = OnlinePrototypes(online.encoder, 3)
    fed(again, trajectories(3, 1))
    torch.testing.assert_close(online.features()[1], again.features()[1])  # the GRU's state, too


def test_uncertainty_is_the_log_count_and_the_spread() -> None:
    """The same transition over and over has no spread; 9 of 99 make log 10 / log 100 = 1/2."""
    online = OnlinePrototypes(make_encoder(TransitionEncoder), 1, capacity=99)
    assert online.num_features == SIZE + 2
    assert online.features()[0, SIZE:].tolist() == pytest.approx([0.0, 0.0], abs=2e-4)
    fed(online, trajectories(1, 1).expand(-1, 9, -1))
    count, spread = online.features()[0, SIZE:].tolist()
    assert count == pytest.approx(math.log(10) / math.log(100))
    assert spread == pytest.approx(0.0, abs=1e-3)
    online.add(trajectories(1, 1, seed=9)[:, 0], torch.tensor([False]))
    assert online.features()[0, -1] > 0.02


def test_noise_is_on_the_prototypes_alone_and_does_not_stay() -> None:
    steps = trajectories(500, 3)
    quiet, noisy = (OnlinePrototypes(make_encoder(TransitionEncoder), 500, noise=n) for n in (0, 2))
    for online in (quiet, noisy):
        fed(online, steps)
    torch.manual_seed(0)
    first, second = (noisy.features() - quiet.features() for _ in range(2))
    assert first[:, :SIZE].std().item() == pytest.approx(2.0, rel=0.1)
    assert not torch.equal(first, second)
    assert (first[:, SIZE:] == 0).all()


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


def test_ordered_times_are_those_of_the_trajectory() -> None:
    times = ordered_times(torch.tensor([3, 6]), 50, seeded(0))
    assert times.shape == (2, 50)
    assert (times.diff(dim=1) >= 0).all()
    assert times[0].unique().tolist() == [0, 1, 2]
    assert times[1].unique().tolist() == [0, 1, 2, 3, 4, 5]


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

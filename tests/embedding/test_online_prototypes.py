"""Prototypes: online equals batch, what is forgotten, what is shown of them."""

import math

import pytest
import torch
from small_encoders import KINDS, SIZE, make_encoder, trajectories
from torch import Tensor

from metarl.embedding import OnlinePrototypes, TaskEncoder, TransitionEncoder


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

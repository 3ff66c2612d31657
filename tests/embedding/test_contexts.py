"""What a policy sees beside the observation."""

import numpy as np
import pytest

from metarl.embedding import SupportSample, Transitions


def test_the_sample_is_uniform_over_the_trial() -> None:
    """Of 6 transitions each is kept with probability 1/2 in a sample of 3."""
    num = 4000
    sample = SupportSample(num, 3, 1 + 1 + 1 + 1 + 1, seed=0)
    column = np.ones((num, 1), np.float32)
    for t in range(6):
        no = np.zeros(num, bool)
        sample.add(Transitions(t * column, column, column[:, 0], column, no, no))
    kept = sample.features()[:, :-1].reshape(num, 3, 5)[..., 0]
    shares = [(kept == t).any(1).mean() for t in range(6)]
    assert shares == pytest.approx([0.5] * 6, abs=0.04)
    assert (sample.features()[:, -1] == 6).all()
    sample.begin(np.arange(num) == 1)
    assert not sample.features()[1].any()
    assert sample.features()[0].any()


def test_features_of_a_transition() -> None:
    one = np.ones((1, 1), np.float32)
    step = Transitions(one, 2 * one, np.array([3.0]), 4 * one, np.array([True]), np.array([False]))
    assert step.features.tolist() == [[1.0, 2.0, 3.0, 4.0, 1.0]]

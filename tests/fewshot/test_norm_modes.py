"""Whether predictions depend on the other queries: inductive ones do not, transductive ones do."""

import pytest
import torch
from small_learners import CONV4, MLP, draw, make_small, predicted
from torch import Tensor

from metarl.fewshot import Episodes
from metarl.fewshot.configs import BackboneConfig
from metarl.fewshot.episodic_learner import FewShotLearner
from metarl.fewshot.presets import PRESETS

NAMES = sorted(PRESETS)
pytestmark = pytest.mark.parametrize("name", NAMES)


def make_trained(name: str, norm: str, backbone: BackboneConfig = CONV4) -> FewShotLearner:
    """After an update, so that running statistics are not those of the start."""
    learner = make_small(name, backbone, norm=norm)
    learner.update(learner.collect())
    return learner


def in_two(learner: FewShotLearner, episodes: Episodes, first: int) -> Tensor:
    """Predictions for the first queries, then for the others."""
    parts = episodes.query_x[:, :first], episodes.query_x[:, first:]
    return torch.cat([predicted(learner, episodes._replace(query_x=part)) for part in parts], 1)


def without_the_last(learner: FewShotLearner, episodes: Episodes) -> Tensor:
    """Predictions for all queries but the last, which is a black image."""
    query_x = episodes.query_x.clone()
    query_x[:, -1] = 0
    return predicted(learner, episodes._replace(query_x=query_x))[:, :-1]


def test_inductive_predictions_are_each_querys_own(name: str) -> None:
    learner, episodes = make_trained(name, "inductive"), draw()
    whole = predicted(learner, episodes)
    torch.testing.assert_close(in_two(learner, episodes, 5), whole, rtol=0, atol=1e-4)
    torch.testing.assert_close(
        without_the_last(learner, episodes), whole[:, :-1], rtol=0, atol=1e-4
    )


def test_transductive_predictions_depend_on_the_other_queries(name: str) -> None:
    learner, episodes = make_trained(name, "transductive"), draw()
    whole = predicted(learner, episodes)
    assert (in_two(learner, episodes, 5) - whole).abs().max() > 1e-3
    assert (without_the_last(learner, episodes) - whole[:, :-1]).abs().max() > 1e-3


def test_the_norm_is_nothing_to_an_mlp(name: str) -> None:
    episodes = draw()
    predictions = [
        predicted(make_trained(name, norm, MLP), episodes) for norm in ("inductive", "transductive")
    ]
    torch.testing.assert_close(*predictions, rtol=0, atol=1e-5)

"""Heads on the features of trained learners."""

import pytest
import torch
from small_learners import CONV4, SHAPE, draw, make_small, make_source, predicted
from torch.testing import assert_close

from metarl.core import expand, parameters_of
from metarl.fewshot.configs import NormMode
from metarl.fewshot.episodic_learner import FewShotLearner
from metarl.fewshot.heads.configs import PrototypesConfig, SimpleShotConfig, head_of
from metarl.fewshot.heads.learner import HeadLearner, with_head
from metarl.fewshot.presets import PRESETS

NORMS: tuple[NormMode, ...] = ("inductive", "transductive")


def make_trained(name: str, norm: str = "inductive") -> FewShotLearner:
    """Running statistics are those of an update."""
    learner = make_small(name, norm=norm)
    learner.update(learner.collect())
    return learner


@pytest.mark.parametrize("norm", NORMS)
def test_prototypes_on_protonet_are_protonet(norm: str) -> None:
    trained, episodes = make_trained("protonet", norm), draw()
    head = HeadLearner(trained, PrototypesConfig())
    assert head.norm == norm
    assert_close(predicted(head, episodes), predicted(trained, episodes))


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_learner_gives_features(name: str) -> None:
    """The norm decides whether another query matters; a task by itself is what it is in a batch."""
    episodes = draw()
    for norm in NORMS:
        head = HeadLearner(make_trained(name, norm), head_of("ridge", {}))
        whole = predicted(head, episodes)
        one = episodes._replace(query_x=episodes.query_x[:, :1])
        alone = predicted(head, one)
        assert bool((alone - whole[:, :1]).abs().max() > 1e-3) is (norm == "transductive")
        task = predicted(head, next(iter(episodes.chunks(1))))
        assert_close(task[0], whole[0], rtol=0, atol=1e-5)


def test_features_of_gradient_learners_are_those_before_adaptation() -> None:
    trained, episodes = make_trained("maml", "transductive"), draw()
    support, query = trained.features(episodes.support_x, episodes.query_x)  # type: ignore[attr-defined]
    params = expand(parameters_of(trained.network), 3)
    for ours, x in ((support, episodes.support_x), (query, episodes.query_x)):
        assert_close(ours, trained.network.features(params, x))  # type: ignore[operator]


def test_the_centre_is_the_mean_feature_of_all_train_examples() -> None:
    trained, source = make_trained("protonet"), make_source(20, 12)
    head = with_head(trained, SimpleShotConfig(), [source], norms=NORMS)
    assert head.centres.keys() == set(NORMS)
    trained.network.eval()
    with torch.no_grad():
        expected = trained.network(source.examples.float() / 255).mean(0)
    assert_close(head.centres["inductive"], expected)
    two = with_head(trained, SimpleShotConfig(), [source, source])
    assert_close(two.centres["inductive"], expected)
    assert not with_head(trained, PrototypesConfig(), [source]).centres


def test_another_norm_brings_its_own_centre() -> None:
    source, episodes = make_source(), draw()
    both = with_head(make_trained("protonet"), SimpleShotConfig(), [source], norms=NORMS)
    for norm in NORMS:
        own = with_head(make_trained("protonet", norm), SimpleShotConfig(), [source])
        assert_close(predicted(both.with_norm(norm), episodes), predicted(own, episodes))


def test_pixels_are_no_features() -> None:
    pixels = make_small("knn", CONV4, features="pixels")
    assert pixels.network.num_features == SHAPE[1] * SHAPE[2]
    with pytest.raises(ValueError, match="knn of pixels has no backbone"):
        HeadLearner(pixels, PrototypesConfig())

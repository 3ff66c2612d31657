"""What few-shot training draws is the same in chunks of any size and in a resumed run."""

from typing import Any

import pytest
import torch
from small_learners import MLP, draw, make_small
from torch import Tensor

from metarl.core import Streams
from metarl.fewshot import Episodes
from metarl.fewshot.episodes import EpisodeStream
from metarl.fewshot.episodic_learner import FewShotLearner
from metarl.fewshot.reptile_classifier import ReptileClassifier
from metarl.fewshot.scoring import DRAWN_AT_ONCE, curve

KINDS: list[tuple[str, dict[str, Any]]] = [
    ("maml", {"augmentation": "affine"}),
    ("protonet", {"augmentation": "flip-crop"}),
    ("reptile", {"augmentation": "affine", "inner_batch_size": 3}),
    ("baseline", {"augmentation": "affine", "meta_batch_size": 3, "batch_size": 8}),
]
EVERY = pytest.mark.parametrize(("name", "numbers"), KINDS)


def make(name: str, numbers: dict[str, Any], task_chunk: int = 0) -> FewShotLearner:
    return make_small(name, MLP, **({"meta_batch_size": 4} | numbers), task_chunk=task_chunk)


def drawn(
    learner: FewShotLearner, monkeypatch: pytest.MonkeyPatch, *, apart: bool = False
) -> dict[str, Tensor]:
    """Images after augmentation, and mini-batches, that an update of the learner works on.

    Args:
        learner: is updated.
        monkeypatch: for the time of the update.
        apart: whether every episode comes in a batch of its own, as those of variable shape do.
    """
    images: list[Tensor] = []
    batches: list[Tensor] = []
    losses, mini_batches = learner.losses, getattr(learner, "_mini_batches", None)

    def recording(episodes: Episodes) -> tuple[Tensor, Tensor]:
        images.append(torch.cat([episodes.support_x, episodes.query_x], 1))
        return losses(episodes)

    def drawing(episodes: Episodes) -> list[tuple[Tensor, Tensor]]:
        assert mini_batches is not None
        found = list(mini_batches(episodes))
        batches.append(torch.stack([x for x, _ in found], 1))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(learner, "losses", recording)
        if isinstance(learner, ReptileClassifier):
            patch.setattr(learner, "_mini_batches", drawing)
        collected = learner.collect()
        if apart:
            collected = [one._replace(first=0) for batch in collected for one in batch.chunks(1)]
        learner.update(collected)
    return {"images": torch.cat(images)} | ({"batches": torch.cat(batches)} if batches else {})


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        # an image changed alone and in a batch may differ in its last digits
        torch.testing.assert_close(value, other[name], rtol=1e-5, atol=1e-5)


@EVERY
def test_chunks_change_no_draw(
    name: str, numbers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, *parts = (make(name, numbers, task_chunk) for task_chunk in (0, 1, 3))
    for _ in range(2):
        expected = drawn(whole, monkeypatch)
        for each in parts:
            assert_same(drawn(each, monkeypatch), expected)


@EVERY
def test_batches_change_no_draw(
    name: str, numbers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = make(name, numbers), make(name, numbers)
    assert_same(drawn(parts, monkeypatch, apart=True), drawn(whole, monkeypatch))


@EVERY
def test_a_resumed_run_draws_what_the_whole_one_does(
    name: str, numbers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, resumed = make(name, numbers), make(name, numbers)
    before = drawn(whole, monkeypatch)
    resumed.load_state_dict(whole.state_dict())
    whole.evaluate()
    after = drawn(whole, monkeypatch)
    assert_same(drawn(resumed, monkeypatch), after)
    assert not torch.equal(before["images"], after["images"])


def test_every_episode_is_augmented_in_its_own_way() -> None:
    learner = make("maml", {"augmentation": "affine"})
    episodes = draw(1)._replace(num_ways=3)
    same = Episodes(*(value.expand(4, *value.shape[1:]) for value in episodes[:4]), num_ways=3)
    changed = learner.augmented(same).support_x
    assert len({tuple(image.flatten().tolist()) for image in changed}) == 4


def test_blocks_of_an_evaluation_do_not_depend_on_what_came_before() -> None:
    """Block 1 alone is episodes 32 to 35 of an evaluation of 36."""
    learner = make("protonet", {})
    sampler, streams = learner.samplers.validation, Streams(4, "test")
    num = DRAWN_AT_ONCE + 4
    whole = learner.evaluate_on(EpisodeStream(sampler, num, streams), 0)
    (block,) = sampler.sample(4, streams.torch("episodes", 1))
    last = curve(learner, learner.prepared(block), 0)
    torch.testing.assert_close(whole[:, DRAWN_AT_ONCE:], last)


def test_training_validation_and_test_draw_other_episodes() -> None:
    sampler = make("protonet", {}).samplers.train
    seen = [
        sampler.sample(2, Streams(0, purpose).at(*index).torch("episodes"))[0].support_x
        for purpose, index in (("training", (0,)), ("validation", (0,)), ("test", (0,)))  # type: ignore[assignment]
    ]
    assert not any(torch.equal(seen[i], seen[j]) for i, j in ((0, 1), (0, 2), (1, 2)))

"""Backbones of a user's own: what is frozen in them, and what torch cannot differentiate."""

import pytest
import torch
from small_learners import draw, make_small
from torch import Tensor, nn

from metarl.core import NoSecondDerivativeError
from metarl.fewshot.configs import BackboneConfig
from metarl.fewshot.episodes import Support
from metarl.fewshot.from_config import OWN_BACKBONE

OWN = BackboneConfig(backbone=OWN_BACKBONE)


class Features(nn.Module):
    """Two layers; the first may be frozen, the second may be distances, which ``cdist`` gives."""

    def __init__(self, *, distances: bool = False) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(256, 8), nn.Linear(8, 6)
        self.distances = distances

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.first(x.flatten(1)))
        if self.distances:
            return torch.cdist(hidden, self.second.weight)
        features: Tensor = self.second(hidden)
        return features


@pytest.mark.parametrize(
    "name", ["maml", "maml++", "meta-sgd", "reptile", "proto-maml", "protonet"]
)
def test_what_is_frozen_neither_adapts_nor_is_meta_trained(name: str) -> None:
    module = Features()
    module.first.requires_grad_(False)
    learner = make_small(name, OWN, own=module)
    before = {name: value.clone() for name, value in learner.network.named_parameters()}
    assert learner.update([draw()])["meta/skipped"] == 0
    frozen = {name for name, value in before.items() if not value.requires_grad}
    for name, value in learner.network.named_parameters():
        if name in frozen or "second" in name:
            assert torch.equal(value, before[name]) is (name in frozen)
    episodes = draw()
    adapted = learner.fit(episodes.support_x, episodes.support_y, 3, 2)[-1]
    for name in frozen & set(adapted):
        assert torch.equal(adapted[name], before[name].expand(3, *before[name].shape))


def test_a_backbone_without_second_derivatives_is_named() -> None:
    learner = make_small("maml", OWN, own=Features(distances=True))
    with pytest.raises(NoSecondDerivativeError, match=r"no second derivative .* fomaml"):
        learner.update([draw()])
    assert make_small("fomaml", OWN, own=Features(distances=True)).update([draw()])


@pytest.mark.parametrize("name", ["maml", "protonet"])
@pytest.mark.parametrize("steps", [-1, 1.5])
def test_steps_of_adaptation_are_a_number_of_them(name: str, steps: int) -> None:
    episodes = draw()
    source = Support(episodes.support_x, episodes.support_y, 3)
    with pytest.raises(ValueError, match=r"num_inner_steps must be (at least 0|a whole number)"):
        make_small(name).adapt(source, steps)

"""The gradient that a CUDA graph can repeat is that of the usual way."""

import pytest
import torch
from small_learners import make_small
from torch import Tensor

from metarl.fewshot.episodic_learner import FewShotLearner

REPEATING = ("maml", "fomaml", "anil", "proto-maml", "protonet", "matching")


def gradients(learner: FewShotLearner, how: str) -> dict[str, Tensor]:
    learner.network.train()
    for _ in range(2):  # the second adds to the first
        for episodes in learner.collect():
            getattr(learner.descent, how)(learner.prepared(episodes), 3)
    named = learner.network.named_parameters()
    return {name: value.grad for name, value in named if value.grad is not None}


@pytest.mark.parametrize("name", REPEATING)
def test_both_ways_give_the_same_gradient(name: str) -> None:
    usual, repeated = (gradients(make_small(name), how) for how in ("add", "add_repeated"))
    assert usual.keys() == repeated.keys()
    assert len(usual) > 5
    for key, value in usual.items():
        torch.testing.assert_close(repeated[key], value, msg=key)


def test_only_what_repeats_is_repeated() -> None:
    assert all(make_small(name).repeats for name in REPEATING)
    assert not make_small("reptile").repeats
    plus = make_small("maml++", multi_step_iterations=3)
    assert not plus.repeats
    plus.iteration = 3
    assert plus.repeats

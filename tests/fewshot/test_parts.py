"""A part of a meta-batch is that part of what is drawn as a whole, and no more of it is loaded."""

import pytest
import torch
from small_learners import make_source
from torch import Tensor

from metarl.fewshot import ArraySource, Episodes, EpisodeSampler
from metarl.fewshot.samplers import FixedSampler, SinusoidSampler
from metarl.fewshot.variable_sampler import MultiSourceSampler, VariableSampler

NUM = 5


class Counting(ArraySource):
    """Knows how many examples were taken."""

    taken = 0

    def take(self, classes: Tensor, examples: Tensor) -> Tensor:
        self.taken += classes.numel()
        return super().take(classes, examples)


def counting() -> Counting:
    source = make_source()
    return Counting("patterns", source.examples, source.counts.tolist(), source.class_names)


def fixed(source: Counting) -> FixedSampler:
    return FixedSampler(source, num_ways=3, num_shots=2, num_queries=4)


SAMPLERS = {
    "fixed": fixed,
    "variable": VariableSampler,
    "several": lambda source: MultiSourceSampler([VariableSampler(source), fixed(source)]),
    "sinusoid": lambda source: SinusoidSampler(3, 4),
}


def draw(sampler: EpisodeSampler, part: range | None = None) -> list[Episodes]:
    batches = sampler.sample(NUM, torch.Generator().manual_seed(3), part)
    return [one for batch in batches for one in batch.chunks(1)]


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("part", [range(NUM), range(2), range(2, 4), range(3, 5), range(4, 4)])
def test_it_is_that_part_of_the_whole(name: str, part: range) -> None:
    source = counting()
    sampler = SAMPLERS[name](source)
    whole, before = draw(sampler), source.taken
    own = draw(sampler, part)
    assert [one.first for one in whole] == list(range(NUM))
    assert [one.first for one in own] == list(part)
    for one in own:
        for ours, theirs in zip(one[:5], whole[one.first][:5], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    if name != "sinusoid":
        num_examples = sum(one.support_x.shape[1] + one.query_x.shape[1] for one in own)
        assert source.taken - before == num_examples


def test_only_episodes_of_one_batch_are_shared() -> None:
    """And a part that is differentiated by itself is not."""
    source, generator = counting(), torch.Generator()
    (batch,) = fixed(source).sample(4, generator, range(2))
    assert batch.shared
    assert [one.shared for one in batch.chunks(0)] == [True]
    assert [one.shared for one in batch.chunks(2)] == [False]
    assert not any(one.shared for one in VariableSampler(source).sample(4, generator, range(2)))
    assert not any(one.shared for one in fixed(source).sample(4, generator))

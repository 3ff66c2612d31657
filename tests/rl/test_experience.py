"""Collection with adaptation in between."""

import pytest
import torch
from rl_samples import make_learner

from metarl.core import SGD, Streams, expand, parameters_of
from metarl.rl import Experience


def test_each_rollout_follows_the_parameters_adapted_so_far() -> None:
    """θ'' of two steps, redone from the stored batches, explains the query's actions."""
    learner = make_learner("maml-vpg", inner_lr=0.3, num_inner_steps=2)
    experience = learner.collect()
    params = expand(parameters_of(learner.policy), 3)
    for batch in experience.supports:
        params = learner.objective.adapt(learner.policy, SGD(0.3), params, [batch])
    # replay the noise of iteration 0 after two steps
    streams = Streams(0, "training").at(0, 2)
    drawn = [learner.policy.noise((2, 10), streams.numpy("actions", m)) for m in range(3)]
    noise = torch.stack(drawn).permute(2, 0, 1, 3)
    query = experience.rollouts[-1]
    with torch.no_grad():
        for t in range(query.mask.shape[1]):
            expected = learner.policy.act(params, query.observations[:, t], noise[t])
            real = query.mask[:, t]
            torch.testing.assert_close(query.actions[:, t][real], expected[real])


@pytest.mark.parametrize("num_inner_steps", [0, 1, 2])
def test_one_rollout_more_than_inner_steps(num_inner_steps: int) -> None:
    experience = make_learner(num_inner_steps=num_inner_steps).collect()
    assert len(experience.supports) == num_inner_steps
    assert experience.returns().shape == (num_inner_steps + 1, 3)
    assert experience.num_steps() == sum(r.num_steps() for r in experience.rollouts)


def test_parts_concatenate_to_the_whole() -> None:
    whole = make_learner().collect()
    joined = Experience.concatenate([whole.tasks(slice(0, 2)), whole.tasks(slice(2, 3))])
    for batch, expected in zip(joined.batches, whole.batches, strict=True):
        for name, value in batch.tensors.items():
            assert torch.equal(value, expected.tensors[name])

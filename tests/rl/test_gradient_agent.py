"""The agent of learners by gradients: the learner's own steps on what it is told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rl_samples import make_learner

from metarl.core import Streams, expand, parameters_of, select
from metarl.files import FileError
from metarl.rl import Acted, GradientAgent, MAMLLearner, Rollout

STEPS = 2


def make_agent(learner: MAMLLearner) -> GradientAgent:
    return GradientAgent(learner, num_trajectories=learner.sampler.num_trajectories)


def adapt(learner: MAMLLearner) -> tuple[list[Rollout], dict[str, torch.Tensor]]:
    """What the learner's own adaptation sees and comes to, of task 1."""
    streams = Streams(0, "test")
    learner.sampler.draw_tasks(streams.numpy("tasks"), "train")
    experience, params = learner._adapt_on(learner.sampler, STEPS, streams)
    return experience.rollouts[:STEPS], select(params, 1)


def tell(agent: GradientAgent, rollout: Rollout, *, ends: bool = True) -> None:
    """The trajectories of task 1, their last step by a time limit."""
    one = {name: value[1].numpy() for name, value in rollout._asdict().items()}
    for e in range(rollout.mask.shape[2]):
        seen = [*one["observations"][:, e], one["final_observations"][e]]
        length = len(seen) - 1
        for t in range(length):
            raw = one["actions"][t, e]
            acted = Acted(raw, agent.to_env(raw), np.float32(0.0))
            last = t == length - 1
            agent.observe(seen[t], acted, one["rewards"][t, e], seen[t + 1], False, last and ends)
        if not ends:
            agent.start_trajectory()


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("maml-trpo", {}),
        ("anil", {}),
        ("meta-sgd", {}),
        ("cavia", {"context_size": 4}),
        ("promp", {}),
        ("reptile", {}),
    ],
)
def test_it_comes_to_the_parameters_of_the_learner(kind: str, changes: dict[str, Any]) -> None:
    learner = make_learner(kind, **changes)
    rollouts, expected = adapt(learner)
    agent = make_agent(learner)
    for rollout in rollouts:
        tell(agent, rollout)
    for name, value in agent.params.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-6)
    start = parameters_of(learner.policy)
    assert any(not torch.equal(value, start[name]) for name, value in agent.params.items())
    assert agent.info()["num_steps"] == STEPS
    assert agent.info()["num_transitions"] == sum(int(r.mask[1].sum()) for r in rollouts)


def test_it_acts_by_what_it_has_adapted_to() -> None:
    """As the learner's policy with those parameters acts in a simulator."""
    learner = make_learner("maml-trpo")
    rollouts, params = adapt(learner)
    agent = make_agent(learner)
    for rollout in rollouts:
        tell(agent, rollout)
    noise, observation = torch.randn(2), torch.tensor([0.3, -0.1])
    with torch.inference_mode():
        many = expand(params, 1)
        expected = learner.policy.act(many, observation[None, None], noise[None, None])
    acted = agent.act(observation.numpy(), noise.numpy())
    np.testing.assert_allclose(acted.raw_action, expected[0, 0], rtol=1e-5)


def test_a_trajectory_that_is_broken_off_counts_as_one_that_time_ended() -> None:
    learner = make_learner("maml-trpo")
    rollouts, _ = adapt(learner)
    agent, other = make_agent(learner), make_agent(learner)
    tell(agent, rollouts[0])
    tell(other, rollouts[0], ends=False)
    other.start_trajectory()  # has nothing to end
    assert agent.info() == other.info()
    for name, value in agent.params.items():
        assert torch.equal(value, other.params[name])


def test_a_new_task_begins_where_the_learner_does() -> None:
    learner = make_learner("maml-trpo")
    agent = make_agent(learner)
    before = {name: value.clone() for name, value in agent.params.items()}
    tell(agent, adapt(learner)[0][0])
    agent.reset()
    assert all(torch.equal(value, before[name]) for name, value in agent.params.items())
    assert agent.info()["num_steps"] == agent.info()["num_transitions"] == 0


def test_it_is_taken_up_in_the_middle_of_a_trajectory(tmp_path: Path) -> None:
    learner = make_learner("meta-sgd")
    rollouts, _ = adapt(learner)
    agent, taken_up = make_agent(learner), make_agent(learner)
    tell(agent, rollouts[0])
    agent.observe([0.1, 0.2], agent.act([0.1, 0.2]), 1.0, [0.3, 0.4], False, False)
    agent.save(tmp_path / "agent.pt")
    taken_up.load(tmp_path / "agent.pt")
    for one in (agent, taken_up):
        one.start_trajectory()
        tell(one, rollouts[1])
    assert agent.info() == taken_up.info()
    for name, value in agent.params.items():
        assert torch.equal(value, taken_up.params[name])
    np.testing.assert_array_equal(agent.act([0.0, 0.0]).action, taken_up.act([0.0, 0.0]).action)
    with pytest.raises(FileError, match="of an agent with another policy"):
        make_agent(make_learner("maml-trpo", seed=7)).load(tmp_path / "agent.pt")


def test_what_was_clipped_is_not_guessed() -> None:
    agent = make_agent(make_learner("maml-trpo"))
    with pytest.raises(ValueError, match=r"at the bounds.*give what act\(\) gave"):
        agent.observe([0, 0], [0.1, 0.0], 0.0, [0, 0], False, False)
    agent.observe([0, 0], [0.05, 0.0], 0.0, [0, 0], False, False)
    assert agent.info()["num_transitions"] == 1


def test_so_few_trajectories_that_say_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="num_trajectories must be at least 2"):
        GradientAgent(make_learner("maml-vpg", estimator="dice"), num_trajectories=1)

"""Agents that adapt with every step: state, ends of trajectories, and what they refuse."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metarl.embedding import (
    LSTM,
    Feedforward,
    GaussianHead,
    LastStep,
    OnlineAgent,
    OnlinePolicy,
    OnlinePrototypes,
    Prototype,
    Recurrent,
    RecurrentEncoder,
    dense_of,
)
from metarl.files import FileError, NonFiniteError
from metarl.nn import MLP
from metarl.rl.actions import ActionScaling

BOUNDS = ActionScaling(np.array([-0.5, -1], np.float32), np.array([0.5, 3], np.float32), 2.0)
STEP: dict[str, Any] = {
    "observation": [0.1, 0.2, 0.3], "action": [0.1, 0.2], "reward": 1.0,
    "next_observation": [0.4, 0.5, 0.6], "terminated": False, "truncated": False,
}  # fmt: skip


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def proto(seed: int = 0, **options: Any) -> OnlineAgent:
    encoder = RecurrentEncoder(3 + 2 + 1 + 3 + 1, 8, 4, seeded(seed))
    memory = Prototype.of(OnlinePrototypes(encoder, 1, **options))
    layers = dense_of(MLP([3 + 6, 8, 2], "tanh", seeded(1)))
    head = GaussianHead.of(torch.zeros(2), BOUNDS)
    policy = OnlinePolicy(
        observation_shape=(3,), memory=memory, network=Feedforward(layers), head=head
    )
    return OnlineAgent(policy, seed=3)


def rl2(seed: int = 0) -> OnlineAgent:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        lstm = torch.nn.LSTM(3 + 4, 8)
    network = Recurrent(LSTM.of(lstm), dense_of(MLP([8, 2], "tanh", seeded(1))))
    policy = OnlinePolicy(
        observation_shape=(3,),
        memory=LastStep(3, torch.zeros(4)),
        network=network,
        head=GaussianHead.of(torch.zeros(2), BOUNDS),
        forgets=True,
    )
    return OnlineAgent(policy, seed=3)


MAKERS = {
    "proto": proto,
    "whole-trajectories": lambda seed=0: proto(seed, within_trajectory=False),
    "rl2": rl2,
}
AGENTS = pytest.mark.parametrize("name", MAKERS)


def live(agent: OnlineAgent, steps: int, *, ends: bool = True, last: str = "truncated") -> Any:
    """Random observations and rewards, trajectories of four steps; the raw actions."""
    rng, found = np.random.default_rng(0), []
    for t in range(steps):
        seen, after = rng.standard_normal((2, 3))
        acted = agent.act(seen)
        found.append(acted.raw_action)
        over = t % 4 == 3
        flags = {"terminated": False, "truncated": False, last: over and ends}
        agent.observe(seen, acted, rng.standard_normal(), after, **flags)
        if over and not ends:
            agent.start_trajectory()
    return np.stack(found)


def same(agent: OnlineAgent, other: OnlineAgent) -> bool:
    pairs = zip(agent._state.values(), other._state.values(), strict=True)
    return all(np.array_equal(*pair) for pair in pairs)


@AGENTS
def test_it_is_taken_up_where_it_was(name: str, tmp_path: Path) -> None:
    agent, taken_up = MAKERS[name](), MAKERS[name]()
    live(agent, 6)
    agent.save(tmp_path / "agent.pt")
    taken_up.load(tmp_path / "agent.pt")
    assert agent.info() == taken_up.info()
    np.testing.assert_array_equal(live(agent, 6), live(taken_up, 6))
    with pytest.raises(FileError, match="of an agent with another policy"):
        MAKERS[name](1).load(tmp_path / "agent.pt")


@AGENTS
def test_a_trajectory_that_is_broken_off_counts_as_one_that_time_ended(name: str) -> None:
    agent, other = MAKERS[name](), MAKERS[name]()
    np.testing.assert_array_equal(live(agent, 9), live(other, 9, ends=False))
    assert agent.info() == other.info()
    assert same(agent, other)


@AGENTS
def test_a_new_task_forgets_everything(name: str) -> None:
    agent = MAKERS[name]()
    live(agent, 5)
    assert not same(agent, MAKERS[name]())
    agent.reset()
    assert same(agent, MAKERS[name]())
    assert agent.info()["num_transitions"] == agent.info()["num_trajectories"] == 0


@AGENTS
def test_what_it_remembers_does_not_grow(name: str) -> None:
    agent = MAKERS[name]()
    sizes = {name: value.shape for name, value in agent._state.items()}
    live(agent, 50)
    assert {name: value.shape for name, value in agent._state.items()} == sizes


@AGENTS
def test_an_action_of_somebody_else_counts_as_the_policys(name: str) -> None:
    """±2 spans the bounds; beyond them the transition shows what was clipped, either way."""
    agent, other = MAKERS[name](), MAKERS[name]()
    seen = np.zeros(3)
    for noise in ([0.3, -0.4], [9.0, -9.0]):
        acted = agent.act(seen, noise)
        other.act(seen, noise)
        agent.observe(**STEP | {"action": acted})
        other.observe(**STEP | {"action": acted.action})
    for value, theirs in zip(agent._state.values(), other._state.values(), strict=True):
        np.testing.assert_allclose(value, theirs, rtol=1e-5, atol=1e-6)


def test_whole_trajectories_count_when_they_end() -> None:
    agent = MAKERS["whole-trajectories"]()
    live(agent, 3)
    assert agent.info()["prototype"] == [0.0] * 4
    live(agent, 4)
    assert agent.info()["prototype"] != [0.0] * 4


def test_what_it_believes_is_plain() -> None:
    agent = proto()
    live(agent, 7)
    info = agent.info()
    assert (info["num_transitions"], info["num_trajectories"]) == (7, 1)
    assert len(info["prototype"]) == len(info["precision"]) == 4
    assert info["spread"] > 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"observation": [0.1, 0.2]}, ValueError, r"observation has shape \(2,\), need \(3,\)"),
        ({"observation": [[0.1] * 3]}, ValueError, "observation must be a single one"),
        ({"next_observation": [0.1, np.nan, 0]}, NonFiniteError, "next_observation is not finite"),
        ({"reward": np.inf}, NonFiniteError, "reward is not finite: inf"),
        ({"reward": [1.0, 2.0]}, ValueError, "reward must be a number"),
        ({"action": [0.1]}, ValueError, r"action has shape \(1,\), need \(2,\)"),
        ({"action": [0.1, 3.5]}, ValueError, "action is outside the bounds"),
        ({"action": [0.1, np.nan]}, ValueError, "action is outside the bounds"),
    ],
)
@AGENTS
def test_a_step_that_cannot_be_is_not_taken_in(
    name: str, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    agent = MAKERS[name]()
    with pytest.raises(error, match=message):
        agent.observe(**STEP | change)
    assert same(agent, MAKERS[name]())
    assert agent.info()["num_transitions"] == 0


@AGENTS
def test_no_motor_moves_by_what_is_no_number(name: str) -> None:
    agent = MAKERS[name]()
    for seen, noise, message in (
        ([0.1, np.nan, 0.2], None, "observation is not finite: nan at 1"),
        ([0.1] * 4, None, "observation has shape"),
        ([0.1] * 3, [np.nan, 0.0], "noise is not finite"),
        ([0.1] * 3, [0.0], "noise has shape"),
    ):
        with pytest.raises(ValueError, match=message):
            agent.act(seen, noise)
    agent._state = {name: value + np.float32(np.nan) for name, value in agent._state.items()}
    with pytest.raises(NonFiniteError, match="the policy's action is not finite"):
        agent.act([0.1] * 3)

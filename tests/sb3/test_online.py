"""Agents do what the simulator's learner does: trials recorded there, replayed step by step."""

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from own_families import walks
from small_trial_learners import make_learner

from metarl.embedding import OnlineAgent, Transitions
from metarl.rl import Acted
from metarl.sb3 import SB3Learner, online_policy
from metarl.sb3.state import normalised

LEARNERS: dict[str, tuple[str, dict[str, Any]]] = {
    "proto": ("proto", {}),
    "recurrent-proto": ("recurrent-proto", {"action_scale": 5.0}),
    "whole-trajectories": ("recurrent-proto", {"changes": {"within_trajectory": False}}),
    "rl2": ("rl2", {}),
    "forgetful-rl2": ("rl2", {"changes": {"episodes": "trajectory", "normalise": "none"}}),
    "ppo": ("ppo", {"env_id": "metarl/GridNavi-v0"}),
    "choosing-proto": (
        "proto",
        {"env_id": "metarl/GridNavi-v0", "changes": {"uncertainty": False}},
    ),
    "choosing-rl2": ("rl2", {"env_id": "metarl/GridNavi-v0"}),
    "terminating-proto": (
        "recurrent-proto",
        {"make_env": lambda n: walks([None] * n), "horizon": 8},
    ),
}


class Recorded(NamedTuple):
    """A step of one environment in the path of training and evaluation."""

    noise: NDArray[np.float32]
    drawn: Acted
    transition: Transitions
    context: NDArray[np.float32]


class Recorder:
    """Keeps the transitions of a :class:`TrialVecEnv`."""

    def begin(self) -> None: ...

    def tell(self, outcomes: Any) -> None: ...

    def leave_out(self, rows: Any) -> None:
        assert not rows.any()

    def __call__(self, step: Transitions, over: Any) -> None:
        self.newest = step


def trained(name: str) -> SB3Learner:
    kind, options = LEARNERS[name]
    learner = make_learner(kind, **options)
    learner.iterate()
    return learner


def record(learner: SB3Learner, steps: int, seed: int = 5) -> list[Recorded]:
    """One environment, whose policy acts by given noise."""
    rng, recorder = np.random.default_rng(seed), Recorder()
    task_env = learner._make_task_env(1, 0, split="held_out")
    trials = learner._make_trials(task_env, recorder)  # type: ignore[arg-type]
    env = normalised(trials, learner.config.normalise, 0.95, like=learner.env)
    task_env.seed(seed)
    task_env.set_tasks(task_env.drawn(1, rng))
    seen: Any = env.reset()
    policy, state, starts, found = learner.model.policy, None, np.ones(1), []
    for _ in range(steps):
        noise, raw, log_prob, state = draw(policy, seen, state, starts, rng)
        seen, _, starts, _ = env.step(clipped(policy, raw))
        drawn = Acted(raw, np.empty(0), log_prob)
        found.append(Recorded(noise, drawn, recorder.newest, trials.context.features()[0]))
    return found


@torch.no_grad()
def draw(policy: Any, seen: Any, state: Any, starts: Any, rng: np.random.Generator) -> Any:
    """Noise, raw action and log-probability of stable-baselines3's own distribution."""
    given = torch.as_tensor(seen)
    if hasattr(policy, "lstm_actor"):
        zeros = torch.zeros(policy.lstm_hidden_state_shape)
        given = given, (zeros, zeros) if state is None else state, torch.as_tensor(starts).float()
        distribution, state = policy.get_distribution(*given)
    else:
        distribution = policy.get_distribution(given)
    theirs = distribution.distribution
    if hasattr(theirs, "logits"):
        noise = rng.gumbel(size=theirs.logits.shape[1]).astype(np.float32)
        raw = (theirs.logits + torch.as_tensor(noise)).argmax(1)
    else:
        noise = rng.standard_normal(theirs.mean.shape[1], np.float32)
        raw = theirs.mean + theirs.stddev * torch.as_tensor(noise)
    return noise, raw.numpy().reshape(-1), distribution.log_prob(raw).item(), state


def clipped(policy: Any, raw: NDArray[Any]) -> Any:
    space = policy.action_space
    return raw if hasattr(space, "n") else raw[None].clip(space.low, space.high)


def tell(agent: OnlineAgent, acted: Any, step: Transitions) -> None:
    ended, terminated = bool(step.ended[0]), bool(step.terminated[0])
    rewards, successor = step.rewards[0], step.next_observations[0]
    agent.observe(step.observations[0], acted, rewards, successor, terminated, ended > terminated)


@pytest.mark.parametrize("name", LEARNERS)
def test_the_same_noise_gives_the_same_actions(name: str) -> None:
    """Over a trial of several trajectories; what the policy is shown is the same, too."""
    learner = trained(name)
    agent = OnlineAgent(online_policy(learner))
    ends = 0
    for recorded in record(learner, 23):
        observation = recorded.transition.observations[0]
        acted = agent.act(observation, recorded.noise)
        np.testing.assert_allclose(acted.raw_action, recorded.drawn.raw_action, atol=2e-6)
        np.testing.assert_allclose(acted.log_prob, recorded.drawn.log_prob, atol=2e-5)
        ends += bool(recorded.transition.ended[0])
        tell(agent, acted, recorded.transition)
        context = agent.policy.memory.context(agent._state)
        np.testing.assert_allclose(context, recorded.context, atol=2e-5)  # a root of rounding
    assert ends >= 2
    assert agent.info()["num_transitions"] == 23
    assert agent.info()["num_trajectories"] == ends

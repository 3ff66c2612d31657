"""Adaptation of learners over trials without a batch of environments: from data, and in one place.

Both let an agent see what happens, step by step.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl.core import Streams
from metarl.embedding import OnlineAgent
from metarl.rl import Actor, Agent, RecordedTrajectories, Trajectories, UnknownTask
from metarl.rl.acting import Acted
from metarl.rl.recorded import policy_actions
from metarl.sb3.online import Trained, online_policy
from metarl.types import Adaptation


def adapt_by_watching(
    learner: Trained, source: RecordedTrajectories | UnknownTask, steps: int
) -> Adaptation[Actor | Agent]:
    """What an agent knows after recorded trajectories, or after it has acted in an environment.

    Args:
        learner: whose policy it is.
        source: the trajectories, or the environment.
        steps: trajectories in the environment after which there is one more, whose return counts.

    Raises:
        ValueError: the policy does not adapt, or the source does not fit.
    """
    policy = online_policy(learner)
    if not policy.starts:
        raise ValueError("it does not adapt: nothing that happens changes its policy")
    agent = OnlineAgent(policy, seed=Streams(getattr(source, "seed", 0), "test").seed_of("actions"))
    figures: dict[str, Any] = {}
    if isinstance(source, RecordedTrajectories):
        if steps != len(source.parts):
            raise ValueError("steps are of learners by gradients; here every trajectory counts")
        for part in source.parts:
            replay(agent, part)
        returns = source.returns
    else:
        returns = act_in(agent, source, steps + 1, learner.collection.horizon)
        figures["trajectories"] = 1  # one trial

    def model(task: int, after: bool) -> Actor | Agent:
        if policy.network.starts:
            return agent if after else OnlineAgent(policy)
        return learner.actor(agent.context() if after else None)

    return Adaptation(
        values=returns[:, None],
        measure="returns",
        unit="trajectories",
        model=model,
        tasks=[{}],
        figures=figures | {"agent": agent.info()},
    )


def replay(agent: Agent, data: Trajectories) -> None:
    """Let an agent see recorded trajectories as if it had acted itself."""
    raw, _ = policy_actions(data, agent.to_env)
    before, after, index = data.before(), data.after(), data.trajectory
    quiet = np.zeros(agent.noise_size, np.float32)
    for step in range(data.num_steps):
        agent.act(before[step], quiet)  # those that remember take the observation in here
        last = step + 1 == data.num_steps or index[step + 1] != index[step]
        terminated = bool(last and data.terminated[index[step]])
        agent.observe(
            before[step],
            Acted(raw[step], raw[step], np.full((), np.nan, np.float32)),
            data.rewards[step],
            after[step],
            terminated,
            last and not terminated,
        )


def act_in(agent: Agent, source: UnknownTask, num: int, horizon: int) -> NDArray[np.float64]:
    """Let an agent act for so many trajectories in one environment; their returns, ``[num]``.

    Raises:
        ValueError: there are several environments.
    """
    envs = source.envs
    if envs.num_envs != 1:
        raise ValueError(f"it adapts within one trial: give one environment, not {envs.num_envs}")
    seeds = Streams(source.seed, "test").seeds("environments", num)
    returns = np.zeros(num)
    for k in range(num):
        observed, _ = envs.reset(seed=[seeds[k]])
        for _ in range(horizon):
            acted = agent.act(observed[0])
            after, reward, terminated, truncated, _ = envs.step(np.asarray(acted.action)[None])
            ends: tuple[Any, Any] = terminated[0], truncated[0]
            agent.observe(observed[0], acted, reward[0], after[0], *ends)
            returns[k] += reward[0]
            observed = after
            if any(ends):
                break
        agent.start_trajectory()
    envs.close()
    return returns

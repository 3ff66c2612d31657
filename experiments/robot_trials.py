"""What the policies of runs come to on a real robot, before and after they adapt to it.

See ``sim_to_real.py``, which trains them and makes the table. Nothing in here knows a simulator.
"""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from real_robots import RealRobot
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

import metarl
from metarl.rl import Actor, Agent
from metarl.runs import Run

CONTROL_STEP = 0.05  # seconds


class Protocol(NamedTuple):
    """How adaptation is measured."""

    counts: tuple[int, ...] = (0, 1, 3, 10)
    """Trajectories of the robot, after which it is looked at what it does."""
    repeats: int = 10
    """Of everything, from other starts and noise."""
    episodes: int = 4
    """Whose mean return counts."""
    horizon: int = 200


class Site:
    """Where the real robot stands, and how it is measured there.

    Args:
        make: the robot.
        nominal: the same as its simulator has it.
        protocol: how.
    """

    def __init__(
        self, make: Callable[[], RealRobot], nominal: Callable[[], RealRobot], protocol: Protocol
    ) -> None:
        self.make = make
        self.real, self.nominal = make(), nominal()
        self.protocol = protocol

    def measured(self, policy: Actor | Agent, repeat: int, robot: RealRobot | None = None) -> float:
        """Mean return by mean actions; an agent is then what it was before."""
        state = policy.state() if isinstance(policy, Agent) else {}
        returns = []
        for episode in range(self.protocol.episodes):
            seed = 1000 * (repeat + 1) + episode
            returns.append(played(robot or self.real, policy, seed, explore=False))
            if isinstance(policy, Agent):
                policy.load_state(state)
        return float(np.mean(returns))

    def recorded(self, run: Run, repeat: int, folder: Path) -> Iterator[float]:
        """Return after each number of trajectories, which a file holds."""
        agent = run.agent(seed=repeat, **not_before(run, max(self.protocol.counts)))
        yield self.measured(agent, repeat)
        recorder = metarl.TrajectoryRecorder()
        for count in range(1, max(self.protocol.counts) + 1):
            played(self.real, agent, seed_of(repeat, count), recorder=recorder)
            if count in self.protocol.counts:
                path = folder / f"{repeat}-{count}.npz"
                recorder.trajectories().save(path)
                yield self.measured(run.adapt(trajectories=path).policy, repeat)

    def online(self, run: Run, repeat: int, folder: Path) -> Iterator[float]:
        """The same of an agent that adapts while it acts."""
        agent = run.agent(seed=repeat)
        for count in range(max(self.protocol.counts) + 1):
            if count:
                played(self.real, agent, seed_of(repeat, count))
            if count in self.protocol.counts:
                yield self.measured(agent, repeat)

    def alone(self, run: Run, repeat: int, folder: Path) -> Iterator[float]:
        """Return of what does not adapt."""
        yield self.measured(run.agent(), repeat)

    def fine_tuned(self, run: Run, repeat: int, folder: Path) -> Iterator[float]:
        """The same of PPO that goes on, an update after each trajectory."""
        learner: Any = run.learner
        policy = learner.model.policy
        start = copy.deepcopy(policy.state_dict())
        model = ppo_on(self.make(), learner, self.protocol.horizon, seed_of(repeat, 0))
        done = 0
        for count in self.protocol.counts:
            if count:
                model.learn((count - done) * self.protocol.horizon, reset_num_timesteps=False)
                policy.load_state_dict(model.policy.state_dict())
            done = count
            yield self.measured(run.agent(), repeat)
        policy.load_state_dict(start)


def ppo_on(robot: RealRobot, learner: Any, horizon: int, seed: int) -> PPO:
    """PPO that goes on from a run's policy, value function and statistics on another robot."""
    rescaled = gym.wrappers.RescaleAction(robot, np.float32(-1), np.float32(1))
    env = VecNormalize(DummyVecEnv([lambda: rescaled]), training=False)
    env.obs_rms, env.ret_rms = learner.env.obs_rms, learner.env.ret_rms
    numbers: dict[str, Any] = {"n_steps": horizon, "batch_size": horizon // 4}
    kwargs = learner.model.policy_kwargs
    model = PPO(
        "MlpPolicy", env, gamma=learner.model.gamma, policy_kwargs=kwargs, seed=seed, **numbers
    )
    model.policy.load_state_dict(learner.model.policy.state_dict())
    return model


def not_before(run: Run, trajectories: int) -> dict[str, int]:
    """Of an agent by gradients: no step before so many trajectories have ended."""
    return {"trajectories": trajectories} if run.config.learner == "maml-trpo" else {}


def seed_of(repeat: int, count: int) -> int:
    """Of a trajectory that is adapted to."""
    return 10**6 + 1000 * repeat + count


def played(
    robot: RealRobot,
    policy: Actor | Agent,
    seed: int,
    *,
    explore: bool = True,
    recorder: metarl.TrajectoryRecorder | None = None,
) -> float:
    """Return of one trajectory, of which an agent is told."""
    observation, _ = robot.reset(seed=seed)
    if recorder is not None:
        recorder.start(observation)
    noise = None if explore else np.zeros(robot.action_space.shape)
    total, over = 0.0, False
    while not over:
        acted = policy.act(observation, noise)
        after, reward, terminated, truncated, _ = robot.step(acted.action)
        if isinstance(policy, Agent):
            policy.observe(observation, acted, reward, after, terminated, truncated)
        if recorder is not None:
            recorder.add(acted, reward, after, terminated, truncated)
        observation, over, total = after, terminated or truncated, total + reward
    return total


METHODS: dict[str, Callable[[Site, Run, int, Path], Iterator[float]]] = {
    "alone": Site.alone,
    "fine-tuned": Site.fine_tuned,
    "recorded": Site.recorded,
    "online": Site.online,
}
"""Ways to a policy for the robot."""


def evaluated(run: Run, how: str, site: Site, target: Path) -> None:
    """Write what a run's policy comes to on the real robot, unless that is known."""
    if target.exists():
        return
    folder = run.folder / "recorded"
    folder.mkdir(exist_ok=True)
    protocol, method = site.protocol, METHODS[how]
    repeats = range(protocol.repeats)
    returns = np.array([list(method(site, run, repeat, folder)) for repeat in repeats]).T
    counts = protocol.counts[: len(returns)]
    learner: Any = run.learner
    nominal = [site.measured(run.agent(), repeat, site.nominal) for repeat in repeats]
    figures = {
        "env": run.config.subject,
        "steps": counts,
        "tasks": [{"repeat": repeat} for repeat in repeats],
        "returns": returns.tolist(),
        "mean": returns.mean(1).tolist(),
        "nominal": float(np.mean(nominal)),
        "robot_minutes": [count * protocol.horizon * CONTROL_STEP / 60 for count in counts],
        "env_steps": learner.env_steps,
        "hours": run.seconds / 3600,
    }
    target.write_text(json.dumps(figures))

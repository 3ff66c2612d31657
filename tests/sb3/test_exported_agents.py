"""Exported agents act as the original does, and without torch or this package reach its returns."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import onnx
import pytest
from robot import OnnxAgent, numpy_agent, trials
from small_trial_learners import make_learner
from test_online import LEARNERS, record, trained

from metarl.embedding import OnlineAgent, OnlinePolicy
from metarl.files import FileError
from metarl.rl import Acted
from metarl.runs.deployed import check_onnx, write_numpy, write_onnx
from metarl.sb3 import online_policy

WHOLE = "whole-trajectories"
"""Not for NumPy."""


def slow_but(*names: str) -> list[Any]:
    """Learners by name; all but these slow: 10 s together."""
    known = [name for name in LEARNERS if name != WHOLE]
    return [n if n in names else pytest.param(n, marks=pytest.mark.slow) for n in known]


def exported(policy: OnlinePolicy, kind: str, folder: Path) -> Any:
    if kind == "numpy":
        write_numpy(policy, folder / "agent.npz")
        return numpy_agent(folder)
    write_onnx(policy, folder / "agent.onnx")
    return OnnxAgent(folder / "agent.onnx")


def assert_the_same(policy: OnlinePolicy, robot: Any, steps: int = 1000) -> None:
    """Whatever happens, for 1,000 steps of a trial with ends of both kinds."""
    agent, rng = OnlineAgent(policy), np.random.default_rng(0)
    for t in range(steps):
        seen, after = rng.standard_normal((2, *policy.observation_shape), np.float32)
        noise, reward = policy.head.noise(rng), rng.standard_normal()
        acted = agent.act(seen, noise)
        raw, action, log_prob = robot.act(seen, noise)
        np.testing.assert_allclose(raw, acted.raw_action, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(action, acted.action, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(log_prob, acted.log_prob, rtol=1e-6, atol=1e-6)
        ends = t % 17 == 5, t % 10 == 9
        agent.observe(seen, acted, reward, after, *ends)
        robot.observe(seen, acted.raw_action, reward, after, *ends)


@pytest.mark.parametrize("name", slow_but("recurrent-proto", "choosing-rl2"))
def test_numpy_acts_as_the_original(name: str, tmp_path: Path) -> None:
    policy = online_policy(trained(name))
    assert_the_same(policy, exported(policy, "numpy", tmp_path))


# an export takes 4 to 10 s, of what does not adapt 2
@pytest.mark.parametrize("name", [*slow_but("ppo"), pytest.param(WHOLE, marks=pytest.mark.slow)])
def test_onnx_acts_as_the_original(name: str, tmp_path: Path) -> None:
    policy = online_policy(trained(name))
    assert_the_same(policy, exported(policy, "onnx", tmp_path))
    assert check_onnx(tmp_path / "agent.onnx")["adapts"] == (name != "ppo")


@pytest.mark.slow  # 40 s, of it two exports of 10 s
@pytest.mark.parametrize("name", ["proto", "recurrent-proto", "rl2"])
def test_recorded_trials_in_open_loop(name: str, tmp_path: Path) -> None:
    """What stable-baselines3's policy did in the simulator, by the same noise."""
    learner = trained(name)
    recorded = record(learner, 100)
    robots = [exported(online_policy(learner), kind, tmp_path) for kind in ("numpy", "onnx")]
    for robot in robots:
        for step in recorded:
            now = step.transition
            raw, *_ = robot.act(now.observations[0], step.noise)
            np.testing.assert_allclose(raw, step.drawn.raw_action, rtol=1e-5, atol=1e-5)
            ended, terminated = bool(now.ended[0]), bool(now.terminated[0])
            seen, after = now.observations[0], now.next_observations[0]
            ends = terminated, ended > terminated
            robot.observe(seen, step.drawn.raw_action, now.rewards[0], after, *ends)


class Original(OnlineAgent):
    """With the arguments of exported agents."""

    def act(self, observation: Any, noise: Any = None) -> Any:
        return super().act(observation, noise)

    def observe(self, seen: Any, raw: Any, *rest: Any) -> None:  # type: ignore[override]
        super().observe(seen, Acted(raw, raw, np.float32(0.0)), *rest)


@pytest.mark.slow  # a minute: two exports, and 40 trials of every agent
@pytest.mark.parametrize("name", ["proto", "recurrent-proto", "rl2"])
def test_without_torch_they_reach_the_returns_of_the_original(name: str, tmp_path: Path) -> None:
    """40 held-out tasks, 3 trajectories of 20 steps each."""
    learner = make_learner(LEARNERS[name][0], horizon=20)
    for _ in range(5):
        learner.iterate()
    policy = online_policy(learner)
    for kind in ("numpy", "onnx"):
        exported(policy, kind, tmp_path)
    env = gym.make("metarl/PointGoal-v0", max_episode_steps=20)
    rng = np.random.default_rng(0)
    distribution: Any = env.get_wrapper_attr("task_distribution")
    goals = distribution.sample(rng, 40, "held_out")["goal"]
    noise = rng.standard_normal((40, 3, 20, 2), np.float32)
    np.savez(tmp_path / "given.npz", goals=goals, noise=noise)
    expected = trials(Original(policy), env, [{"goal": goal} for goal in goals], noise)
    script = Path(__file__).with_name("robot.py")
    subprocess.run([sys.executable, script, tmp_path], check=True, timeout=300)
    with np.load(tmp_path / "returns.npz") as found:
        for kind in ("numpy", "onnx"):
            np.testing.assert_allclose(found[kind], expected, atol=1e-3)


def test_damaged_arrays_are_not_read(tmp_path: Path) -> None:
    write_numpy(online_policy(make_learner("rl2")), tmp_path / "agent.npz")
    content = bytearray((tmp_path / "agent.npz").read_bytes())
    place = content.find(b"lstm.0.npy") + 200
    content[place] ^= 1
    (tmp_path / "agent.npz").write_bytes(content)
    with pytest.raises(Exception, match="Bad CRC-32"):
        numpy_agent(tmp_path)


@pytest.mark.slow  # an export takes 10 s
def test_a_damaged_graph_is_told(tmp_path: Path) -> None:
    path = tmp_path / "agent.onnx"
    write_onnx(online_policy(make_learner("rl2")), path)
    content = bytearray(path.read_bytes())
    content[content.find(onnx.load(path).graph.initializer[-1].raw_data)] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"agent\.onnx is damaged"):
        check_onnx(path)


@pytest.mark.parametrize(
    "step",
    [([0.1, np.nan], 1.0), ([0.1, 0.2, 0.3], 1.0), ([0.1, 0.2], np.inf)],
)
def test_the_reader_takes_numbers_only(step: Any, tmp_path: Path) -> None:
    robot = exported(online_policy(make_learner("proto")), "numpy", tmp_path)
    seen, reward = step
    with pytest.raises(ValueError, match=r"must be .* finite numbers"):
        robot.observe(seen, np.zeros(2, "f"), reward, [0.1, 0.2], False, False)
    with pytest.raises(ValueError, match=r"must be .* finite numbers"):
        robot.act(seen, np.full(2, reward * np.nan if reward == 1.0 else reward))


def test_the_reader_has_60_lines(tmp_path: Path) -> None:
    reader = write_numpy(online_policy(make_learner("proto")), tmp_path / "agent.npz")
    text = reader.read_text()
    assert len(text.splitlines()) <= 60
    imported = [line for line in text.splitlines() if line.startswith(("import", "from"))]
    assert imported == ["import json", "import numpy as np"]


def test_what_the_reader_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="whole trajectories"):
        write_numpy(online_policy(trained(WHOLE)), tmp_path / "agent.npz")
    assert not list(tmp_path.iterdir())

"""Runs adapt to recorded trajectories and in environments whose task nobody knows."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import metarl
from metarl.cli import main
from metarl.core import Streams
from metarl.embedding import OnlineAgent

PROTO = pytest.param("proto-embedding", marks=pytest.mark.slow)  # 3 s of training
SMALL: dict[str, Any] = {
    "iterations": 1,
    "meta_batch_size": 2,
    "num_trajectories": 2,
    "horizon": 6,
    "eval_tasks": 0,
}


class Plane(gym.Env[Any, Any]):
    """x' = x + a in the plane, and a place to be at: not a family of tasks."""

    observation_space = spaces.Box(-9.0, 9.0, (2,), np.float32)
    action_space = spaces.Box(-0.1, 0.1, (2,), np.float32)

    def __init__(self) -> None:
        self.num_steps = 0
        self.closed = False

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self.x = np.zeros(2, np.float32)
        return self.x, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(np.asarray(action, np.float32))
        self.num_steps += 1
        self.x = (self.x + action).astype(np.float32)
        return self.x, -float(np.abs(self.x - 0.3).sum()), False, False, {}

    def close(self) -> None:
        self.closed = True


class Runs(dict[str, metarl.Run]):
    """Of learners by name, trained when a test first needs them."""

    def __init__(self, output: Path) -> None:
        super().__init__()
        self.output = output

    def __missing__(self, name: str) -> metarl.Run:
        trials = {"num_minibatches": 1, "num_epochs": 1} if name != "random-init" else {}
        own = {"num_ways": 2, "encoder_warmup": 1} if name == "proto-embedding" else {}
        options = {"env": "metarl/PointGoal-v0", "output": self.output, **SMALL, **trials, **own}
        self[name] = metarl.train(name, **options)
        return self[name]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"))


def recorded(policy: Any, num: int = 3, **changed: Any) -> metarl.Trajectories:
    """By a policy in the plane, 6 steps each."""
    env, recorder = Plane(), metarl.TrajectoryRecorder()
    for _ in range(num):
        seen, _ = env.reset()
        recorder.start(seen)
        for t in range(6):
            acted = policy.act(seen)
            seen, reward, *_ = env.step(acted.action)
            recorder.add(acted, reward, seen, terminated=False, truncated=t == 5)
    found = recorder.trajectories()
    facts = {name: getattr(found, name) for name in found.__dataclass_fields__}
    return metarl.Trajectories(**facts | changed)


def test_gradient_learners_take_a_step_a_file(runs: Any, tmp_path: Path) -> None:
    run = runs["random-init"]
    data = recorded(run.learner.actor())
    data.save(tmp_path / "data.npz")
    adapted = run.adapt(trajectories=tmp_path / "data.npz")
    assert adapted.returns == pytest.approx([data.returns().mean()])
    assert adapted.record["effective_sample_size"] == pytest.approx([1.0])
    assert adapted.record["num_steps"] == [18]
    twice = run.adapt(trajectories=[data, data], steps=3, force=True)
    assert len(twice.record["effective_sample_size"]) == 3
    assert len(twice.returns) == 2
    adapted.save(tmp_path / "policy.pt")
    actor, seen = metarl.load_policy(tmp_path / "policy.pt"), np.full(2, 0.1, np.float32)
    np.testing.assert_array_equal(actor.predict(seen, deterministic=True)[0], adapted.act(seen))
    assert not np.array_equal(adapted.act(seen), run.learner.actor().predict(seen, None, None)[0])


@pytest.mark.parametrize("name", [PROTO, "rl2"])
def test_what_an_agent_believes_is_made_of_recordings(name: str, runs: Any, tmp_path: Path) -> None:
    """The same as if it had acted itself, with the same observations, actions and rewards."""
    run = runs[name]
    agent, env = run.agent(seed=3), Plane()
    recorder = metarl.TrajectoryRecorder()
    for _ in range(2):
        seen, _ = env.reset()
        recorder.start(seen)
        for t in range(6):
            acted = agent.act(seen)
            after, reward, *_ = env.step(acted.action)
            agent.observe(seen, acted, reward, after, False, t == 5)
            recorder.add(acted, reward, after, terminated=False, truncated=t == 5)
            seen = after
    adapted = run.adapt(trajectories=recorder.trajectories())
    assert isinstance(agent, OnlineAgent)
    assert adapted.record["agent"] == agent.info()
    noise = np.zeros(2)
    if name == "rl2":
        assert isinstance(adapted.policy, OnlineAgent)
        ours, theirs = adapted.policy.state()["remembered"], agent.state()["remembered"]
        assert all(torch.allclose(ours[k], theirs[k], atol=1e-6) for k in theirs)
        adapted.save(tmp_path / "agent.pt")
        again = run.agent()
        again.load(tmp_path / "agent.pt")
        np.testing.assert_array_equal(again.act(seen, noise).action, adapted.act(seen))
    else:
        np.testing.assert_allclose(adapted.act(seen), agent.act(seen, noise).action, atol=1e-6)
    with pytest.raises(metarl.InputError, match="steps are of learners by gradients"):
        run.adapt(trajectories=recorder.trajectories(), steps=2)


ADAPT = """
import sys

class NoFamilies:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "metarl_envs":
            raise ImportError(f"{name} is not there")

sys.meta_path.insert(0, NoFamilies())
import metarl
metarl.load_run(sys.argv[1]).adapt(trajectories=sys.argv[2]).save(sys.argv[3])
"""


@pytest.mark.slow  # 10 s: processes that import everything
@pytest.mark.parametrize("name", ["random-init", "proto-embedding", "rl2"])
def test_a_process_without_task_families_adapts(name: str, runs: Any, tmp_path: Path) -> None:
    data, saved = tmp_path / "data.npz", tmp_path / "adapted.pt"
    recorded(runs[name].agent()).save(data)
    command = [sys.executable, "-c", ADAPT, str(runs[name].folder), str(data), str(saved)]
    subprocess.run(command, check=True)
    assert saved.is_file()


@pytest.mark.slow  # 2 s of training
def test_what_does_not_adapt_says_so(runs: Any) -> None:
    run = runs["sb3-ppo"]
    with pytest.raises(metarl.InputError, match="trajectories it does not adapt: nothing that"):
        run.adapt(trajectories=recorded(run.learner.actor()))


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "width": ({"observations": np.zeros((21, 3))}, "observations are of shape"),
    "actions": ({"actions": np.full((18, 2), 0.2)}, "actions has 0.2 in trajectory 0, step 0, out"),
    "impossible": ({"log_probs": np.full(18, 9.0)}, "log_probs has 9 in trajectory 0, step 0, abo"),
    "another's": (
        {"log_probs": np.where(np.arange(360) < 3, -60.0, -1.0)},
        "--trajectories say too little of the policy that adapts, at step 1: their effective",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_line_on_the_command_line(
    case: str, runs: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = runs["random-init"]
    changed, message = WRONG[case]
    path = tmp_path / "data.npz"
    recorded(run.learner.actor(), 60 if case == "another's" else 3, **changed).save(path)
    command = ["adapt", str(run.folder), "--trajectories", str(path), "--output"]
    assert main([*command, str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("metarl: error: --trajectories ")
    assert message in line
    if case == "another's":
        assert main([*command, str(tmp_path / "out"), "--force"]) == 0
        assert "effective sample size" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--trajectories 4 --task {}", "4: no such file; how many are collected is --num-traj"),
        ("--trajectories none.npz", "--trajectories none.npz: No such file"),
        ("--force --task {}", "--force is for --trajectories"),
        ("--trajectories DATA --num-trajectories 3", "--num-trajectories are collected, and"),
        ("--trajectories DATA --env metarl/PointGoal-v0", "--env is not for --trajectories"),
        ("--trajectories DATA --video a.mp4", "--video films a given task"),
        ("--env Pendulum-v1", "--env Pendulum-v1 has observations of shape (3,), the run was"),
        ("--env Nope-v0", "--env Nope-v0 is not a registered environment"),
    ],
)
def test_what_does_not_go_together(
    options: str, message: str, runs: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = runs["random-init"]
    recorded(run.learner.actor()).save(tmp_path / "data.npz")
    given = options.replace("DATA", str(tmp_path / "data.npz")).split()
    assert main(["adapt", str(run.folder), *given, "--output", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", ["random-init", PROTO, "rl2"])
def test_a_policy_collects_where_the_task_is_unknown(name: str, runs: Any) -> None:
    env = Plane()
    adapted = runs[name].adapt(env=env, steps=2, num_trajectories=3)
    each = 3 if name == "random-init" else 1
    assert env.num_steps == 3 * each * 6
    assert not env.closed
    assert len(adapted.returns) == 3
    assert adapted.record["task"] is None
    assert adapted.record["trajectories"] == each
    assert adapted.act(np.zeros(2, np.float32)).shape == (2,)


def test_it_adapts_there_as_in_a_simulator(runs: Any) -> None:
    """One environment after another's trajectory, and vectors of them, draw the same numbers."""
    run = runs["random-init"]
    one = run.adapt(env=Plane, steps=1, num_trajectories=4)
    four = SyncVectorEnv([Plane] * 4, autoreset_mode=AutoresetMode.NEXT_STEP)
    assert run.adapt(env=four, steps=1, num_trajectories=4).returns == one.returns
    weights = one.policy.policy.state_dict()
    data = recorded(_Drawn(run, 4), 4)
    again = run.adapt(trajectories=data).policy.policy.state_dict()
    assert all(torch.allclose(again[name], value, atol=1e-5) for name, value in weights.items())


class _Drawn:
    """Acts by the noise of the sampler's streams, one trajectory after another."""

    def __init__(self, run: metarl.Run, num: int) -> None:
        self.actor: Any = run.learner.actor()
        streams = Streams(0, "test").at(0)
        noise = self.actor.policy.noise((num, 6), streams.numpy("actions", 0))
        self.noise = iter(noise.reshape(-1, 2).numpy())

    def act(self, seen: Any) -> Any:
        return self.actor.act(seen, next(self.noise))


def test_actions_of_other_bounds_are_refused(runs: Any) -> None:
    class Wide(Plane):
        action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    with pytest.raises(
        metarl.InputError, match=r"env Wide has actions Box\(-1.0, 1.0, .* Box\(-0.1"
    ):
        runs["random-init"].adapt(env=Wide())
    with pytest.raises(metarl.InputError, match="env must be an id, a function or an environment"):
        runs["random-init"].adapt(env=3)
    two = SyncVectorEnv([Plane, Plane])
    with pytest.raises(metarl.InputError, match="env it adapts within one trial: give one env"):
        runs["rl2"].adapt(env=two)
    with pytest.raises(metarl.InputError, match=r"trajectories must be recorded, .* got 3; how ma"):
        runs["random-init"].adapt(task={"goal": [0.0, 0.0]}, trajectories=3)

"""The programs of docs/deployment.md run, each with a robot."""

import re
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import onnxruntime
import pytest

import metarl

GUIDE = Path(__file__).parents[2] / "docs" / "deployment.md"


PROGRAMS = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
assert len(PROGRAMS) == 4


class Running:
    """True for a hundred steps."""

    left = 101

    def __bool__(self) -> bool:
        self.left -= 1
        return self.left > 0


class Robot:
    """PointGoal, as somebody's robot."""

    def __init__(self) -> None:
        self.env = gym.make("metarl/PointGoal-v0", max_episode_steps=20)

    def reset(self) -> Any:
        return self.env.reset(seed=0)[0]

    def step(self, action: Any) -> Any:
        assert action in self.env.action_space
        return self.env.step(action)[:4]


@pytest.mark.docs  # 15 s, of it an export of 8 s
@pytest.mark.parametrize("learner", ["rl2", "proto-embedding"])
def test_its_programs_run(learner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small: dict[str, Any] = {"meta_batch_size": 2, "num_trajectories": 2, "eval_tasks": 0}
    small |= {"iterations": 1, "horizon": 20}
    if learner == "proto-embedding":
        small |= {"encoder_warmup": 2, "num_ways": 2}
    run = metarl.train(learner, env="metarl/PointGoal-v0", output=tmp_path / "runs", **small)
    run.export_numpy(tmp_path / "agent.npz")
    run.export_onnx(tmp_path / "agent.onnx")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "numpy_agent", raising=False)
    for program in PROGRAMS[:-1]:
        names = {"metarl": metarl, "np": np, "robot": Robot(), "running": Running()}
        exec(program.replace("runs/…", str(run.folder)), names)
        assert names["running"].left == 0


@pytest.mark.docs  # 10 s, an export
def test_a_policy_that_does_not_adapt_is_called_once(tmp_path: Path) -> None:
    small: dict[str, Any] = {"meta_batch_size": 2, "num_trajectories": 2, "eval_tasks": 0}
    run = metarl.train(
        "random-init", env="metarl/PointGoal-v0", output=tmp_path, iterations=1, **small
    )
    run.adapt(task={"goal": [0.3, 0.2]}).export_onnx(tmp_path / "agent.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "agent.onnx")
    observations = np.random.default_rng(0).uniform(-1, 1, (5, 2)).astype(np.float32)
    names = {"session": session, "observations": observations, "noise": np.zeros_like(observations)}
    exec(PROGRAMS[-1], names)
    assert names["raw"].shape == names["action"].shape == (5, 2)

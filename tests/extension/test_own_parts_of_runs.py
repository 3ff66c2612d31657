"""A network, a writer, a task family and a backbone of a user's own, in runs of ours."""

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

import metarl
from metarl.training import CSVWriter, Writer
from metarl.types import Metrics
from metarl_envs import Product, Uniform

SMALL: dict[str, Any] = {
    "iterations": 2,
    "meta_batch_size": 2,
    "num_trajectories": 2,
    "eval_tasks": 2,
}
FEW = {"tasks": 2, "trajectories": 2, "steps": 1}


class Line(gym.Env[Any, Any]):
    """Walk along a line to a place that is the task; nothing of it comes from metarl."""

    observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    task_distribution = Product({"place": Uniform(-1.0, 1.0)})
    task_space = task_distribution.space

    def __init__(self, length: float = 0.2) -> None:
        self.length = length
        self.task: Any = {"place": np.array(0.5)}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.x, self.steps = 0.0, 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.x += self.length * float(np.clip(action[0], -1, 1))
        self.steps += 1
        reward = -abs(self.x - float(self.task["place"]))
        return self._observe(), reward, False, self.steps == 5, {}

    def _observe(self) -> Any:
        return np.array([self.x], np.float32)


class Gated(nn.Module):
    """A network that metarl does not know."""

    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__()
        self.hidden, self.gate = nn.Linear(fan_in, 8), nn.Linear(fan_in, 8)
        self.last = nn.Linear(8, fan_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        last: torch.Tensor = self.last(torch.tanh(self.hidden(x)) * torch.sigmoid(self.gate(x)))
        return last


class Newest(Writer):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.rows: dict[int, Metrics] = {}
        self.closed = False

    def open(self, folder: Path, iteration: int) -> None:
        self.folder = folder

    def write(self, iteration: int, metrics: Metrics) -> None:
        self.rows[iteration] = metrics

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("learner", ["maml-trpo", "sb3-ppo"])
@pytest.mark.parametrize("env", [Line, Line(0.3)], ids=["callable", "object"])
def test_an_own_task_family(env: Any, learner: str, tmp_path: Path) -> None:
    """Trained, loaded without it, and evaluated with it given again."""
    options = {"num_minibatches": 2} if learner == "sb3-ppo" else {}
    run = metarl.train(learner, env=env, output=tmp_path, horizon=5, **SMALL, **options)
    assert json.loads((run.folder / "evaluation.json").read_text())["held_out"]
    adapted = run.adapt(task={"place": 0.25}, steps=1, num_trajectories=2)
    assert adapted.act(np.zeros(1, np.float32)).shape == (1,)
    loaded = metarl.load_run(run.folder)
    with pytest.raises(metarl.InputError, match=r"again, from Python by metarl\.load_run"):
        loaded.evaluate(**FEW)
    again = metarl.load_run(run.folder, env=env)
    np.testing.assert_array_equal(again.evaluate(**FEW).values, run.evaluate(**FEW).values)


def test_copies_of_an_object_do_not_share_their_tasks(tmp_path: Path) -> None:
    run = metarl.train("maml-vpg", env=Line(), output=tmp_path, horizon=5, **SMALL)
    tasks = json.loads((run.folder / "evaluation.json").read_text())["tasks"]
    assert tasks[0]["place"] != tasks[1]["place"]


def test_an_own_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    options: dict[str, Any] = {**SMALL, "num_trajectories": 4, "horizon": 5}
    run = metarl.train("maml-vpg", env=Line, policy=Gated(1, 1), output=tmp_path, **options)
    assert isinstance(run.learner.policy.network, Gated)
    with pytest.raises(metarl.InputError, match=r"one of your own, .*Gated"):
        metarl.load_run(run.folder, env=Line)
    again = metarl.load_run(run.folder, env=Line, policy=Gated(1, 1))
    np.testing.assert_array_equal(again.evaluate(**FEW).values, run.evaluate(**FEW).values)
    adapted = run.adapt(task={"place": 0.25}, steps=1, num_trajectories=2)
    adapted.save(tmp_path / "policy.pt")
    actor = metarl.load_policy(tmp_path / "policy.pt", network=Gated(1, 1))
    seen = np.full(1, 0.1, np.float32)
    action, _ = actor.predict(seen, deterministic=True)
    np.testing.assert_array_equal(action, adapted.act(seen))


def test_an_own_network_of_the_wrong_width(tmp_path: Path) -> None:
    with pytest.raises(metarl.InputError, match="gave outputs of shape"):
        metarl.train("maml-vpg", env=Line, policy=Gated(1, 2), output=tmp_path, horizon=5, **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_an_own_writer(tmp_path: Path) -> None:
    writer = Newest()
    run = metarl.train(
        "random-init",
        env="metarl/PointGoal-v0",
        output=tmp_path,
        writers=[CSVWriter(), writer],
        horizon=5,
        **SMALL,
    )
    assert sorted(writer.rows) == [1, 2]
    assert "rollout/return_pre" in writer.rows[1]
    assert writer.folder == run.folder
    assert writer.closed
    assert not list(run.folder.glob("events.out*"))  # TensorBoard was not asked for


def test_an_own_backbone(tmp_path: Path) -> None:
    def backbone() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.ReLU())

    run = metarl.train_fewshot(
        "protonet",
        backbone=backbone(),
        output=tmp_path,
        iterations=2,
        num_ways=3,
        num_validation=2,
        eval_tasks=3,
    )
    curve = run.evaluate(tasks=4)
    with pytest.raises(metarl.InputError, match="backbone"):
        metarl.load_run(run.folder)
    again = metarl.load_run(run.folder, backbone=backbone())
    np.testing.assert_array_equal(again.evaluate(tasks=4).values, curve.values)

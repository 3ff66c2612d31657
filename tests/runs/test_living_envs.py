"""Copies of the user's environment: never more than training has, wherever a policy is tried."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

import metarl
from metarl.cli import main
from metarl_envs import Product, Uniform

SIZES: dict[str, Any] = {"meta_batch_size": 2, "num_trajectories": 2}  # 4 environments
SHORT: dict[str, Any] = {"horizon": 3, "iterations": 2, "eval_every": 1, "hidden_sizes": (4,)}


class Counted(gym.Env[Any, Any]):
    """Stays where it is, and counts those that are not closed."""

    living = 0
    most = 0
    observation_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    task_distribution = Product({"place": Uniform(-1.0, 1.0)})
    task_space = task_distribution.space

    def __init__(self) -> None:
        self.task: Any = {"place": np.array(0.5)}
        self.closed = False
        Counted.living += 1
        Counted.most = max(Counted.most, Counted.living)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Counted":
        return Counted()

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        reward = -abs(float(action[0]) - float(self.task["place"]))
        return np.zeros(1, np.float32), reward, False, False, {}

    def close(self) -> None:
        Counted.living -= not self.closed
        self.closed = True


gym.register("tests/Counted-v0", Counted, max_episode_steps=3)


@pytest.fixture
def most() -> Callable[[], int]:
    """The most copies that lived at once, asked for at the end."""
    Counted.living = Counted.most = 0
    return lambda: Counted.most


FEW_STEPS: dict[str, dict[str, Any]] = {
    "maml-trpo": {},
    "rl2": {"num_epochs": 1, "num_minibatches": 2},
    "proto-embedding": {"num_epochs": 1, "encoder_steps": 1, "encoder_warmup": 1, "num_ways": 2},
}


@pytest.mark.slow  # 4 s each
@pytest.mark.parametrize("learner", FEW_STEPS)
def test_never_more_copies_than_training_has(learner: str, most: Any, tmp_path: Path) -> None:
    few = FEW_STEPS[learner]
    done: list[int] = []
    run = metarl.train(learner, env=Counted, output=tmp_path, eval_tasks=3, **SIZES, **SHORT, **few)
    assert most() == 4
    run.evaluate(tasks=3, trajectories=5, steps=1, progress=lambda now, total: done.append(now))
    again = metarl.load_run(run.folder, env=Counted)
    again.evaluate(tasks=3, trajectories=2, steps=1)
    if learner != "rl2":
        run.adapt(task={"place": 0.25}, steps=1, num_trajectories=5)
    assert most() == 4
    assert sorted(done) == done
    assert done[-1] == 3 > done[0]


def test_copies_of_an_object_too(most: Any, tmp_path: Path) -> None:
    env = Counted()
    run = metarl.train("maml-vpg", env=env, output=tmp_path, eval_tasks=2, **SIZES, **SHORT)
    run.learner.iterate()  # training's environments are made again
    run.learner.evaluate()
    assert most() == 1 + 4


def test_progress_of_the_closing_evaluation_and_none_without_one(
    most: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = ["--meta-batch-size", "2", "--num-trajectories", "2", "--iterations", "1"]
    command = ["train", "maml-vpg", "--env", "tests/Counted-v0", "--output", str(tmp_path)]
    assert main([*command, *numbers, "--eval-tasks", "8"]) == 0
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if "evaluation:" in line]
    assert lines == [f"metarl: evaluation: {done} of 8 tasks" for done in (2, 4, 6)]
    (folder,) = tmp_path.iterdir()
    assert main(["evaluate", str(folder), "--tasks", "4", "--trajectories", "4"]) == 0
    assert "metarl: evaluation: 1 of 4 tasks" in capsys.readouterr().err
    task = ["--task", '{"place": 0.5}', "--output", str(tmp_path / "adapted")]
    assert main(["adapt", str(folder), *task]) == 0
    assert most() == 4
    assert main([*command, *numbers, "--eval-tasks", "0", "--name", "none"]) == 0
    assert "evaluation:" not in capsys.readouterr().err
    (without,) = tmp_path.glob("none*")
    assert not (without / "evaluation.json").exists()

"""A trained run adapts to a file, in a process that has no task families, as in its simulator."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import metarl

ADAPT = """
import sys

class NoFamilies:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "metarl_envs":
            raise ImportError(f"{name} is not there")

sys.meta_path.insert(0, NoFamilies())
import metarl

folder, *files = sys.argv[1:]
run = metarl.load_run(folder)
for file in files:
    run.adapt(trajectories=file).save(file + ".pt")
assert "metarl_envs" not in sys.modules
"""


class Plane:
    """A point and a place to be at, without gymnasium or metarl."""

    def __init__(self, goal: Any) -> None:
        self.goal = goal

    def reset(self) -> Any:
        self.at = np.zeros(2, np.float32)
        return self.at

    def step(self, action: Any) -> tuple[Any, float, bool]:
        self.at = (self.at + np.clip(action, -0.1, 0.1)).astype(np.float32)
        away = self.at - self.goal
        return self.at, -float(np.linalg.norm(away)), bool((np.abs(away) < 0.01).all())


def record(policy: Any, goal: Any, num: int = 10) -> metarl.Trajectories:
    env, recorder = Plane(goal), metarl.TrajectoryRecorder()
    for _ in range(num):
        seen = env.reset()
        recorder.start(seen)
        for t in range(100):
            acted = policy.act(seen)
            seen, reward, there = env.step(acted.action)
            recorder.add(acted, reward, seen, terminated=there, truncated=t == 99)
            if there:
                break
    return recorder.trajectories()


def gain(before: Any, after: Any) -> float:
    return float(np.mean(after) - np.mean(before))


@pytest.mark.learning  # two minutes, of which at most 80 s are training
def test_the_gain_from_files_is_that_of_an_evaluation(tmp_path: Path) -> None:
    """Within the interval of the one-step gain of ``metarl evaluate``, on other goals.

    And, goal by goal, that of the simulator: a bias of the data would show in the mean difference.
    """
    run = metarl.train(
        "maml-trpo", env="metarl/PointGoal-v0", iterations=150, time_limit=80, output=tmp_path
    )
    curve = run.evaluate(tasks=200, steps=1, trajectories=10, seed=1).values
    goals = np.random.default_rng(7).uniform(-0.5, 0.5, (40, 2))
    files = [str(tmp_path / f"{index}.npz") for index in range(len(goals))]
    recordings = [record(run.agent(seed=1), goal) for goal in goals]
    for data, file in zip(recordings, files, strict=True):
        data.save(file)
    subprocess.run([sys.executable, "-c", ADAPT, str(run.folder), *files], check=True)
    ours, theirs = [], []
    for goal, data, file in zip(goals, recordings, files, strict=True):
        after = record(metarl.load_policy(f"{file}.pt"), goal)
        ours.append(gain(data.returns(), after.returns()))
        task = {"goal": goal.tolist()}
        theirs.append(gain(*run.adapt(task=task, steps=1, num_trajectories=10).returns))
    evaluated = curve[1] - curve[0]
    spread = np.hypot(np.std(ours, ddof=1) / 40**0.5, evaluated.std(ddof=1) / 200**0.5)
    assert evaluated.mean() > 15
    assert abs(np.mean(ours) - evaluated.mean()) < 1.96 * spread
    difference = np.subtract(ours, theirs)
    assert abs(difference.mean()) < 3 * difference.std(ddof=1) / 40**0.5
    assert difference.std() < 5

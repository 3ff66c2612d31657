"""Robots that are not ours train through the command line: ``experiments/own_robot.py``."""

import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from metarl.cli import main
from metarl.runs import simulated

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
SMALL = ["--meta-batch-size", "2", "--num-trajectories", "2", "--horizon", "5", "--eval-tasks", "2"]
ROBOTS = {
    "PendulumDynamics-v0": {
        "pole_mass": 2.0,
        "pole_inertia": 0.5,
        "dof_damping": [0.5, 2.0],
        "gravity": 1.25,
    },
    "PusherGoal-v0": {"goal": [0.5, -0.3]},
}


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """The module is in the current folder; 1600 environments are too many for a test."""
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    monkeypatch.setattr(simulated, "NUM_TASKS", 2)
    monkeypatch.setattr(simulated, "NUM_TRAJECTORIES", 2)


@pytest.mark.parametrize("robot", list(ROBOTS))
def test_a_robot_trains_evaluates_and_adapts(robot, tmp_path, capsys):
    env = f"own_robot:{robot}"
    runs = ["--iterations", "2", "--output", str(tmp_path / "runs"), *SMALL]
    assert main(["train", "maml-trpo", "--env", env, *runs]) == 0
    (run,) = (tmp_path / "runs").iterdir()
    figures = json.loads((run / "evaluation.json").read_text())
    assert figures["env"] == env
    assert figures["held_out"]
    assert np.isfinite(figures["returns"]).all()
    adapt = ["adapt", str(run), "--output", str(tmp_path / "adapted"), "--steps", "1"]
    adapt += ["--num-trajectories", "2", "--task"]
    assert main([*adapt, json.dumps(ROBOTS[robot])]) == 0
    assert (tmp_path / "adapted" / "policy.pt").exists()
    capsys.readouterr()
    wrong = {**ROBOTS[robot], next(iter(ROBOTS[robot])): 99.0}
    assert main([*adapt, json.dumps(wrong)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"'{next(iter(wrong))}' is 99.0; it must lie within" in line


def test_a_robot_trains_in_processes(tmp_path):
    options = ["--env-kwargs", '{"vectorization_mode": "async"}', "--output", str(tmp_path)]
    env = ["--env", "own_robot:PusherGoal-v0"]
    small = ["--meta-batch-size", "2", "--num-trajectories", "1", "--horizon", "5"]
    assert main(["train", "maml-vpg", *env, *options, *small, "--iterations", "1"]) == 0
    (run,) = tmp_path.iterdir()
    assert json.loads((run / "evaluation.json").read_text())["env_steps"] == 2 * 2 * 5


def test_robots_hide_what_they_change(monkeypatch):
    monkeypatch.chdir(EXPERIMENTS)
    robots = [*ROBOTS, "SwingUpDynamics-v0"]
    spaces = [gym.make(f"own_robot:{robot}").observation_space.shape for robot in robots]
    assert spaces == [(4,), (20,), (3,)]

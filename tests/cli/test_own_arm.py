"""A robot of a user's own on the batched engine, through the command line."""

import json
from dataclasses import replace

import gymnasium as gym
import own_arm
import pytest

from metarl.cli import main
from metarl.runs import simulated
from metarl_envs import mujoco

ENV = ["--env", "own_arm:ArmReach-v0"]
SMALL = ["--meta-batch-size", "2", "--num-trajectories", "2", "--horizon", "5", "--eval-tasks", "2"]


def test_an_arm_trains_evaluates_in_rows_and_adapts(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(simulated, "NUM_TRAJECTORIES", 2)
    monkeypatch.setattr("metarl.runs.run.draw", lambda *given: ())  # most of the time of a run
    options = ["--iterations", "1", "--output", str(tmp_path / "runs"), *SMALL]
    assert main(["train", "maml-trpo", *ENV, *options, "--env-kwargs", '{"heaviest": 3}']) == 0
    (run,) = (tmp_path / "runs").iterdir()
    config = json.loads((run / "config.json").read_text())
    assert config["problem"]["trained_on"]["batched"]
    figures = json.loads((run / "evaluation.json").read_text())
    assert figures["held_out"]
    adapt = ["adapt", str(run), *ENV, "--output", str(tmp_path / "adapted"), "--steps", "1"]
    adapt += ["--num-trajectories", "2", "--task"]
    assert main([*adapt, '{"goal": [0.3, 0.1, 0.2], "payload": 2.5}']) == 0
    capsys.readouterr()
    assert main([*adapt, '{"goal": [0.3, 0.1, 0.2], "payload": 4}']) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("metarl: error: --task entry 'payload' is 4.0; it must lie within")


@pytest.fixture
def _own_id():
    yield
    del gym.registry["test/Falling-v0"]


def falls(step):
    return 1 / len(step.action[:0])


def falls_later(step):
    return step.velocity * 0.0 if not step.physics.qvel.any() else falls(step)


@pytest.mark.usefixtures("_own_id")
@pytest.mark.parametrize(("reward", "where"), [(falls, "making it"), (falls_later, "step 1")])
def test_what_a_reward_raises_is_one_line_with_its_place(reward, where, tmp_path, capsys):
    family = replace(own_arm.arm_reach(), reward=reward)
    mujoco.register("test/Falling-v0", family, max_episode_steps=5)
    arguments = ["train", "maml-trpo", "--env", "test/Falling-v0", "--output", str(tmp_path)]
    assert main([*arguments, "--iterations", "1", *SMALL]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"metarl: error: test/Falling-v0, {where}: ZeroDivisionError: ")
    assert "test_own_arm.py:" in line

"""Discrete actions, images and shown tasks from the command line."""

import json

import gymnasium as gym
import numpy as np
import pytest

from metarl import load_run
from metarl.cli import main
from metarl.rl import load_policy

TWO = ["--eval-tasks", "2"]
SMALL = ["--meta-batch-size", "2", "--num-trajectories", "4", "--iterations", "1", *TWO]
FEW = ["--tasks", "2", "--trajectories", "4", "--steps", "1"]
IMAGE = ["--env-kwargs", '{"observation": "image"}']


@pytest.mark.parametrize(
    ("learner", "env", "options"),
    [
        ("maml-trpo", "metarl/BernoulliBandit-v0", []),
        ("promp", "metarl/TabularMDP-v0", []),
        ("cavia", "metarl/GridNavi-v0", IMAGE),
        ("reptile", "metarl/GridNavi-v0", []),
    ],
)
def test_discrete_families_train_and_adapt(learner, env, options, tmp_path):
    command = ["train", learner, "--env", env, *options, *SMALL, "--output", str(tmp_path)]
    assert main(command) == 0
    (run,) = tmp_path.iterdir()
    assert main(["evaluate", str(run), *FEW]) == 0
    figures = json.loads((run / "evaluation.json").read_text())
    assert np.isfinite(figures["returns"]).all()
    assert np.shape(figures["returns"]) == (2, 2)


def test_an_adapted_policy_acts_on_images(tmp_path):
    command = ["train", "maml-vpg", "--env", "metarl/GridNavi-v0", *IMAGE, *SMALL]
    assert main([*command, "--output", str(tmp_path / "runs")]) == 0
    (run,) = (tmp_path / "runs").iterdir()
    task = ["--task", '{"goal": [3, 1]}', "--output", str(tmp_path / "adapted")]
    assert main(["adapt", str(run), *task, "--num-trajectories", "4", "--steps", "1"]) == 0
    actor = load_policy(tmp_path / "adapted" / "policy.pt")
    env = gym.make("metarl/GridNavi-v0", observation="image", task={"goal": [3, 1]})
    observation, _ = env.reset(seed=0)
    for _ in range(15):
        action, _ = actor.predict(observation)
        observation, *_ = env.step(action)


def test_an_oracle_sees_the_task(tmp_path):
    command = ["train", "oracle", "--env", "metarl/PointGoal-v0", *SMALL, "--horizon", "10"]
    assert main([*command, "--output", str(tmp_path)]) == 0
    (run,) = tmp_path.iterdir()
    learner = load_run(run).learner
    learner.sampler.draw_tasks(np.random.default_rng(0), "held_out")
    goals = [task["goal"] for task in learner.sampler.env.get_attr("task")]
    rollout = learner.collect().rollouts[-1]
    assert rollout.observations.shape[-1] == 4
    learner.sampler.set_tasks([{"goal": goals[0]}, {"goal": goals[-1]}])
    shown = learner.sampler.env.reset(seed=0)[0][:, 2:]
    np.testing.assert_allclose(shown, np.asarray([goals[0]] * 4 + [goals[-1]] * 4) / 0.5)


def test_an_oracle_of_images_is_refused(capsys):
    assert main(["train", "oracle", "--env", "metarl/GridNavi-v0", *IMAGE, *SMALL]) == 2
    error = capsys.readouterr().err
    assert "--env metarl/GridNavi-v0: a task can be shown beside a Box of one axis" in error

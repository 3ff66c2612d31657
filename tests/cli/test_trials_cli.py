"""Learners over stable-baselines3 from the command line: train, evaluate, adapt, export, resume."""

import csv
import json
import math

import numpy as np
import pytest
from stable_baselines3 import PPO

from metarl import load_run
from metarl.cli import main
from metarl.rl import load_policy

ENV = ["--env", "metarl/PointGoal-v0", "--env-kwargs", '{"max_episode_steps": 5}']
SMALL = [*ENV, "--meta-batch-size", "4", "--num-trajectories", "2", "--hidden-sizes", "8"]
QUICK = ["--iterations", "1", "--num-epochs", "1", "--eval-tasks", "2"]
FEW = ["--tasks", "3", "--trajectories", "2", "--steps", "1"]
TASK = ["--task", '{"goal": [0.3, -0.4]}']
OBSERVATIONS = np.random.default_rng(0).normal(size=(1000, 2)).astype(np.float32) / 10


def trained(output, learner, *options):
    """The run folder of a new run."""
    assert main(["train", learner, *SMALL, *QUICK, *options, "--output", str(output)]) == 0
    (run,) = output.iterdir()
    return run


@pytest.fixture(scope="module")
def proto(tmp_path_factory):
    return trained(
        tmp_path_factory.mktemp("proto"),
        "proto-embedding",
        "--encoder-warmup",
        "2",
        "--initial-log-std",
        "-1.5",
    )


@pytest.fixture(scope="module")
def ppo(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("ppo"), "sb3-ppo")


def complaint(capsys, arguments):
    """The one line of a command that must fail with status 2."""
    capsys.readouterr()
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize("learner", ["rl2", "sb3-oracle", "sb3-finetune"])
def test_every_learner_trains_and_reports_trajectories(learner, tmp_path):
    run = trained(tmp_path, learner)
    assert main(["evaluate", str(run), *FEW]) == 0
    figures = json.loads((run / "evaluation.json").read_text())
    assert figures["learner"] == learner
    assert np.shape(figures["returns"]) == (2, 3)
    assert figures["env_steps"] == 8 * 5 * (2 if learner == "rl2" else 1)


def test_a_horizon_ends_trajectories(tmp_path):
    run = trained(tmp_path, "sb3-ppo", "--horizon", "3")
    assert json.loads((run / "evaluation.json").read_text())["env_steps"] == 8 * 3


def test_an_evaluation_shows_the_embedding(proto, capsys):
    assert main(["evaluate", str(proto), *FEW, "--seed", "1"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(proto), *FEW]) == 0
    captured = capsys.readouterr()
    assert "embedding.png" in captured.out.replace("\n", "")
    assert not captured.err
    figures = json.loads((proto / "evaluation.json").read_text())
    assert 0.0 <= figures["embedding_accuracy"] <= 1.0
    (tensors,) = proto.glob("*/tasks/tensors.tsv")
    (metadata,) = proto.glob("*/tasks/metadata.tsv")
    points = np.loadtxt(tensors, ndmin=2)
    with metadata.open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(points) == len(rows) == 3 * 2
    goals = [task["goal"] for task in figures["tasks"]]
    assert [float(row["goal[1]"]) for row in rows] == pytest.approx(
        np.repeat([goal[1] for goal in goals], 2), rel=1e-3
    )
    assert (proto / "projector_config.pbtxt").is_file()
    assert (proto / "embedding.png").is_file()


def test_training_metrics_hold_those_of_stable_baselines3(proto):
    with (proto / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["sb3/train/n_updates"]) == 1
    # below the floor of learners by gradients, which PPO has not
    assert float(row["sb3/train/std"]) == pytest.approx(math.exp(-1.5), rel=0.05)
    assert {"eval/embedding_accuracy", "adapt/embedding_accuracy", "rollout/return_first"} <= set(
        row
    )


def test_an_adapted_policy_is_kept_and_exported(proto, tmp_path):
    adapted, model = tmp_path / "adapted", tmp_path / "model.zip"
    few = ["--steps", "1", "--num-trajectories", "2"]
    assert main(["adapt", str(proto), *TASK, *few, "--output", str(adapted)]) == 0
    figures = json.loads((adapted / "adaptation.json").read_text())
    assert len(figures["returns"]) == 2
    policy = adapted / "policy.pt"
    assert main(["export", str(proto), "--sb3", str(model), "--policy", str(policy)]) == 0
    expected, _ = load_policy(policy).predict(OBSERVATIONS, deterministic=True)
    predicted, _ = PPO.load(model, device="cpu").predict(OBSERVATIONS, deterministic=True)
    np.testing.assert_allclose(predicted, expected, atol=1e-6)
    assert np.ptp(expected) > 1e-4


def test_policies_start_runs(ppo, tmp_path, capsys):
    """From PPO over randomised tasks to meta-training, and to one task."""
    model = tmp_path / "model.zip"
    assert main(["export", str(ppo), "--sb3", str(model)]) == 0
    start = ["--init-from", str(model)]
    maml = ["train", "maml-vpg", *SMALL, "--iterations", "1", *start, "--outer-lr", "1e-9"]
    assert main([*maml, "--output", str(tmp_path / "maml")]) == 0
    (run,) = (tmp_path / "maml").iterdir()
    again = tmp_path / "again.zip"
    assert main(["export", str(run), "--sb3", str(again)]) == 0
    one, other = (PPO.load(path, device="cpu") for path in (model, again))
    np.testing.assert_allclose(
        one.predict(OBSERVATIONS, deterministic=True)[0],
        other.predict(OBSERVATIONS, deterministic=True)[0],
        atol=1e-6,
    )
    assert trained(tmp_path / "tuned", "sb3-finetune", *start, *TASK).is_dir()
    wide = ["train", "maml-vpg", *SMALL, *start, "--hidden-sizes", "9", "--output", str(tmp_path)]
    assert "of another shape: 2-8-2 tanh, continuous there, 2-9-2" in complaint(capsys, wide)
    policy = tmp_path / "adapted"
    few = ["--steps", "1", "--num-trajectories", "2"]
    assert main(["adapt", str(run), *TASK, *few, "--output", str(policy)]) == 0
    other = ["train", "maml-vpg", *SMALL, "--init-from", str(policy / "policy.pt")]
    other += ["--action-scale", "10", "--output", str(tmp_path)]
    assert "has other actions: ActionScaling" in complaint(capsys, other)
    model.unlink()  # a run has its weights of its own
    assert main(["evaluate", str(run), *FEW]) == 0


def test_a_start_below_the_floor_begins_at_the_floor(ppo, tmp_path):
    model = tmp_path / "model.zip"
    assert main(["export", str(ppo), "--sb3", str(model)]) == 0
    start = PPO.load(model, device="cpu")
    start.policy.log_std.data.fill_(-9.0)
    start.save(model)
    command = ["train", "maml-vpg", *SMALL, "--iterations", "1", "--init-from", str(model)]
    assert main([*command, "--outer-lr", "1e-9", "--output", str(tmp_path / "maml")]) == 0
    (run,) = (tmp_path / "maml").iterdir()
    log_std = load_run(run).learner.policy.log_std
    assert log_std.tolist() == pytest.approx([-0.5, -0.5])


def test_runs_go_on(ppo, capsys):
    assert main(["resume", str(ppo), "--iterations", "2"]) == 0
    assert "complete after 2 iterations" in capsys.readouterr().err


def test_what_cannot_be_done_is_named(proto, tmp_path, capsys):
    rl2 = trained(tmp_path / "rl2", "rl2")
    train, output = ["train", "sb3-ppo", *SMALL], ["--output", str(tmp_path)]
    proto_train = ["train", "proto-embedding", *SMALL]
    finetune = ["train", "sb3-finetune", *SMALL]
    lines = {
        "--inner-lr is for learners by gradients": ["evaluate", str(proto), "--inner-lr", *"111"],
        "a recurrent policy cannot be taken out": ["export", str(rl2), "--sb3", "m.zip"],
        "--video-every: --env metarl/PointGoal-v0 draws no pictures": [
            *train,
            "--video-every",
            "1",
            *output,
        ],
        "--horizon 9 is beyond": [*train, "--horizon", "9", *output],
        "--task entry 'goal' is [3.0, 0.0]; it must lie within": [
            *finetune,
            "--task",
            '{"goal": [3.0, 0.0]}',
            *output,
        ],
        "--init-from none.zip": [*train, "--init-from", "none.zip", *output],
        "--trial-length must be at least 2, got 1": [*proto_train, "--trial-length", "1", *output],
        "--optimiser is always ppo with rl2: leave it out": [
            "train",
            "rl2",
            *SMALL,
            "--optimiser",
            "sac",
            *output,
        ],
        "--min-log-std": [*train, "--min-log-std", "-1", *output],
    }
    for part, arguments in lines.items():
        assert part in complaint(capsys, arguments)

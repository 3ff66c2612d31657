"""``metarl export``: the model is the policy, and wrong input is named."""

import importlib.util
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO

from metarl import load_run
from metarl.cli import main
from metarl.rl import load_policy

TWO = ["--eval-tasks", "2"]
SMALL = ["--meta-batch-size", "2", "--num-trajectories", "4", "--horizon", "10", *TWO]
OBSERVATIONS = np.random.default_rng(0).normal(size=(1000, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def run(tmp_path_factory: Any) -> Any:
    output = tmp_path_factory.mktemp("runs")
    command = ["train", "maml-vpg", "--env", "metarl/PointGoal-v0", "--iterations", "1", *SMALL]
    assert main([*command, "--outer-lr", "0.1", "--output", str(output)]) == 0
    (folder,) = output.iterdir()
    return folder


def test_the_meta_learned_policy_is_exported(run: Any, tmp_path: Any) -> None:
    target = tmp_path / "models" / "model.zip"
    assert main(["export", str(run), "--sb3", str(target)]) == 0
    actor = load_run(run).learner.actor()
    expected, _ = actor.predict(OBSERVATIONS, deterministic=True)
    predicted, _ = PPO.load(target, device="cpu").predict(OBSERVATIONS, deterministic=True)
    np.testing.assert_allclose(predicted, expected, atol=1e-6)


def test_an_adapted_policy_is_exported_and_goes_on_training(run: Any, tmp_path: Any) -> None:
    adapted, target = tmp_path / "adapted", tmp_path / "model.zip"
    task = ["--task", '{"goal": [0.3, -0.4]}', "--steps", "1", "--num-trajectories", "4"]
    assert main(["adapt", str(run), *task, "--output", str(adapted)]) == 0
    policy = adapted / "policy.pt"
    assert main(["export", str(run), "--sb3", str(target), "--policy", str(policy)]) == 0
    env = gym.make("metarl/PointGoal-v0", task={"goal": [0.3, -0.4]})
    model = PPO.load(target, env=env, device="cpu")
    expected, _ = load_policy(policy).predict(OBSERVATIONS, deterministic=True)
    predicted, _ = model.predict(OBSERVATIONS, deterministic=True)
    np.testing.assert_allclose(predicted, expected, atol=1e-6)
    model.learn(10)


def numpy_actions(folder: Path) -> Any:
    """Of the mean, by the files alone."""
    names: dict[str, Any] = {}
    exec((folder / "numpy_agent.py").read_text(), names)
    robot = names["NumpyAgent"](folder / "robot.npz")
    return np.stack([robot.act(seen, np.zeros(2))[1] for seen in OBSERVATIONS])


def test_policies_leave_for_numpy(run: Any, tmp_path: Any) -> None:
    """The meta-learned policy, one in a file, and an adapted one of the run."""
    actor = load_run(run).learner.actor()
    actor.save(tmp_path / "policy.pt")
    expected, _ = actor.predict(OBSERVATIONS, deterministic=True)
    policy = str(tmp_path / "policy.pt")
    for number, source in enumerate([[str(run)], [policy], [str(run), "--policy", policy]]):
        folder = tmp_path / str(number)
        assert main(["export", *source, "--numpy", str(folder / "robot.npz")]) == 0
        np.testing.assert_allclose(numpy_actions(folder), expected, atol=1e-6)


def test_a_missing_extra_is_one_line(run: Any, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["export", str(run), "--onnx", "m.onnx"]) == 2
    assert capsys.readouterr().err.endswith(
        "onnx and onnxscript are missing: pip install 'metarl-toolkit[deploy]'\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sb3", "model.pt"], "--sb3 must be a file that ends in .zip, got model.pt"),
        (["--sb3", "m.zip", "--policy", "none.pt"], "--policy .*none.pt"),
        (["--numpy", "m.npy"], "--numpy must be a file that ends in .npz, got m.npy"),
        (
            ["--onnx", "m.onnx", "--numpy", "m.npz"],
            "--onnx FILE.onnx, --numpy FILE.npz or --sb3 FILE.zip must be given",
        ),
        (["--numpy", "m.npz", "--policy", "none.pt"], "--policy .*none.pt"),
    ],
)
def test_wrong_input_is_named(
    run: Any, options: list[str], message: str, capsys: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(run), *options]) == 2
    error = capsys.readouterr().err
    assert np.all([part in error for part in message.split(".*")])
    assert not list(tmp_path.iterdir())

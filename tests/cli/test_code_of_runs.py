"""Code that only a run's config names comes from what is installed, unless the user says so."""

import json
import shutil
import sys
from pathlib import Path

import gymnasium as gym
import pytest

from metarl.cli import main

FAMILY = """
import gymnasium as gym
import numpy as np

from metarl_envs import Product, Uniform

FACTOR = {factor}


class Line(gym.Env):
    observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self):
        self.task_distribution = Product({{"target": Uniform(-1.0, 1.0)}})
        self.task_space = self.task_distribution.space
        self.task = {{"target": np.array(0.0)}}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {{}}

    def step(self, action):
        return np.asarray(action, np.float32), FACTOR, False, False, {{}}


gym.register("OwnLine-v0", entry_point=Line, max_episode_steps=3)
"""
NET = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self, shape):
        super().__init__(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], 4))
"""
MODULES = {"own_line": FAMILY.format(factor=1.0), "own_nets": NET}
ENV, BACKBONE = "own_line:OwnLine-v0", "own_nets:Net"
FEW = ["--tasks", "2"]
COMMANDS = {
    "evaluate": FEW,
    "adapt": ["--task", '{"target": 0.5}', "--num-trajectories", "2", "--output", "adapted"],
    "resume": ["--iterations", "2"],
    "export": ["--sb3", "model.zip"],
}


def forget() -> None:
    """As in a new process."""
    for name in MODULES:
        sys.modules.pop(name, None)
    gym.registry.pop("OwnLine-v0", None)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A policy and a classifier of code in the current folder, and that folder."""
    folder = tmp_path_factory.mktemp("code")
    for name, content in MODULES.items():
        (folder / f"{name}.py").write_text(content)
    small = ["--meta-batch-size", "2", "--iterations", "1", "--eval-tasks", "0"]
    policy = ["train", "maml-vpg", "--env", ENV, "--num-trajectories", "2", *small]
    classifier = ["fewshot", "maml", "--backbone", BACKBONE, "--num-ways", "2", *small]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*policy, "--output", "policies"]) == 0
        assert main([*classifier, "--num-validation", "2", "--output", "classifiers"]) == 0
    forget()
    return folder


@pytest.fixture
def here(trained, tmp_path, monkeypatch):
    """The current folder, a copy of that one; nothing of it is imported yet."""
    monkeypatch.chdir(shutil.copytree(trained, tmp_path / "here"))
    yield Path()
    forget()


def only(folder: Path) -> str:
    (run,) = folder.iterdir()
    return str(run)


def complaint(capsys, arguments):
    capsys.readouterr()
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def files() -> dict[str, bytes]:
    """All that there is; imports, locks and the like aside."""
    found = [path for path in Path().rglob("*") if path.is_file()]
    kept = [path for path in found if "__pycache__" not in path.parts and path.name != ".lock"]
    return {str(path): path.read_bytes() for path in kept}


@pytest.mark.parametrize("command", list(COMMANDS))
def test_a_family_in_the_current_folder(command, here, capsys):
    arguments = [command, only(here / "policies"), *COMMANDS[command]]
    before = files()
    line = complaint(capsys, arguments)
    assert f"--env {ENV} is code that only the run's config names" in line
    assert f"give --env {ENV} again, or --allow-code" in line
    assert "own_line" not in sys.modules
    assert files() == before
    for allowed in (["--env", ENV], ["--allow-code"]):
        forget()
        assert main([*arguments, *allowed]) == 0


@pytest.mark.parametrize("command", ["evaluate", "resume"])
def test_a_backbone_in_the_current_folder(command, here, capsys):
    arguments = [command, only(here / "classifiers"), *COMMANDS[command]]
    before = files()
    line = complaint(capsys, arguments)
    assert f"--backbone {BACKBONE} is code that only the run's config names" in line
    assert f"give --backbone {BACKBONE} again, or --allow-code" in line
    other = complaint(capsys, [*arguments, "--backbone", "own_line:Net"])
    assert f"--backbone own_line:Net is not the run's backbone, {BACKBONE}" in other
    assert "--env is for policies" in complaint(capsys, [*arguments, "--env", ENV])
    assert "own_nets" not in sys.modules
    assert files() == before
    for allowed in (["--backbone", BACKBONE], ["--allow-code"]):
        forget()
        assert main([*arguments, *allowed]) == 0


def test_a_start_from_a_run_with_a_backbone_in_the_current_folder(here, capsys):
    start = ["fewshot", "maml", "--init-from", only(here / "classifiers"), "--output", "started"]
    start += ["--num-ways", "2", "--num-validation", "2", "--iterations", "1", "--eval-tasks", "0"]
    line = complaint(capsys, start)
    assert "--init-from" in line
    assert f"--backbone {BACKBONE} is code that only the run's config names" in line
    assert "own_nets" not in sys.modules
    assert not Path("started").exists()
    assert main([*start, "--backbone", BACKBONE]) == 0


def test_what_is_installed_needs_no_permission(here, tmp_path, monkeypatch):
    """And what the current folder has of the same name is not taken in its place."""
    installed = tmp_path / "installed"
    installed.mkdir()
    (installed / "own_line.py").write_text(FAMILY.format(factor=7.0))
    (installed / "own_nets.py").write_text(NET)
    monkeypatch.setattr(sys, "path", ["", *sys.path, str(installed)])
    run = Path(only(here / "policies"))
    assert main(["evaluate", str(run), *FEW]) == 0
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert evaluation["mean"] == [3 * 7.0] * 4
    assert main(["evaluate", only(here / "classifiers"), *FEW]) == 0

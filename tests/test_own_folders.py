"""Folders of a user's own beside which metarl works: ``envs``, ``utils``, ``tests``, ``runs``.

Half of all RL repositories have some of them. A package of theirs is never imported in place of
one of ours, and never by us; theirs stay importable beside metarl.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

NAMES = ("envs", "utils", "tests", "runs", "experiments")
TINY = (
    "--meta-batch-size 2 --num-trajectories 2 --horizon 3 --iterations 1 --hidden-sizes 4 "
    "--eval-tasks 2"
)
REFUSING = "raise RuntimeError(f'{__name__} of the user was imported')\n"
OWN_ENVS = '''
"""A family of the user's own, registered where it is imported."""

import gymnasium as gym
import numpy as np

from metarl_envs import Product, Uniform
from utils import LENGTH


class Line(gym.Env):
    observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self):
        self.task_distribution = Product({"target": Uniform(-LENGTH, LENGTH)})
        self.task_space = self.task_distribution.space
        self.task = {"target": np.array(0.0)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return action, -abs(float(action[0] - self.task["target"])), False, False, {}


gym.register("Line-v0", entry_point=Line, max_episode_steps=3)
'''
SCRIPT = """
import envs
import experiments
import metarl
import metarl_envs
import runs
import tests
import utils

assert envs.Line and utils.LENGTH == 2.0
assert [m.OWN for m in (runs, tests, experiments)] == ["runs", "tests", "experiments"]
assert metarl_envs.PointGoal and metarl.MAML
print("all of them")
"""
TEST = """
import envs
import utils
from tests import OWN

import metarl


def test_own_folders():
    assert envs.Line
    assert utils.LENGTH == 2.0
    assert OWN == "tests"
    assert metarl.ProtoNet
"""


def run(folder: Path, *arguments: str) -> str:
    """What Python prints, run in that folder."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def write(folder: Path, contents: dict[str, str]) -> None:
    """Packages with these contents; those without refuse to be imported."""
    for name in NAMES:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(contents.get(name, REFUSING))


OWN_ONES = {"envs": OWN_ENVS, "utils": "LENGTH = 2.0\n"}
OTHERS = {name: f"OWN = {name!r}\n" for name in ("tests", "runs", "experiments")}


@pytest.mark.slow  # 4 s
def test_families_are_listed(tmp_path: Path) -> None:
    write(tmp_path, {})
    assert "metarl/PointGoal-v0" in run(tmp_path, "-m", "metarl", "envs")


def test_a_run_trains_in_a_family_of_the_folder_envs(tmp_path: Path) -> None:
    """And into the folder ``runs``, whose package is not imported."""
    write(tmp_path, OWN_ONES)
    run(tmp_path, "-m", "metarl", *f"train maml-vpg --env envs:Line-v0 {TINY}".split())
    (evaluation,) = (tmp_path / "runs").glob("*/evaluation.json")
    assert json.loads(evaluation.read_text())["env"] == "envs:Line-v0"


def test_a_script_imports_them_beside_metarl(tmp_path: Path) -> None:
    write(tmp_path, OWN_ONES | OTHERS)
    (tmp_path / "script.py").write_text(SCRIPT)
    assert run(tmp_path, "script.py") == "all of them\n"


@pytest.mark.slow  # 4 s
def test_the_users_tests_run(tmp_path: Path) -> None:
    write(tmp_path, OWN_ONES | OTHERS)
    (tmp_path / "tests" / "test_own.py").write_text(TEST)
    assert "1 passed" in run(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider")

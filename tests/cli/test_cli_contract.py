"""The command line's contract: what each command prints, writes and returns."""

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import metarl
from metarl.cli import main
from metarl.runs.config import POLICY_LEARNERS

ENV = "metarl/PointGoal-v0"
SMALL = ["--meta-batch-size", "3", "--num-trajectories", "4", "--horizon", "10"]
RUN_KEYS = [
    "env",
    "learner",
    "seed",
    "num_tasks",
    "steps",
    "returns",
    "mean",
    "iqm",
    "ci95",
    "env_steps",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of three small iterations."""
    output = tmp_path_factory.mktemp("runs")
    status = main(
        ["train", "maml-trpo", "--env", ENV, "--iterations", "3", "--output", str(output), *SMALL]
    )
    assert status == 0
    (folder,) = output.iterdir()
    return folder


def read_metrics(folder):
    """Rows of metrics.csv."""
    return list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))


def undefined(folder):
    """Metrics that docs/reference/metrics.md does not define."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "metrics.md").read_text()
    keys = list(read_metrics(folder)[0])[1:]
    return [key for key in keys if f"`{key}`" not in page and not key.startswith("sb3/")]


@pytest.mark.parametrize(
    "learner",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in ("proto-embedding", "rl2") else name
        for name in POLICY_LEARNERS
    ],
)
def test_train_prints_the_run_folder_first_and_last(learner, tmp_path, capsys):
    options = ["--iterations", "1", "--eval-tasks", "2", "--output", str(tmp_path), *SMALL]
    status = main(["train", learner, "--env", ENV, *options])
    lines = capsys.readouterr().out.splitlines()
    assert status == 0
    assert Path(lines[0]).is_dir()
    assert lines[0] == lines[-1]
    assert undefined(Path(lines[0])) == []


def test_run_folder_holds_everything(run):
    assert {path.name for path in run.iterdir()} >= {
        "config.json",
        "metrics.csv",
        "checkpoints",
        "evaluation.json",
        "adaptation.png",
    }
    assert list(run.glob("events.out.tfevents.*"))
    names = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert names == ["best.pt", "iteration_00000000.pt", "iteration_00000003.pt"]


def test_metrics_have_a_row_an_iteration_and_the_documented_keys(run):
    rows = read_metrics(run)
    assert [row["iteration"] for row in rows] == ["1", "2", "3"]
    assert set(rows[0]) >= {
        "eval/return_pre",
        "eval/return_post",
        "eval/adaptation_gain",
        "rollout/return_pre",
        "meta/kl",
        "time/env_steps_per_second",
    }


def test_evaluate_writes_the_contract(run, tmp_path, capsys):
    target = tmp_path / "figures.json"
    status = main(
        ["evaluate", str(run), "--tasks", "5", "--steps", "2", "--json", str(target), "--seed", "1"]
    )
    figures = json.loads(target.read_text())
    assert status == 0
    assert set(RUN_KEYS) <= set(figures)
    assert figures["env"] == ENV
    assert figures["learner"] == "maml-trpo"
    assert figures["seed"] == 1
    assert figures["num_tasks"] == 5
    assert figures["steps"] == [0, 1, 2]
    assert np.shape(figures["returns"]) == (3, 5)
    np.testing.assert_allclose(figures["mean"], np.mean(figures["returns"], axis=1))
    for mean, (low, high) in zip(figures["mean"], figures["ci95"], strict=True):
        assert low <= mean <= high
    assert 0 < figures["env_steps"] <= 3 * 2 * 3 * 4 * 10
    assert figures["inner_lr"] == [0.5, 0.25]
    assert [np.shape(task["goal"]) for task in figures["tasks"]] == [(2,)] * 5
    assert figures == json.loads((run / "evaluation.json").read_text())
    assert "mean return" in capsys.readouterr().out


def test_evaluate_is_the_same_for_the_same_seed(run, tmp_path):
    figures = []
    for index in range(2):
        target = tmp_path / f"{index}.json"
        assert main(["evaluate", str(run), "--tasks", "3", "--json", str(target)]) == 0
        figures.append(target.read_text())
    assert figures[0] == figures[1]


def test_evaluate_with_no_inner_lr_shows_no_gain(run, tmp_path):
    """With step size 0 the policy stays; only the action noise differs between the steps."""
    target = tmp_path / "figures.json"
    arguments = ["--steps", "1", "--inner-lr", "0", "--trajectories", "200", "--json", str(target)]
    assert main(["evaluate", str(run), *arguments]) == 0
    before, after = json.loads(target.read_text())["mean"]
    assert abs(after - before) < 0.2


def test_adapt_leaves_a_policy_and_says_both_returns(run, tmp_path, capsys):
    output = tmp_path / "adapted"
    task = '{"goal": [0.3, -0.4]}'
    assert main(["adapt", str(run), "--task", task, "--output", str(output), "--steps", "2"]) == 0
    record = json.loads((output / "adaptation.json").read_text())
    printed = capsys.readouterr().out
    assert f"{record['returns'][0]:.2f}" in printed
    assert f"{record['returns'][-1]:.2f}" in printed
    assert record["task"] == {"goal": [0.3, -0.4]}
    assert (output / "adaptation.png").stat().st_size > 1000

    actor = metarl.load_policy(output / "policy.pt")
    env = gym.make(ENV, task={"goal": [0.3, -0.4]})
    observation, _ = env.reset(seed=0)
    action, _ = actor.predict(observation)
    assert env.action_space.contains(action)


def test_the_table_has_means_and_iqms_with_their_intervals(run, capsys):
    assert main(["evaluate", str(run), "--tasks", "5", "--steps", "1"]) == 0
    figures = json.loads((run / "evaluation.json").read_text())
    printed = " ".join(capsys.readouterr().out.split())
    assert "gradient steps" in printed
    columns = (figures[name] for name in ("mean", "ci95", "iqm", "iqm_ci95"))
    for step, (mean, ci95, iqm, iqm_ci95) in enumerate(zip(*columns, strict=True)):
        intervals = [f"[{low:.2f}, {high:.2f}]" for low, high in (ci95, iqm_ci95)]
        cells = (str(step), f"{mean:.2f}", intervals[0], f"{iqm:.2f}", intervals[1])
        assert " │ ".join(cells) in printed


def test_tasks_of_the_closing_evaluation_by_option(tmp_path):
    command = ["train", "maml-vpg", "--env", ENV, "--iterations", "1", *SMALL]
    for tasks in ("0", "3"):
        options = ["--eval-tasks", tasks, "--output", str(tmp_path / tasks)]
        assert main([*command, *options]) == 0
    (without,), (few,) = ((tmp_path / tasks).iterdir() for tasks in ("0", "3"))
    assert not (without / "evaluation.json").exists()
    assert not (without / "adaptation.png").exists()
    assert json.loads((few / "evaluation.json").read_text())["num_tasks"] == 3


def test_a_resumed_run_ends_with_its_own_evaluation(tmp_path):
    options = ["--iterations", "1", "--eval-tasks", "0", "--output", str(tmp_path), *SMALL]
    assert main(["train", "maml-vpg", "--env", ENV, *options]) == 0
    (folder,) = tmp_path.iterdir()
    assert main(["resume", str(folder), "--iterations", "2"]) == 0
    assert not (folder / "evaluation.json").exists()


def test_the_folder_by_name(tmp_path):
    options = ["--name", "first", "--eval-tasks", "0", "--output", str(tmp_path)]
    assert main(["train", "maml-vpg", "--env", ENV, "--iterations", "1", *options, *SMALL]) == 0
    (folder,) = tmp_path.iterdir()
    assert re.fullmatch(r"first_\d{8}-\d{6}", folder.name)


@pytest.mark.parametrize("tasks", ["0", "2"])
def test_a_quiet_run_prints_its_folder_alone(tasks, tmp_path, capsys):
    options = ["--quiet", "--eval-tasks", tasks, "--output", str(tmp_path)]
    assert main(["train", "maml-vpg", "--env", ENV, "--iterations", "1", *options, *SMALL]) == 0
    (folder,) = tmp_path.iterdir()
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [str(folder)]  # so that RUN=$(metarl train …) is one path
    assert captured.err == ""


def test_envs_lists_the_families(capsys):
    assert main(["envs"]) == 0
    printed = capsys.readouterr().out
    for env_id in ("metarl/PointGoal-v0", "metarl/PointGoalSparse-v0", "metarl/PointCorners-v0"):
        assert env_id in printed


def test_resume_goes_on_where_the_run_ended(run, tmp_path, capsys):
    assert main(["resume", str(run), "--iterations", "5"]) == 0
    rows = read_metrics(run)
    assert [row["iteration"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert capsys.readouterr().out.splitlines()[0] == str(run)


def test_time_limit_ends_the_run_with_a_checkpoint(tmp_path):
    limited = ["--iterations", "100000", "--time-limit", "0.3", "--output", str(tmp_path)]
    assert main(["train", "maml-trpo", "--env", ENV, *limited, *SMALL]) == 0
    (folder,) = tmp_path.iterdir()
    assert list((folder / "checkpoints").glob("*.pt"))
    assert json.loads((folder / "evaluation.json").read_text())["hours"] < 0.01


@pytest.mark.slow  # tests/test_own_folders.py has one that is fast
def test_a_family_of_the_users_own_trains_by_module_and_id(tmp_path):
    """A plain single environment with a task, in a module that nobody registered for us."""
    (tmp_path / "my_robots.py").write_text(USER_FAMILY)
    command = [sys.executable, "-m", "metarl", "train", "maml-vpg", "--env", "my_robots:Line-v0"]
    options = ["--iterations", "2", "--eval-tasks", "2", "--output", "out", *SMALL]
    done = subprocess.run(
        [*command, *options],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},  # the module is found in the current folder
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "out").iterdir()
    assert json.loads((folder / "evaluation.json").read_text())["env"] == "my_robots:Line-v0"


USER_FAMILY = '''
"""Move along a line to an unseen target."""

import gymnasium as gym
import numpy as np

from metarl_envs import Product, Uniform


class Line(gym.Env):
    observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self):
        self.task_distribution = Product({"target": Uniform(-1.0, 1.0)})
        self.task_space = self.task_distribution.space
        self.task = {"target": np.array(0.0)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = 0.0
        return np.array([self.x], np.float32), {}

    def step(self, action):
        self.x += 0.1 * float(action[0])
        reward = -abs(self.x - float(self.task["target"]))
        return np.array([self.x], np.float32), reward, False, False, {}


gym.register("Line-v0", entry_point=Line, max_episode_steps=20)
'''


def test_names_that_the_terminal_has_no_letters_for_are_printed(monkeypatch):
    """Names of classes and folders come from the user's disk; a terminal may be Latin-1."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "latin-1"))
    assert main(["envs"]) == 0
    sys.stdout.write("жук\n")
    sys.stdout.flush()
    assert written.getvalue().endswith(b"\\u0436\\u0443\\u043a\n")

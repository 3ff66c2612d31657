"""Environments that do wrong: one line with environment, task and step, and nothing is lost."""

import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faulty_family import Faulty

import metarl
from metarl.cli import main
from metarl.rl.env_faults import EnvironmentFaultError, EnvironmentFaultWarning
from metarl.training.checkpoint import load_newest

ENV = "faulty_family:Faulty-v0"
HERE = str(Path(__file__).parent / "faulty_family.py")
TASK = r"faulty_family:Faulty-v0, task \{\"goal\": \[-?0\.\d+, -?0\.\d+\]\}, "
BROKEN = {
    "raise": rf"{TASK}step 3: ConnectionResetError: \[Errno 104\] Connection reset .* \(.*:\d+\)",
    "numpy": rf"{TASK}step 3: LinAlgError: Singular matrix \(.*:\d+\)",
    "exit": rf"{TASK}step 3: SystemExit: 0 \(.*:\d+\)",
    "reset": rf"{TASK}reset: TimeoutError: the simulator is not there \(.*:\d+\)",
    "setter": rf"{TASK}setter of task: KeyError: 'no such goal' \(.*:\d+\)",
    "text": rf"{TASK}step 3: TypeError: the observation is <U1 of shape \(2,\), but .*",
    "shape": rf"{TASK}step 3: TypeError: the observation is float32 of shape \(3,\), but .*",
    "no-reward": rf"{TASK}step 3: TypeError: the reward is None, not a number",
    "old-api": rf"{TASK}step 3: ValueError: not enough values to unpack .*",
    "make": rf"{ENV}, making it: ConnectionResetError: .* \(.*:\d+\)",
    "nan-observation": rf"{TASK}step 3: entry 0 of the observation is nan; .* more than a tenth.*",
    "inf-reward": rf"{TASK}step 3: the reward is inf; .* more than a tenth: .*",
}
LEARNERS: dict[str, list[str]] = {
    "maml-trpo": [],
    "promp": [],
    "sb3-ppo": ["--num-minibatches", "2"],
    "rl2": ["--num-minibatches", "2", "--hidden-size", "8"],
    "proto-embedding": ["--encoder-warmup", "2", "--encoder-steps", "2"],
    "proto-sac": ["--optimiser", "sac", "--gradient-steps", "2", "--encoder-warmup", "2"],
}


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setattr(Faulty, "num_made", 0)
    warnings.simplefilter("default", EnvironmentFaultWarning)


def train(learner: str, options: dict[str, Any], output: Path, *more: str, tasks: int = 2) -> int:
    name = learner.replace("proto-sac", "proto-embedding")
    given = ["--env", ENV, "--env-kwargs", json.dumps(options), "--output", str(output)]
    small = ["--meta-batch-size", str(tasks), "--num-trajectories", "2", "--eval-tasks", "0"]
    return main(["train", name, *given, *small, *LEARNERS[learner], *more])


def is_finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(is_finite, value.values()))
    if isinstance(value, torch.Tensor):
        return bool(torch.isfinite(value.double()).all())
    return True


@pytest.mark.parametrize("fault", list(BROKEN))
def test_one_line_names_environment_task_and_step(fault: str, tmp_path: Path, capsys: Any) -> None:
    assert train("maml-trpo", {"fault": fault}, tmp_path) == 2
    said = capsys.readouterr().err.splitlines()
    assert re.fullmatch(f"metarl: error: {BROKEN[fault]}", said[-1])
    if ":\\d+" in BROKEN[fault]:
        assert f"({HERE}:" in said[-1]
    assert all(line.startswith("metarl: ") for line in said)
    if fault != "make":
        (run,) = tmp_path.iterdir()
        assert is_finite(load_newest(run / "checkpoints")[0]["learner"])


@pytest.mark.parametrize("fault", ["raise", "setter", "text", "die", "nan-observation"])
def test_processes_are_no_exception(fault: str, tmp_path: Path, capfd: Any) -> None:
    options = {"fault": fault, "vectorization_mode": "async"}
    assert train("maml-trpo", options, tmp_path) == 2
    said = capfd.readouterr().err.splitlines()
    died = rf"{TASK}step 3: its process ended, exit code 9"
    assert re.fullmatch(f"metarl: error: {BROKEN.get(fault, died)}", said[-1])
    assert "Traceback" not in "".join(said)


@pytest.mark.slow  # 75 s
@pytest.mark.parametrize("learner", list(LEARNERS))
@pytest.mark.parametrize("workers", [False, True])
@pytest.mark.parametrize("fault", [*BROKEN, "die"])
def test_every_learner_says_so(
    fault: str, workers: bool, learner: str, tmp_path: Path, capfd: Any
) -> None:
    if fault == "die" and not workers:
        pytest.skip("that would end this process")
    mode = {"vectorization_mode": "async"} if workers else {}
    assert train(learner, {"fault": fault, **mode}, tmp_path) == 2
    said = capfd.readouterr().err.splitlines()
    assert re.match(rf"metarl: error: {TASK if fault != 'make' else ENV}", said[-1])
    assert "Traceback" not in "".join(said)
    for run in tmp_path.iterdir():
        assert is_finite(load_newest(run / "checkpoints")[0]["learner"])


@pytest.mark.parametrize(
    "learner",
    [
        "maml-trpo",
        "sb3-ppo",
        *(pytest.param(name, marks=pytest.mark.slow) for name in list(LEARNERS) if "-" not in name),
        pytest.param("proto-embedding", marks=pytest.mark.slow),
        pytest.param("proto-sac", marks=pytest.mark.slow),
    ],
)
def test_training_goes_on_over_one_bad_trajectory_in_forty(
    learner: str, tmp_path: Path, capsys: Any
) -> None:
    options = {"fault": "nan-observation", "only": 40}
    assert train(learner, options, tmp_path, "--iterations", "2", tasks=20) == 0
    said = capsys.readouterr().err.splitlines()
    lines = [line for line in said if "left out" in line]
    assert re.match(f"metarl: {TASK}step 3: entry 0 of the observation is nan; such", lines[0])
    (run,) = tmp_path.iterdir()
    names, *rows = (run / "metrics.csv").read_text().splitlines()
    for row in rows:
        figures = dict(zip(names.split(","), row.split(","), strict=True))
        assert float(figures["rollout/left_out"]) >= 1
        last = "rollout/return_post" if learner == "maml-trpo" else "rollout/return_last"
        assert np.isfinite(float(figures.get(last) or figures["rollout/return_post"]))
    assert is_finite(load_newest(run / "checkpoints")[0]["learner"])


@pytest.mark.parametrize("learner", ["maml-trpo", pytest.param("sb3-ppo", marks=pytest.mark.slow)])
def test_observations_outside_their_space_are_said_once(
    learner: str, tmp_path: Path, capsys: Any
) -> None:
    options = {"fault": "outside"}
    assert train(learner, options, tmp_path, "--iterations", "2") == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "outside" in line]
    assert len(lines) <= 1
    if learner == "maml-trpo":
        assert re.match(f"metarl: {TASK}step 3: entry 0 of the observation is .*outside", lines[0])


def test_python_users_get_it_as_an_exception(tmp_path: Path) -> None:
    small = {"meta_batch_size": 2, "num_trajectories": 2, "horizon": 5}
    with pytest.raises(EnvironmentFaultError, match=r"^faulty_family.Faulty, task .*step 3: Conn"):
        metarl.train("maml-trpo", env=Faulty("raise"), output=tmp_path, **small)


def test_a_task_that_is_not_there_before_it_is_set_is_refused(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gymnasium would set it in a wrapper, and the environment would never see it."""
    monkeypatch.delattr(Faulty, "task")
    assert train("maml-trpo", {}, tmp_path) == 2
    assert "has no tasks: a task family has" in capsys.readouterr().err


def test_a_distribution_that_fails_is_named(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Faulty.task_distribution, "sample", lambda rng, num: {})
    assert train("maml-trpo", {}, tmp_path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"metarl: error: {ENV}, drawing train tasks: TypeError: ")

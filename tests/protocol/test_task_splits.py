"""Which tasks are trained on, and which are evaluated on: read from what runs and from run folders.

The families hold tasks out: :class:`metarl_envs.PointGoal` in cells of its square, and
:class:`metarl_envs.PointGoalSparse` twenty of its hundred goals.
"""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import metarl_envs
from metarl.cli import main
from metarl.rl import MAMLLearner
from metarl.sb3.learner import SB3Learner
from metarl_envs.tasks import is_held_out

ITERATIONS, BATCH, TRAJECTORIES, HORIZON = 3, 3, 2, 4
SHAPES = ["--meta-batch-size", str(BATCH), "--num-trajectories", str(TRAJECTORIES)]
SHAPES += ["--hidden-sizes", "4", "--iterations", str(ITERATIONS), "--eval-every", "2"]
LEARNERS: dict[str, list[str]] = {
    "maml-trpo": [],
    "maml-vpg": ["--num-inner-steps", "2"],
    "reptile": [],
    "sb3-ppo": ["--num-epochs", "1"],
    "rl2": ["--num-epochs", "1", "--hidden-size", "4"],
    "proto-embedding": [
        *("--num-epochs", "1", "--encoder-warmup", "1", "--encoder-steps", "1"),
        *("--num-ways", "2", "--trial-length", "3"),
    ],
}


def train(learner: str, env: str, output: Path) -> Path:
    """The folder of a small run whose trajectories all have the same length."""
    options = ["--env", env, "--env-kwargs", json.dumps({"max_episode_steps": HORIZON})]
    command = ["train", learner, *options, *SHAPES, *LEARNERS[learner], "--output", str(output)]
    assert main(command) == 0
    (folder,) = output.iterdir()
    return folder


def evaluation(folder: Path) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads((folder / "evaluation.json").read_text())
    return figures


def steps_of_training(folder: Path) -> int:
    """Environment steps that the run says it has trained on."""
    with (folder / "metrics.csv").open() as file:
        *_, last = csv.DictReader(file)
    return int(float(last["rollout/env_steps"]))


@pytest.fixture
def stepped(monkeypatch: pytest.MonkeyPatch) -> list[NDArray[np.float64]]:
    """The goals of every environment in every step of ``PointGoalSparse``, as they are taken."""
    goals: list[NDArray[np.float64]] = []
    take = metarl_envs.PointGoalSparse.step

    def recorded(family: Any, state: Any, action: Any, task: Any, rng: Any) -> Any:
        goals.append(task["goal"].copy())
        return take(family, state, action, task, rng)

    monkeypatch.setattr(metarl_envs.PointGoalSparse, "step", recorded)
    return goals


@pytest.fixture
def validated(monkeypatch: pytest.MonkeyPatch, stepped: list[NDArray[np.float64]]) -> set[int]:
    """Which of the steps were taken on validation tasks."""
    steps: set[int] = set()

    def watch(kind: Any) -> None:
        try_on = kind._try_on

        def watched(self: Any, split: str) -> Any:
            first = len(stepped)
            found = try_on(self, split)
            steps.update(range(first, len(stepped)) if split == "train" else ())
            return found

        monkeypatch.setattr(kind, "_try_on", watched)

    for kind in (MAMLLearner, SB3Learner):
        watch(kind)
    return steps


def goal_numbers(stepped: list[NDArray[np.float64]]) -> NDArray[np.int64]:
    """Of the hundred goals on the half circle, by their angles."""
    angles = np.concatenate([np.arctan2(goals[:, 1], goals[:, 0]) for goals in stepped])
    return np.rint(angles / np.pi * 99).astype(int)


@pytest.mark.parametrize("learner", LEARNERS)
def test_training_steps_are_in_train_tasks_and_all_others_in_held_out_ones(
    learner: str, tmp_path: Path, stepped: list[NDArray[np.float64]], validated: set[int]
) -> None:
    """Steps in train tasks are exactly those that the run counts as training.

    So the evaluations during training and the one at its end, whose steps are not counted, saw
    held-out tasks and nothing else. Validation, which is set aside here, saw train tasks alone.
    """
    folder = train(learner, "metarl/PointGoalSparse-v0", tmp_path)
    assert validated
    of_validation = goal_numbers([stepped[i] for i in validated])
    assert not np.isin(of_validation, range(2, 100, 5)).any()
    numbers = goal_numbers([goals for i, goals in enumerate(stepped) if i not in validated])
    held_out = np.isin(numbers, range(2, 100, 5))  # as the family's docstring has it
    assert (~held_out).sum() == steps_of_training(folder) > 0
    assert held_out.any()
    trained, evaluated = set(numbers[~held_out]), set(numbers[held_out])
    assert len(trained) > BATCH  # and they are drawn anew
    assert len(evaluated) == 20  # an evaluation of 40 tasks goes round all of them twice


@pytest.mark.parametrize(
    "learner",
    ["maml-trpo", "sb3-ppo", "rl2", pytest.param("proto-embedding", marks=pytest.mark.slow)],
)
def test_the_tasks_of_an_evaluation_lie_in_held_out_cells(learner: str, tmp_path: Path) -> None:
    """Both in the one that ends the training and in one with another seed."""
    folder = train(learner, "metarl/PointGoal-v0", tmp_path)
    drawn = []
    for options in (None, ["--seed", "5", "--tasks", "30", "--trajectories", "1"]):
        assert options is None or main(["evaluate", str(folder), *options]) == 0
        figures = evaluation(folder)
        goals = np.array([task["goal"] for task in figures["tasks"]])
        assert goals.shape == (figures["num_tasks"], 2)
        assert is_held_out(goals + 0.5).all()  # uniform over [-0.5, 0.5]²
        assert figures["held_out"] is True
        drawn.append(goals[:30])
    assert not np.isin(drawn[0], drawn[1]).any()


def test_an_evaluation_reports_the_returns_of_the_tasks_it_names(tmp_path: Path) -> None:
    """An untrained policy stays near the start: the further the goal, the lower the return."""
    folder = train("maml-trpo", "metarl/PointGoal-v0", tmp_path)
    still = ["--steps", "0", "--tasks", "5", "--trajectories", "200"]
    assert main(["evaluate", str(folder), *still]) == 0
    figures = evaluation(folder)
    distances = np.linalg.norm([task["goal"] for task in figures["tasks"]], axis=1)
    assert np.corrcoef(distances, figures["returns"][0])[0, 1] < -0.99

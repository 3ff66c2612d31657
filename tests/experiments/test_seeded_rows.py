"""Rows of several seeds: which runs are gone on with, what a row says, when it had learned."""

import json
from pathlib import Path
from typing import Any

import embedding
import gradient_learners
import numpy as np
import pytest
import results
import second_step
import seeded_rows
from seeded_rows import Budget, Plan, crossing, make_row, mean_curve, speed_table

from metarl.cli import _parse

TINY = ["--env", "metarl/PointGoal-v0", "--meta-batch-size", "2", "--num-trajectories", "2"]
TINY += ["--horizon", "5", "--eval-tasks", "0", "--eval-every", "50"]
PLAN = Plan(
    experiment="tiny",
    learner="maml-vpg",
    command=["train", "maml-vpg", *TINY],
    iterations=3,
    test=["--tasks", "3", "--steps", "1", "--trajectories", "2"],
    script="python here.py",
    threshold=-1e9,
    reference=results.reference("somebody", [1.0]),
)


def metrics(folder: Path, name: str, returns: list[float]) -> Path:
    """A run's figures: an iteration a million steps and an hour."""
    folder.mkdir(parents=True)
    lines = [f"iteration,{name},rollout/env_steps,time/seconds"]
    lines += [f"{k},{r},{k}e6,{3600 * k}" for k, r in enumerate(returns, start=1)]
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tables, curves and pictures go to a folder of their own."""
    (tmp_path / "pictures").mkdir()
    names = ("results", "few-shot", "speed-of-learning")
    page = "\n".join(f"<!-- {n} begin -->\n<!-- {n} end -->" for n in names)
    (tmp_path / "README.md").write_text(page)
    for name, path in (("RESULTS", "results.json"), ("README", "README.md")):
        monkeypatch.setattr(results, name, tmp_path / path)
    monkeypatch.setattr(results, "commit", lambda: "")
    monkeypatch.setattr(seeded_rows, "FOLDER", tmp_path)
    monkeypatch.setattr(seeded_rows, "CURVES", tmp_path / "curves")
    return tmp_path


def test_a_row_grows_seed_by_seed_and_says_what_it_lacks(elsewhere: Path) -> None:
    def row(seeds: tuple[int, ...], iterations: int | None) -> dict[str, Any]:
        make_row(PLAN, Budget(seeds=seeds, iterations=iterations, output=elsewhere / "runs"))
        (found,) = results.read_rows()
        return found

    assert row((1,), 2)["reference"]["differs"] == "2 of 3 iterations"
    first = row((0,), None)
    assert first["seeds"] == [0]  # the other has not yet the whole budget
    both = row((1,), None)
    assert both["seeds"] == [0, 1]
    assert both["reference"]["same_protocol"]
    assert both["steps_to_threshold"] == [1.2e-4, 1.2e-4]  # after all three iterations
    curves = json.loads((elsewhere / "curves" / "tiny.json").read_text())
    assert [len(curve["steps"]) for curve in curves["maml-vpg"]] == [1, 1]
    assert "| tiny | maml-vpg | -1e+09 | 2 of 2 |" in (elsewhere / "README.md").read_text()


def test_two_tests_of_one_training_are_two_rows(elsewhere: Path) -> None:
    budget = Budget(seeds=(0,), output=elsewhere / "runs")
    make_row(PLAN, budget)
    other = ["--tasks", "3", "--steps", "2", "--trajectories", "2"]
    make_row(PLAN._replace(learner="longer", test=other, runs_of="maml-vpg"), budget)
    longer, first = results.read_rows()
    assert (longer["steps"], first["steps"]) == ([0, 1, 2], [0, 1])
    assert [path.name for path in (elsewhere / "runs" / "tiny").iterdir()] == ["maml-vpg"]
    assert list(json.loads((elsewhere / "curves" / "tiny.json").read_text())) == ["maml-vpg"]


@pytest.mark.parametrize("num_steps", [1, 2, 3])
def test_more_inner_steps_have_fewer_iterations(num_steps: int) -> None:
    plan = second_step.plan_of(num_steps, "halved")
    run = _parse([*plan.command, "--iterations", "1"]).problem
    assert run.algorithm.num_inner_steps == num_steps
    assert plan.iterations * (num_steps + 1) * 40_000 == pytest.approx(8e6, rel=0.01)
    assert plan.test[-3:] == ["0.5", "0.25", "0.25"]
    assert plan.runs_of == second_step.plan_of(num_steps, "constant").learner


def test_the_mean_of_five_iterations_has_to_be_there(tmp_path: Path) -> None:
    """0 0 0 0 0 10 20 30 40 50: the mean of the last five is 20 at iteration 9, 30 at the last."""
    returns = [0.0] * 5 + [10.0, 20.0, 30.0, 40.0, 50.0]
    run = metrics(tmp_path / "a", "rollout/return_post", returns)
    assert crossing(run, 20.0) == (9.0, 9.0)
    assert crossing(run, 30.0) == (10.0, 10.0)
    assert crossing(run, 30.1) is None
    assert crossing(metrics(tmp_path / "b", "rollout/return_last", returns), 20.0) == (9.0, 9.0)


def test_the_curve_of_seeds_ends_with_the_shortest() -> None:
    curves = [{"steps": [1.0, 2.0, 3.0], "return": [0.0, 2.0, 4.0]}]
    curves += [{"steps": [1.0, 2.5], "return": [2.0, 5.0]}]
    steps, returns = mean_curve(curves)
    np.testing.assert_allclose(steps, [1.0, 2.0])
    np.testing.assert_allclose(returns, [1.0, 3.0])


def test_a_seed_that_did_not_come_there_is_counted() -> None:
    row = {
        "experiment": "e",
        "learner": "l",
        "threshold": 5.0,
        "seeds": [0, 1],
        "steps_to_threshold": [None, 1.25],
        "hours_to_threshold": [None, 0.5],
        "env_steps": 2_000_000,
        "hours": 1.0,
    }
    assert "| e | l | 5 | 1 of 2 | 1.25 | 30.0 | 2.0 M, 60 min |" in speed_table([row])


@pytest.mark.parametrize("learner", gradient_learners.OPTIONS)
def test_learners_by_gradients_have_equal_steps(learner: str) -> None:
    plan = gradient_learners.plan_of(learner)
    run = _parse([*plan.command, "--iterations", "1"]).problem
    assert (run.algorithm.learner, run.policy.hidden_sizes) == (learner, (64, 64))
    samplings = run.algorithm.num_inner_steps + 1
    sampled = run.sampling.meta_batch_size * run.sampling.num_trajectories * 100
    assert plan.iterations * samplings * sampled == pytest.approx(20e6, rel=0.01)


@pytest.mark.parametrize("name", embedding.FAMILIES)
def test_commands_of_the_embedding_table_are_understood(name: embedding.FamilyName) -> None:
    for learner in embedding.FAMILIES[name].learners:
        plan = embedding.plan_of(name, learner)
        parsed = _parse([*plan.command, "--iterations", "1"])
        assert parsed.problem.algorithm.learner == learner.split()[0]

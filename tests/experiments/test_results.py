"""Rows of published results: what they say of their reference, and what their interval is of."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from results import (
    NO_REFERENCE,
    collect,
    fewshot_table,
    of_returns,
    read_rows,
    reference,
    table,
)

from metarl.report import adaptation_curve, crossed_interval


def evaluation(folder: Path, seed: int, tasks: int = 4) -> Path:
    """An ``evaluation.json`` of returns 0..7 plus the seed, on the tasks that there are."""
    returns = (np.arange(2 * tasks).reshape(2, tasks) + seed).tolist()
    figures = {
        "env": "metarl/PointGoal-v0",
        "steps": [0, 1],
        "tasks": [{"goal": [k, 0]} for k in range(tasks)],
        "returns": returns,
        "mean": np.mean(returns, 1).tolist(),
        "env_steps": 10,
        "hours": 0.1,
    }
    path = folder / f"{seed}.json"
    path.write_text(json.dumps(figures))
    return path


def row(evaluations: list[Path], **options: Any) -> dict[str, Any]:
    seeds = list(range(len(evaluations)))
    return collect(
        evaluations,
        experiment="here",
        learner="maml-vpg",
        command="",
        reference=NO_REFERENCE,
        training_seeds=seeds,
        **options,
    )


def test_seeds_on_the_same_tasks_have_a_crossed_interval(tmp_path: Path) -> None:
    found = row([evaluation(tmp_path, seed) for seed in range(3)])
    values = np.arange(8).reshape(2, 1, 4) + np.arange(3)[:, None]  # [K + 1, seeds, tasks]
    assert_allclose(found["mean"], [2.5, 6.5])
    assert_allclose(found["ci95"], [crossed_interval(step) for step in values], atol=0.005)


def test_one_seed_has_the_interval_over_its_tasks(tmp_path: Path) -> None:
    found = row([evaluation(tmp_path, 0)])
    curve = adaptation_curve(np.arange(8.0).reshape(2, 4), seed=0)
    assert_allclose(found["ci95"], curve.ci95, atol=0.005)


def test_a_run_for_each_task_counts_tasks_not_seeds(tmp_path: Path) -> None:
    found = row([evaluation(tmp_path, seed) for seed in range(3)], one_task_a_run=True)
    curve = adaptation_curve(np.array([[1.5, 2.5, 3.5], [5.5, 6.5, 7.5]]), seed=0)
    assert_allclose(found["ci95"], curve.ci95, atol=0.005)


def test_seeds_on_different_tasks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="different tasks"):
        row([evaluation(tmp_path, 0), evaluation(tmp_path, 1, tasks=5)])


def test_a_reference_has_the_same_protocol_where_nothing_differs() -> None:
    assert reference("a", [1.0])["same_protocol"] is True
    assert reference("a", [1.0], "physics")["same_protocol"] is False


@pytest.mark.parametrize("each", read_rows(), ids=lambda r: f"{r['experiment']}-{r['learner']}")
def test_every_row_says_whether_its_reference_did_the_same(each: dict[str, Any]) -> None:
    for name in ("reference", "reproduced"):
        if theirs := each.get(name):
            assert theirs["same_protocol"] is (theirs["differs"] == "")
    assert each["reference"]["source"]


@pytest.mark.parametrize("family", ["half-cheetah-vel", "half-cheetah-dir-200", "ant-vel"])
def test_the_authors_robots_are_not_ours(family: str) -> None:
    differs = [r["reference"]["differs"] for r in read_rows() if r["experiment"] == family]
    assert differs
    assert all("control steps" in text for text in differs)


def test_tables_say_what_differs() -> None:
    rows = read_rows()
    returns = table(of_returns(rows))
    accuracies = fewshot_table([r for r in rows if "figure" in r])
    assert "no: their half-cheetah has control steps of 0.01 s" in returns
    assert "| yes |" in accuracies
    for shown in (returns, accuracies):
        assert len({line.count(" | ") for line in shown.splitlines()[2:]}) == 1

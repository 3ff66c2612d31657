"""Rows of the few-shot tables: several seeds in one, and learners that see as much."""

from typing import Any

import glyphs
import numpy as np
import omniglot
import pytest
import results
from fewshot_rows import images_an_iteration, trained_for, training
from results import fewshot_row, fewshot_table

from metarl.cli import _parse
from metarl.report import crossed_interval


def figures(seed: int) -> dict[str, Any]:
    """Of one run: accuracies of four episodes before and after a step."""
    accuracy = np.array([[0.2, 0.2, 0.4, 0.2], [0.5, 0.75, 1.0, 0.75]]) + 0.01 * seed
    return {
        "env": "glyphs",
        "training_seed": seed,
        "hours": 0.1 * (seed + 1),
        "steps": [0, 1],
        "accuracy": accuracy.tolist(),
        "ci95": [[0.2, 0.3], [0.6, 0.9]],
        "num_tasks": 4,
        "norm": "inductive",
    }


@pytest.fixture(autouse=True)
def no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "commit", lambda: "abc")  # which asks git


def test_seeds_are_one_row_with_a_crossed_interval() -> None:
    found = [figures(seed) for seed in range(3)]
    kept = {"backbone": "conv4", "iterations": 7, "train_images": 4200}
    row = fewshot_row("glyphs-5w1s", "maml", found, command="", trained_with=kept)
    assert row["seeds"] == [0, 1, 2]
    assert row["hours"] == pytest.approx(0.2)
    np.testing.assert_allclose(row["mean"], [0.26, 0.76])
    last = np.array([one["accuracy"][1] for one in found])
    np.testing.assert_allclose(row["ci95"][1], crossed_interval(last), atol=5e-5)
    np.testing.assert_allclose(row["mean_per_seed"], [[0.25, 0.75], [0.26, 0.76], [0.27, 0.77]])
    assert "| conv4 | 7 | 4 k | 4 |" in fewshot_table([row])


def test_one_seed_has_the_interval_of_its_run() -> None:
    row = fewshot_row("glyphs-5w1s", "maml", [figures(0)], command="")
    assert row["ci95"] == [[0.2, 0.3], [0.6, 0.9]]
    assert row["mean_per_seed"] == [[0.25, 0.75]]
    assert "train_images" not in row


TABLES = {"glyphs": glyphs.TABLE, "omniglot": omniglot.TABLE}


@pytest.mark.parametrize(
    ("name", "learner"),
    [(name, learner) for name, table in TABLES.items() for learner in table.plans],
)
def test_every_learner_has_the_same_network_and_as_many_images(name: str, learner: str) -> None:
    table = TABLES[name]
    for setting in table.plans[learner].settings if learner != "knn" else ():
        command = training(table, learner, setting)
        each = images_an_iteration(command)
        assert abs(round(table.images / each) * each - table.images) <= each / 2
        problem: Any = _parse([*command, "--iterations", "1"]).problem
        filters = int(table.backbone.split()[1])
        assert (problem.backbone.filters, problem.backbone.downsample) == (filters, "stride")
        assert problem.algorithm.learner == learner


def test_images_of_an_iteration() -> None:
    """Four 20-way episodes of 1 + 5 images; one of 40 ways; a mini-batch of 64."""
    assert images_an_iteration(training(glyphs.TABLE, "maml", "20w1s")) == 4 * 20 * 6
    assert images_an_iteration(training(glyphs.TABLE, "protonet", "5w5s")) == 40 * 10
    assert images_an_iteration(training(glyphs.TABLE, "baseline", "5w1s")) == 64
    assert set(glyphs.TABLE.settings) == {"5w1s", "5w5s", "20w1s"}


def test_a_learner_of_any_ways_is_trained_with_the_shots_of_the_test() -> None:
    assert trained_for(omniglot.TABLE, "protonet", "20w5s") == "5w5s"
    assert trained_for(omniglot.TABLE, "protonet", "20w1s") == "5w1s"
    assert trained_for(omniglot.TABLE, "maml", "20w5s") == "20w5s"
    assert trained_for(glyphs.TABLE, "reptile", "5w5s") == "5w1s"


def test_references_say_what_differs() -> None:
    paper, users = omniglot.references("protonet", "20w1s", "transductive")
    assert (paper["mean"], users["mean"]) == ([0.96], [0.949])
    assert "batch norm transductive, theirs inductive" in paper["differs"]
    assert "batch norm" not in omniglot.references("maml", "5w1s", "transductive")[0]["differs"]
    assert [one["mean"] for one in omniglot.references("maml++", "5w5s", "transductive")] == [
        [0.9993]
    ]

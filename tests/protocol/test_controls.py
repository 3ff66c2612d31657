"""``proto-embedding --shuffle``: a control that shows every trial the prototype of another task."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import metarl
from metarl.cli import main
from metarl.embedding import (
    OnlinePrototypes,
    PrototypeContext,
    TransitionEncoder,
    Transitions,
)

FIXED = "--lr 1e-30 --encoder-lr 1e-30 --prototype-noise 0 --normalise none"
SMALL = (
    "train proto-embedding --env metarl/PointGoal-v0 --iterations 1 --meta-batch-size 4 "
    "--num-trajectories 2 --horizon 5 --num-epochs 1 --encoder-warmup 1 --num-ways 3 "
    f"--no-within-trajectory --initial-log-std -3 {FIXED}"
)
"""What is seen in a trajectory counts when it has ended, all have the same length, since no goal is
reached in five small steps, and nothing that is trained moves."""


def run(output: Path, *options: str) -> tuple[dict[str, str], dict[str, Any]]:
    """The metrics of training and the figures of the evaluation."""
    assert main([*SMALL.split(), *options, "--output", str(output)]) == 0
    (folder,) = output.iterdir()
    (metrics,) = csv.DictReader((folder / "metrics.csv").read_text().splitlines())
    return metrics, json.loads((folder / "evaluation.json").read_text())


def test_a_shuffled_run_differs_as_soon_as_there_are_prototypes(tmp_path: Path) -> None:
    """Not in the first trajectory of a trial, in all later ones; in training and in evaluation."""
    plain, shuffled = run(tmp_path / "plain"), run(tmp_path / "shuffled", "--shuffle")
    assert plain[0]["rollout/return_first"] == shuffled[0]["rollout/return_first"]
    assert plain[0]["rollout/return_last"] != shuffled[0]["rollout/return_last"]
    returns, others = (np.array(figures["returns"]) for _, figures in (plain, shuffled))
    np.testing.assert_array_equal(returns[0], others[0])
    for k in (1, 2, 3):
        assert (returns[k] != others[k]).all()


@pytest.mark.parametrize(
    ("tasks", "partners"),
    [
        ([0, 1, 2, 3, 4, 5], [3, 4, 5, 0, 1, 2]),
        ([0, 1, 2, 0, 1, 2], [2, 3, 4, 5, 0, 1]),
        ([0, 0, 7, 7, 0, 0], [3, 3, 5, 0, 3, 2]),
        ([4, 4, 4, 4, 4, 4], [3, 4, 5, 0, 1, 2]),
    ],
)
def test_every_environment_is_shown_the_prototype_of_another_task(
    tasks: list[int], partners: list[int]
) -> None:
    """Of 6 environments that of the one 3 before, or, where they share a task, the next before.

    Where there is one task alone, that of another environment at least.
    """
    encoder = TransitionEncoder(7, 8, 3, torch.Generator().manual_seed(0))
    numbers = np.array(tasks, np.float32)[:, None]
    contexts = [
        PrototypeContext(OnlinePrototypes(encoder, 6), shuffle=shuffle)
        for shuffle in (None, lambda: numbers)
    ]
    rng = np.random.default_rng(0)
    vectors = [rng.normal(size=(6, 2)).astype(np.float32) for _ in range(3)]
    rewards, no = np.zeros(6, np.float32), np.zeros(6, bool)
    step = Transitions(vectors[0], vectors[1][:, :1], rewards, vectors[2], no, no)
    for context in contexts:
        context.begin(np.ones(6, bool))
        context.add(step)
    own, shown = (context.features() for context in contexts)
    np.testing.assert_array_equal(shown, own[partners])
    assert len(np.unique(own, axis=0)) == 6


def test_an_evaluation_that_goes_round_few_tasks_is_shuffled_too(tmp_path: Path) -> None:
    """Eight tasks of four corners: the one half of them further on is the same corner.

    In the first trajectory all tasks see nothing, so both runs do the same in it.
    """
    corners = ["--env", "metarl/PointCorners-v0", "--env-kwargs", '{"reward": "dense"}']
    run(tmp_path, *corners)
    learner: Any = metarl.load_run(*tmp_path.iterdir()).learner
    contexts = []
    for shuffle in (False, True):
        learner.config = replace(learner.config, shuffle=shuffle)
        trials = learner.run_trials(8, 3, 1, seed=0)
        contexts.append(trials.context.reshape(24, -1))
    own, shown = contexts
    sources = (shown[:, None] == own).all(-1).argmax(1)
    np.testing.assert_array_equal(shown, own[sources])
    goals = np.array([task["goal"] for task in trials.tasks]).repeat(3, axis=0)
    assert (goals[sources] != goals).any(1).all()

"""A MuJoCo family from the command line: trained, evaluated in both directions, metrics written."""

import csv
import json

import numpy as np
import pytest

from metarl import load_run
from metarl.cli import main

TWO = ["--eval-tasks", "2"]
SMALL = ["--meta-batch-size", "2", "--num-trajectories", "2", "--horizon", "10", *TWO]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    output = tmp_path_factory.mktemp("runs")
    env = ["--env", "metarl/HalfCheetahDir-v0", "--action-scale", "10", "--iterations", "2"]
    assert main(["train", "maml-trpo", *env, "--output", str(output), *SMALL]) == 0
    (run,) = output.iterdir()
    return run


def test_a_run_counts_divergence(folder):
    rows = list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))
    assert [float(row["rollout/diverged"]) for row in rows] == [0.0, 0.0]
    assert all(float(row["rollout/steps"]) == 2 * 2 * 2 * 10 for row in rows)


def test_both_directions_are_evaluated(folder, capsys):
    """Held-out tasks are drawn in turn: whatever the seed, two are the two directions."""
    sampler = load_run(folder).learner.sampler
    for seed in range(5):
        sampler.draw_tasks(np.random.default_rng(seed), "held_out")
        directions = [float(task["direction"]) for task in sampler.env.get_attr("task")]
        assert sorted(directions) == [-1.0, -1.0, 1.0, 1.0]
    few = ["--tasks", "2", "--trajectories", "2", "--steps", "1", "--seed", "1"]
    assert main(["evaluate", str(folder), *few]) == 0
    evaluation = json.loads((folder / "evaluation.json").read_text())
    assert np.isfinite(evaluation["returns"]).all()
    assert evaluation["held_out"] is False
    assert "this family holds none" in capsys.readouterr().out


def test_adapt_takes_a_direction(folder, tmp_path, capsys):
    output = tmp_path / "adapted"
    few = ["--output", str(output), "--num-trajectories", "2", "--steps", "1"]
    assert main(["adapt", str(folder), "--task", '{"direction": -1}', *few]) == 0
    assert (output / "policy.pt").is_file()
    assert main(["adapt", str(folder), "--task", '{"direction": 3}', *few]) == 2
    assert "'direction' is 3.0; it must lie within [-1.0, 1.0]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ('{"fields": ["mass"]}', "no field 'mass'"),
        ('{"feilds": ["body_mass"]}', "has no option 'feilds'; options: fields, "),
        ('{"num_threads": -1}', "num_threads must be at least 0"),
        ('{"dtype": "int8"}', "dtype must be float32 or float64"),
    ],
)
def test_wrong_options_are_one_line(options, message, tmp_path, capsys):
    env = ["--env", "metarl/HopperRandParams-v0", "--env-kwargs", options]
    assert main(["train", "maml-trpo", *env, "--output", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1

"""The best checkpoint of real runs: which tasks choose it, and how it is used."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

import metarl
from metarl.cli import main
from metarl.rl import Sampler
from metarl.sb3.vec_env import TaskVecEnv

SPARSE = "metarl/PointGoalSparse-v0"  # 20 of 100 goals are held out
SMALL: dict[str, Any] = {
    "meta_batch_size": 10,
    "num_trajectories": 2,
    "horizon": 3,
    "hidden_sizes": (4,),
    "iterations": 1,
}


@pytest.mark.parametrize("learner", ["maml-vpg", "rl2"])
def test_no_test_task_chooses_it(
    learner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[set[tuple[float, ...]]] = []
    for kind in (Sampler, TaskVecEnv):

        def set_and_keep(envs: Any, tasks: Any, set_tasks: Any = kind.set_tasks) -> None:
            given.append({tuple(task["goal"].tolist()) for task in tasks})
            set_tasks(envs, tasks)

        monkeypatch.setattr(kind, "set_tasks", set_and_keep)
    run = metarl.train(learner, env=SPARSE, output=tmp_path, eval_tasks=20, **SMALL)
    tested = {tuple(task["goal"]) for task in figures(run.folder)["tasks"]}
    given.clear()
    run.learner.evaluate()
    batches = [goals for goals in given if goals <= given[0]]
    held_out, validation = set.union(*batches), set.union(*given[len(batches) :])
    assert len(tested & held_out) > 0
    assert len(validation) > 5
    assert not validation & tested


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Steps that are much too large, so that the last policy is not the best."""
    options = {**SMALL, "iterations": 4, "eval_every": 1, "outer_lr": 10.0, "eval_tasks": 0}
    output = tmp_path_factory.mktemp("runs")
    return metarl.train("maml-vpg", env="metarl/PointGoal-v0", output=output, **options).folder


def figures(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "evaluation.json").read_text())
    return found


def test_the_best_checkpoint_is_evaluated_where_it_is_asked_for(run: Path, tmp_path: Path) -> None:
    with (run / "metrics.csv").open() as file:
        scores = [float(row["eval/validation"]) for row in csv.DictReader(file)]
    best = 1 + max(range(4), key=scores.__getitem__)
    assert best < 4
    few = ["--tasks", "2", "--trajectories", "2"]
    for options, iteration in ((["--checkpoint", "best"], best), ([], 4)):
        assert main(["evaluate", str(run), *few, *options]) == 0
        assert figures(run)["iteration"] == iteration
    loaded = metarl.load_run(run, checkpoint="best")
    assert loaded.iteration == best
    loaded.evaluate(tasks=2, trajectories=2)
    kept = figures(run)
    again = metarl.load_run(run)
    again.evaluate(tasks=2, trajectories=2)
    assert kept["mean"] != figures(run)["mean"]
    assert main(["export", str(run), "--checkpoint", "best", "--sb3", str(tmp_path / "p.zip")]) == 0


def test_a_best_checkpoint_that_is_not_there_or_damaged(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run / "checkpoints" / "best.pt"
    path.write_bytes(path.read_bytes()[:200])
    for said in ("best.pt is damaged", "best.pt: no such file"):
        assert main(["evaluate", str(run), "--checkpoint", "best"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
        path.unlink(missing_ok=True)
    assert main(["evaluate", str(run), "--checkpoint", "newest"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--checkpoint" in line


def test_training_stops_early(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["fewshot", "protonet", "--data", "glyphs", "--num-ways", "3", "--eval-tasks", "0"]
    numbers = ["--num-validation", "4", "--lr", "1", "--iterations", "30", "--backbone", "mlp"]
    options = [*command, *numbers, "--hidden-sizes", "4", "--output", str(tmp_path)]
    assert main([*options, "--eval-every", "1", "--patience", "2"]) == 0
    captured = capsys.readouterr()
    (folder,) = tmp_path.iterdir()
    best = metarl.load_run(folder, checkpoint="best").iteration
    stopped = metarl.load_run(folder).iteration
    assert stopped == best + 2 < 30
    assert f"stopped early after {stopped} iterations" in captured.err
    assert f"best in validation: iteration {best}" in captured.err
    assert main(["resume", str(folder), "--patience", "3"]) == 0
    assert metarl.load_run(folder).iteration > stopped

"""``--workers``: environments in processes, with the results of one."""

import csv
import gc
import json
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest

from metarl.cli import main
from metarl.runs import InputError, load_run, simulated

SMALL = ["--meta-batch-size", "2", "--num-trajectories", "4", "--horizon", "5"]
ENV = "faulty_family:Faulty-v0"


@pytest.fixture(autouse=True)
def _few_trajectories(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(simulated, "NUM_TRAJECTORIES", 3)
    monkeypatch.setattr("metarl.runs.run.draw", lambda *given: ())  # most of the time of a run
    yield
    gc.collect()  # what a run left
    assert active_children() == []


def train(learner: str, workers: int, output: Path, **kwargs: Any) -> int:
    options = ["--env-kwargs", json.dumps(kwargs), "--workers", str(workers), *SMALL]
    options += ["--iterations", "2", "--eval-tasks", "4", "--output", str(output)]
    return main(["train", learner, "--env", ENV, *options])


def results(output: Path) -> tuple[list[Any], list[dict[str, str]]]:
    (run,) = output.iterdir()
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for name in [name for name in row if name.startswith("time/")]:
            del row[name]
    return json.loads((run / "evaluation.json").read_text())["returns"], rows


SLOW = pytest.param("sb3-ppo", marks=pytest.mark.slow)  # 10 s, of stable-baselines3


@pytest.mark.parametrize("learner", ["maml-vpg", SLOW])
def test_results_do_not_depend_on_the_number(learner: str, tmp_path: Path) -> None:
    for workers in (1, 2):
        assert train(learner, workers, tmp_path / str(workers)) == 0
    assert results(tmp_path / "1") == results(tmp_path / "2")
    (run,) = (tmp_path / "2").iterdir()
    config = json.loads((run / "config.json").read_text())["problem"]
    assert config["workers"] == 2
    assert not config["trained_on"]["batched"]


@pytest.mark.slow  # 5 s
def test_it_may_change_between_sessions(tmp_path: Path) -> None:
    assert train("maml-vpg", 1, tmp_path) == 0
    (run,) = tmp_path.iterdir()
    first, _ = results(tmp_path)
    again = ["--env", ENV, "--workers"]
    assert main(["evaluate", str(run), *again, "2", "--tasks", "4"]) == 0
    assert results(tmp_path)[0] == first
    assert main(["resume", str(run), *again, "2", "--iterations", "3"]) == 0
    loaded = load_run(run, env=ENV, workers=1)
    assert loaded.iteration == 3
    assert loaded.config.problem.workers == 1  # type: ignore[union-attr]
    with pytest.raises(InputError, match="workers must be at least 1, got 0"):
        load_run(run, workers=0)


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("raise", f"{ENV}, task {{"),
        (
            "die",
            f"{ENV}, step 3: ChildProcessError: the process of environments 0 to 3 ended, exit ",
        ),
    ],
)
def test_what_goes_wrong_in_a_process_is_one_line(
    fault: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("maml-trpo", 2, tmp_path, fault=fault) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith(f"metarl: error: {line}")
    if fault == "raise":
        assert "step 3: ConnectionResetError: [Errno 104] Connection reset by peer (" in last
        assert "faulty_family.py:" in last


@pytest.mark.parametrize(
    ("env", "options", "message"),
    [
        (
            "metarl/PointGoal-v0",
            ["--workers", "2"],
            "--workers must be 1: metarl/PointGoal-v0 steps all of a batch by itself",
        ),
        (ENV, ["--workers", "0"], "--workers must be at least 1, got 0"),
        (
            ENV,
            ["--workers", "2", "--env-kwargs", '{"vectorization_mode": "async"}'],
            f"--workers must be 1 with vectorization_mode, which steps {ENV}, too",
        ),
    ],
)
def test_where_there_is_nothing_for_processes(
    env: str, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "maml-trpo", "--env", env, *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"metarl: error: {message}")

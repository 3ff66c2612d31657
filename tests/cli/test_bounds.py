"""Numbers that no machine, or not this one, can hold: one line, status 2, and nothing begun."""

import json
import os
import shutil

import pytest
import torch

from metarl import memory
from metarl.cli import main

TRAIN = ["--env", "metarl/PointGoal-v0"]
SMALL = ["--iterations", "1", "--meta-batch-size", "2", "--num-trajectories", "2"]
SINUSOID = ["--data", "sinusoid", "--backbone", "mlp"]
MANY = "2000000000"


@pytest.fixture(autouse=True)
def _memory(monkeypatch):
    monkeypatch.setattr(memory, "memory_here", lambda: 25 * 10**9)


def complaint(capsys, arguments):
    capsys.readouterr()
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert len(line) < 300
    return line


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ("maml-trpo --threads 100000", f"--threads must be at most {os.cpu_count()}, the proc"),
        ("maml-trpo --meta-batch-size 1000000000", "--meta-batch-size 1000000000 x --num-traj"),
        (
            "maml-trpo --num-trajectories 100000000",
            "000 of 100 steps needs at least 4,000 GB",
        ),
        ("maml-trpo --horizon 1000000000", "--horizon 1000000000 is beyond"),
        ("maml-trpo --initial-log-std 1e308", "--initial-log-std must be at most 20.0"),
        ("maml-trpo --min-log-std -1e308", "--min-log-std must be at least -20.0"),
        ("maml-trpo --hidden-sizes 100000", "--hidden-sizes must be at most 65536, got 100000"),
        ("maml-trpo --hidden-sizes" + " 8" * 100_000, "--hidden-sizes must have at most 1000 entr"),
        ("maml-trpo --hidden-sizes 65536 65536", "these --hidden-sizes needs at least 52 GB"),
        ("maml-trpo --context-size 100000", "--context-size must be at most 65536"),
        ("maml-trpo --eval-tasks 1000000000", "--eval-tasks must be at most 1000000"),
        ("maml-trpo --inner-lr 1e308", "--inner-lr must be at most 1e+30"),
        (f"maml-trpo --iterations {10**30}", "--iterations must be at most 2147483647"),
        (f"sb3-ppo --trial-length {MANY}", f"{MANY}00 steps needs at least"),
        (f"proto-embedding --optimiser sac --buffer-size {MANY}", f"--buffer-size {MANY}"),
        ("rl2 --hidden-size 65536", "--hidden-size 65536 needs at least 52 GB"),
        ("proto-embedding --encoder-hidden-size 65536", "--encoder-hidden-size 65536 needs"),
    ],
    ids=lambda given: given[:50],
)
def test_training_of_policies(arguments, part, capsys, tmp_path):
    output = ["--output", str(tmp_path)]
    assert part in complaint(capsys, ["train", *arguments.split(), *TRAIN, *output])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (
            "maml --meta-batch-size 1000000000",
            "--meta-batch-size 1000000000 x 5 ways x (1 shots + 10 queries) needs",
        ),
        ("maml --num-ways 1000000000", "1000000000"),
        (f"maml --num-shots {MANY}", "queries) needs at least 31,360 GB"),
        (f"maml --train-queries {MANY}", "queries) needs at least 31,360 GB"),
        (f"baseline --batch-size {MANY}", f"--batch-size {MANY} needs at least"),
        ("protonet --filters 65536", "--filters 65536 needs at least"),
        ("protonet --num-validation 1000000000", "--num-validation must be at most 1000000"),
        ("maml --lr 1e308", "--lr must be at most 1e+30"),
    ],
    ids=lambda given: given[:50],
)
def test_training_of_classifiers(arguments, part, capsys, tmp_path):
    output = ["--output", str(tmp_path)]
    for data in ([], SINUSOID if "shots" in arguments or "queries" in arguments else []):
        line = complaint(capsys, ["fewshot", *arguments.split(), *data, *output])
        assert part in line or data
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    output = tmp_path_factory.mktemp("runs")
    small = [*SMALL, "--eval-tasks", "0", "--output", str(output)]
    assert main(["train", "random-init", *TRAIN, *small]) == 0
    few = ["--iterations", "1", "--num-validation", "1", "--eval-tasks", "0", "--name", "fewshot"]
    assert main(["fewshot", "maml", *SINUSOID, *few, "--output", str(output)]) == 0
    return {path.name.split("_")[0].split("-")[0]: path for path in output.iterdir()}


@pytest.mark.parametrize(
    ("run", "option", "part"),
    [
        ("random", "--tasks 1000000000", "--tasks must be at most 1000000"),
        ("random", "--trajectories 1000000000", "--trajectories 1000000000 needs"),
        ("fewshot", "--tasks 1000000000", "--tasks must be at most 1000000"),
        ("fewshot", f"--num-shots {MANY}", "a test episode needs at least 40 GB"),
        ("fewshot", f"--num-queries {MANY}", "a test episode needs at least 40 GB"),
    ],
)
def test_evaluations(run, option, part, finished, capsys):
    line = complaint(capsys, ["evaluate", str(finished[run]), *option.split()])
    assert part in line
    assert not (finished[run] / "evaluation.json").exists()


def test_adaptations(finished, capsys, tmp_path):
    task = ["--task", '{"goal": [0.1, 0.2]}', "--output", str(tmp_path / "new")]
    options = ["adapt", str(finished["random"]), *task, "--num-trajectories", "1000000000"]
    assert "needs at least" in complaint(capsys, options)
    assert not (tmp_path / "new").exists()


def test_a_run_of_a_machine_with_more_processors_opens(finished, capsys, tmp_path):
    run = shutil.copytree(finished["random"], tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"threads": 100_000}))
    assert main(["resume", str(run)]) == 0
    here = os.cpu_count()
    torch.set_num_threads(1)
    said = f"metarl: threads: {here} of 100000, there are no more processors here"
    assert said in capsys.readouterr().err.splitlines()


def test_where_the_platform_says_nothing_of_memory(monkeypatch):
    monkeypatch.undo()
    assert 10**8 < memory.memory_here() < 10**15
    monkeypatch.delattr(os, "sysconf")
    memory.check_memory(10**18, "all of it")

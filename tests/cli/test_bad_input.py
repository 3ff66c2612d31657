"""Bad input: one line that names what is wrong and what would be right, exit status 2."""

import json
import shutil

import pytest
import torch

from metarl.cli import main

ENV = "metarl/PointGoal-v0"
NEWER = "iteration_00000009.pt"
SMALL = ["--meta-batch-size", "2", "--num-trajectories", "2", "--horizon", "5", "--eval-tasks", "2"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two iterations, to be copied and damaged."""
    output = tmp_path_factory.mktemp("runs")
    arguments = ["--iterations", "2", "--checkpoint-every", "1", "--output", str(output), *SMALL]
    assert main(["train", "maml-trpo", "--env", ENV, *arguments]) == 0
    (folder,) = output.iterdir()
    return folder


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def complaint(capsys, arguments):
    """The one line of a command that must fail with status 2."""
    capsys.readouterr()
    status = main(arguments)
    captured = capsys.readouterr()
    besides = ("metarl: skipped", "metarl: evaluation: ")
    lines = [line for line in captured.err.splitlines() if not line.startswith(besides)]
    assert status == 2
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("metarl: error: ")
    assert "Traceback" not in captured.err
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["trian"], ["'trian'", "did you mean train?"]),
        (["train", "maml-trop", "--env", ENV], ["'maml-trop'", "did you mean maml-trpo?"]),
        (["train", "dqn", "--env", ENV], ["'dqn'", "maml-trpo", "maml-vpg"]),
        (["train", "--env", ENV], ["maml-trpo", "maml-vpg"]),
        (
            ["train", "maml-trpo"],
            ["--env STR Task family, see metarl envs; module:Id imports your"],
        ),
        (
            ["train", "maml-trpo", "--env", "metarl/PointGaol-v0"],
            ["did you mean metarl/PointGoal-v0?"],
        ),
        (["train", "maml-trpo", "--env", "PointGoal-v0"], ["did you mean metarl/PointGoal-v0?"]),
        (["train", "maml-trpo", "--env", "no_such_module:X-v0"], ["no_such_module"]),
        (["train", "maml-trpo", "--env", "CartPole-v1"], ["CartPole-v1", "has no tasks"]),
        (["train", "maml-trpo", "--env", ENV, "--env-kwargs", "{"], ["--env-kwargs", "not JSON"]),
        (
            ["train", "maml-trpo", "--env", ENV, "--env-kwargs", "[1]"],
            ["--env-kwargs", "JSON object"],
        ),
        (
            ["train", "maml-trpo", "--env", ENV, "--env-kwargs", '{"wind": 1}'],
            [f"{ENV} has no option 'wind'; options: none"],
        ),
        (["train", "maml-trpo", "--env", ENV, "--inner-lrr", "1"], ["--inner-lrr", "--inner-lr"]),
        (
            ["train", "maml-trpo", "--env", ENV, "--inner-lr", "fast"],
            ["--inner-lr must be a number of at least 0, got 'fast'"],
        ),
        (
            ["train", "maml-trpo", "--env", ENV, "--inner-lr", "-1"],
            ["--inner-lr", "at least 0", "-1"],
        ),
        (
            ["train", "maml-trpo", "--env", ENV, "--inner-lr", "inf"],
            ["--inner-lr must be finite, got inf"],
        ),
        (
            ["train", "maml-trpo", "--env", ENV, "--eval-tasks", "1"],
            ["--eval-tasks must be 0, or at least 2", "got 1"],
        ),
        (
            ["train", "maml-trpo", "--env", ENV, "--eval-tasks", "-1"],
            ["--eval-tasks", "at least 0"],
        ),
        (
            ["train", "maml-trpo", "--env", ENV, "--name", "a/b"],
            ["--name a/b must be the start of a folder's name, not a path"],
        ),
        (["train", "maml-trpo", "--env", ENV, "--max-kl", "0"], ["--max-kl", "above 0"]),
        (["train", "maml-vpg", "--env", ENV, "--outer-lr", "0"], ["--outer-lr", "above 0"]),
        (["train", "maml-trpo", "--env", ENV, "--horizon", "101"], ["--horizon 101", "100"]),
        (["train", "maml-trpo", "--env", ENV, "--horizon", "0"], ["--horizon", "at least 1"]),
        (["train", "maml-trpo", "--env", ENV, "--iterations", "0"], ["--iterations", "at least 1"]),
        (["train", "maml-trpo", "--env", ENV, "--time-limit", "0"], ["--time-limit", "above 0"]),
        (["train", "maml-trpo", "--env", ENV, "--seed", "-1"], ["--seed", "at least 0, got -1"]),
        (
            ["train", "maml-trpo", "--env", ENV, "--discount", "1.5"],
            ["--discount", "at most 1.0, got 1.5"],
        ),
        (["train", "maml-trpo", "--env", ENV, "--min-log-std", "1"], ["--initial-log-std"]),
        (["train", "reptile", "--env", ENV, "--learned-lr"], ["--learned-lr is always False with"]),
        (["train", "oracle", "--num-inner-steps", "2"], ["--num-inner-steps is always 0 with"]),
        (["fewshot", "reptile", "--compile"], ["--compile is always False with reptile: leave it"]),
        (["fewshot", "reptile", "--first-order"], ["--first-order is always True with reptile"]),
        (["train", "maml-trpo", "--env", ENV, "--device", "gpu"], ["--device", "'gpu'", "cuda"]),
        (
            ["train", "maml-trpo", "--env", ENV, "--seed", "x"],
            ["--seed must be a whole number of at least 0, got 'x'"],
        ),
        (["train", "maml-trpo", "--env", ENV, "--initial-log-std", "nan"], ["--initial-log-std"]),
        (["train", "maml-trpo", "--env", ENV, "--action-scale", "inf"], ["--action-scale"]),
        (
            ["train", "maml-trpo", "--env", ENV, "--seed", "9" * 20],
            ["--seed", "at most 9223372036854775807"],
        ),
        (["train", "maml-trpo", "--env", ".up:X-v0"], [".up:X-v0"]),
        (["resume", "/no/such/run"], ["/no/such/run", "not a run folder"]),
        (["evaluate", "/no/such/run"], ["/no/such/run", "not a run folder"]),
    ],
)
def test_one_line_and_status_two(arguments, parts, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = complaint(capsys, arguments)
    for part in parts:
        assert part in line
    assert list(tmp_path.iterdir()) == []  # nothing was begun


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_without_cuda(capsys, tmp_path):
    arguments = ["train", "maml-trpo", "--env", ENV, "--device", "cuda", "--output", str(tmp_path)]
    assert "no CUDA" in complaint(capsys, arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("task", "parts"),
    [
        ('{"goal": [0.3, 7.0]}', ["'goal'", "[0.3, 7.0]", "[-0.5, 0.5]"]),
        ('{"goal": [0.3]}', ["'goal'", "(2,)"]),
        ('{"target": [0.3, 0.1]}', ["--task must have the entries ['goal'], got ['target']"]),
        ('{"goal": ["north", "west"]}', ["'goal'", "not numeric"]),
        ('{"goal": ', ["--task", "not JSON"]),
    ],
)
def test_a_task_that_does_not_fit(task, parts, run, tmp_path, capsys):
    output = tmp_path / "adapted"
    line = complaint(capsys, ["adapt", str(run), "--task", task, "--output", str(output)])
    for part in parts:
        assert part in line
    assert not output.exists()


def test_output_that_is_a_file(run, tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("mine")
    train = ["train", "maml-trpo", "--env", ENV, "--output", str(blocked)]
    adapt = ["adapt", str(run), "--task", '{"goal": [0, 0]}', "--output", str(blocked)]
    evaluate = ["evaluate", str(run), "--tasks", "2", "--json", str(blocked / "figures.json")]
    for arguments in (train, adapt, evaluate):
        assert str(blocked) in complaint(capsys, arguments)
    assert blocked.read_text() == "mine"


def test_a_truncated_checkpoint_is_named_and_the_one_before_it_used(run, capsys):
    newest = run / "checkpoints" / "iteration_00000002.pt"
    newest.write_bytes(newest.read_bytes()[:1000])
    assert main(["resume", str(run)]) == 0
    assert "iteration_00000002.pt is damaged" in capsys.readouterr().err
    assert main(["resume", str(run)]) == 0
    assert "all of its 2 iterations are done; --iterations N does more" in capsys.readouterr().err


def test_no_usable_checkpoint(run, capsys):
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(b"PK not a checkpoint")
    line = complaint(capsys, ["resume", str(run)])
    assert "iteration_00000002.pt" in line
    assert "iteration_00000001.pt" in line


def test_a_foreign_checkpoint(run, capsys):
    for path in (run / "checkpoints").iterdir():
        torch.save({"weights": torch.zeros(3)}, path)
    assert "it was not written as one" in complaint(capsys, ["evaluate", str(run), "--tasks", "2"])


def test_a_checkpoint_of_another_policy(run, capsys):
    config = json.loads((run / "config.json").read_text())
    config["problem"]["policy"]["hidden_sizes"] = [8]
    (run / "config.json").write_text(json.dumps(config))
    assert "does not fit" in complaint(capsys, ["evaluate", str(run), "--tasks", "2"])


def test_a_checkpoint_of_another_run(run, capsys):
    config = json.loads((run / "config.json").read_text())
    config["problem"]["sampling"]["discount"] = 0.5
    (run / "config.json").write_text(json.dumps(config))
    assert "was trained with" in complaint(capsys, ["resume", str(run)])


def test_a_checkpoint_of_another_learner(run, tmp_path, capsys):
    arguments = ["--iterations", "1", "--output", str(tmp_path / "vpg"), *SMALL]
    assert main(["train", "maml-vpg", "--env", ENV, *arguments]) == 0
    (other,) = (tmp_path / "vpg").iterdir()
    shutil.copy(other / "checkpoints" / "iteration_00000001.pt", run / "checkpoints" / NEWER)
    assert "does not fit" in complaint(capsys, ["resume", str(run)])


def test_a_damaged_metrics_file_is_no_obstacle(run):
    (run / "metrics.csv").write_text("iteration,a\nfoo,1\n")
    assert main(["resume", str(run), "--iterations", "3"]) == 0
    assert len((run / "metrics.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("entry", "value"), [("seed", "a"), ("threads", "a"), ("device", "tpu"), ("learner", "dqn")]
)
def test_a_config_with_a_wrong_entry(entry, value, run, capsys):
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, entry: value}))
    assert entry in complaint(capsys, ["evaluate", str(run), "--tasks", "2"])


@pytest.mark.parametrize("options", [["--iterations", "-1"], ["--time-limit", "0"]])
def test_resume_options(options, run, capsys):
    assert options[0] in complaint(capsys, ["resume", str(run), *options])


def test_paths_with_markup_are_printed_as_they_are(tmp_path, capsys):
    output = tmp_path / "[/b][red]run"
    arguments = ["--iterations", "1", "--output", str(output), *SMALL]
    assert main(["train", "maml-trpo", "--env", ENV, *arguments]) == 0
    assert f"picture: {output}" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"metarl": "0", "learner": "maml-trpo"}'])
def test_a_damaged_config(content, run, capsys):
    (run / "config.json").write_text(content)
    assert "config.json" in complaint(capsys, ["resume", str(run)])


OLD_CONFIG = {"metarl": "0.1", "learner": "maml-trpo", "env": ENV, "seed": 0, "algorithm": {}}


@pytest.mark.parametrize("command", ["resume", "evaluate"])
def test_a_run_of_an_older_version(command, run, capsys):
    before = sorted(run.rglob("*"))
    (run / "config.json").write_text(json.dumps(OLD_CONFIG))
    line = complaint(capsys, [command, str(run)])
    assert f"{run / 'config.json'} is not a config of this version of metarl: " in line
    assert sorted(run.rglob("*")) == before


def test_an_environment_with_other_spaces(run, capsys):
    other = ["--env", "metarl/GridNavi-v0", "--tasks", "2"]
    line = complaint(capsys, ["evaluate", str(run), *other])
    assert "--env metarl/GridNavi-v0 has observations Box(" in line
    assert "the run was trained on Box(" in line


def test_a_policy_has_no_backbone(run, capsys):
    line = complaint(capsys, ["evaluate", str(run), "--backbone", "nets:Net"])
    assert "--backbone is for few-shot runs" in line


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--tasks", "1"], "--tasks"),
        (["--steps", "-1"], "--steps"),
        (["--steps", "2", "--inner-lr", "0.1"], "--inner-lr"),
        (["--trajectories", "0"], "--trajectories"),
        (["--steps", "1", "--inner-lr", "-1"], "--inner-lr"),
        (["--seed", "9" * 20], "--seed"),
    ],
)
def test_evaluate_options(options, part, run, capsys):
    assert part in complaint(capsys, ["evaluate", str(run), *options])


def test_divergence_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path, capsys):
    """Huge inner steps make every meta-gradient non-finite from the first iteration on."""
    arguments = ["--inner-lr", "1e30", "--iterations", "30", "--output", str(tmp_path), *SMALL]
    status = main(["train", "maml-trpo", "--env", ENV, *arguments])
    errors = capsys.readouterr().err
    assert status == 2
    assert "(10 in a row)" in errors
    assert "--inner-lr" in errors.splitlines()[-1]

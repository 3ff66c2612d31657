"""``metarl fewshot`` and what follows it: what each command prints, writes and returns."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from metarl import report
from metarl.cli import main
from metarl.fewshot.configs import AdaptedClassifierConfig
from metarl.report import curves
from metarl.runs import dataset
from metarl.runs.config import CLASSIFIER_LEARNERS
from metarl.training.checkpoint import load_newest

EPISODES = ["--num-ways", "3", "--num-queries", "2", "--num-validation", "2"]
SMALL = [*EPISODES, "--filters", "4", "--threads", "1"]
STEPS = ["--num-inner-steps", "2", "--num-test-steps", "2", "--meta-batch-size", "2"]
CONTRACT = [
    "env", "learner", "seed", "num_tasks", "steps", "mean", "iqm", "ci95", "iqm_ci95", "env_steps",
    "num_ways", "num_shots", "num_queries", "sampling", "norm", "training_seed", "iteration",
    "hours", "head", "transductive",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _few_test_episodes():
    """A run ends with 600 episodes and each interval takes 2000 resamples; these tests do not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "NUM_EPISODES", 4)
        patch.setattr(curves, "RESAMPLES", 100)
        yield


def fewshot(output, learner, *options):
    """Status of a training; the newest run folder of ``output`` is its."""
    return main(["fewshot", learner, *SMALL, "--output", str(output), *options])


def only_folder(output):
    (folder,) = output.iterdir()
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a learner that adapts by steps, on the built-in glyphs."""
    output = tmp_path_factory.mktemp("runs")
    assert fewshot(output, "maml", *STEPS, "--iterations", "3", "--seed", "7") == 0
    return only_folder(output)


@pytest.fixture(scope="module")
def protonet(tmp_path_factory):
    output = tmp_path_factory.mktemp("runs")
    assert fewshot(output, "protonet", "--iterations", "3") == 0
    return only_folder(output)


def read_metrics(folder):
    """Rows of metrics.csv."""
    return list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))


def evaluated(folder, target, *options):
    """The record that an evaluation writes."""
    assert main(["evaluate", str(folder), "--json", str(target), *options]) == 0
    record = json.loads(target.read_text())
    assert record == json.loads((folder / "evaluation.json").read_text())
    return record


def printed(capsys):
    """What was printed, its lines joined, since a table breaks its title."""
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("learner", CLASSIFIER_LEARNERS)
def test_every_learner_trains_and_evaluates(learner, tmp_path, capsys, monkeypatch):
    picture = Path(__file__).parent.parent / "report" / "one_pixel.png"
    monkeypatch.setattr(report, "draw_adaptation", lambda *_, **__: picture.read_bytes())
    adapts = isinstance(CLASSIFIER_LEARNERS[learner].config, AdaptedClassifierConfig)
    assert fewshot(tmp_path, learner, *(STEPS if adapts else []), "--iterations", "2") == 0
    lines = capsys.readouterr().out.splitlines()
    folder = only_folder(tmp_path)
    assert lines[0] == lines[-1] == str(folder)
    config = json.loads((folder / "config.json").read_text())
    algorithm = config["problem"]["algorithm"]
    assert algorithm["learner"] == learner
    record = evaluated(folder, tmp_path / "record.json", "--tasks", "3")
    assert record["steps"] == ([0, 1, 2] if adapts else [0])
    assert np.shape(record["accuracy"]) == (len(record["steps"]), 3)
    assert record["learner"] == learner
    assert record["norm"] == ("none" if learner == "knn" else algorithm["norm"])
    assert (folder / "adaptation.png").exists() == adapts
    assert len(read_metrics(folder)) == 2


def test_run_folder_holds_everything(run):
    assert {path.name for path in run.iterdir()} >= {
        "config.json",
        "metrics.csv",
        "checkpoints",
        "evaluation.json",
        "adaptation.png",
    }
    assert list(run.glob("events.out.tfevents.*"))
    names = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert names == ["best.pt", "iteration_00000000.pt", "iteration_00000003.pt"]
    assert run.name.startswith("maml_glyphs-3w1s_meta-batch-size=2_")
    assert "_filters=4_seed7_" in run.name
    assert (run / "adaptation.png").stat().st_size > 1000


def test_metrics_have_a_row_an_iteration(run, protonet):
    for folder in (run, protonet):
        rows = read_metrics(folder)
        assert [row["iteration"] for row in rows] == ["1", "2", "3"]
        assert set(rows[0]) >= {"eval/score", "train/score", "meta/loss", "meta/lr"}
    assert set(read_metrics(run)[0]) >= {"eval/score_pre", "eval/adaptation_gain"}


def test_every_metric_is_defined_in_the_docs(run, protonet):
    page = (Path(__file__).parents[2] / "docs" / "reference" / "metrics.md").read_text()
    keys = {key for folder in (run, protonet) for key in read_metrics(folder)[0]}
    assert sorted(key for key in keys - {"iteration"} if f"`{key}`" not in page) == []


def test_evaluate_writes_and_prints_the_contract(run, tmp_path, capsys):
    record = evaluated(run, tmp_path / "record.json", "--tasks", "5", "--seed", "1")
    shown = printed(capsys)
    assert set(record) == {*CONTRACT, "accuracy"}
    assert record["env"] == "glyphs"
    assert record["learner"] == "maml"
    assert (record["seed"], record["training_seed"]) == (1, 7)
    assert record["num_tasks"] == 5
    assert record["steps"] == [0, 1, 2]
    assert record["env_steps"] == 0
    assert record["iteration"] == 3
    episodes = [record[f"num_{what}"] for what in ("ways", "shots", "queries")]
    assert episodes == [3, 1, 2]
    assert record["sampling"] == "fixed"
    assert record["norm"] == "transductive"
    accuracy = np.array(record["accuracy"])
    assert accuracy.shape == (3, 5)
    assert set((accuracy * 6).round(6).flatten()) <= set(range(7))  # of 3 x 2 queries
    np.testing.assert_allclose(record["mean"], accuracy.mean(1))
    assert "3-way 1-shot: 5 test episodes" in shown
    assert "batch norm transductive" in shown
    assert "seeds 7 (training) and 1 (test)" in shown
    for mean, (low, high) in zip(record["mean"], record["ci95"], strict=True):
        assert low <= mean <= high
        assert f"{100 * mean:.2f}" in shown
        assert f"[{100 * low:.2f}, {100 * high:.2f}]" in shown
    for iqm, (low, high) in zip(record["iqm"], record["iqm_ci95"], strict=True):
        assert f"{100 * iqm:.2f} │ [{100 * low:.2f}, {100 * high:.2f}]" in shown
    assert f"picture: {run / 'adaptation.png'}" in shown


def test_sinusoids_are_measured_by_squared_error(tmp_path, capsys):
    options = ["--data", "sinusoid", "--hidden-sizes", "8", "--num-shots", "5"]
    assert fewshot(tmp_path, "maml", *STEPS, *options, "--iterations", "2") == 0
    record = json.loads((only_folder(tmp_path) / "evaluation.json").read_text())
    assert set(record) == {*CONTRACT, "mse"}
    assert (record["num_ways"], record["num_shots"]) == (None, 5)
    assert np.array(record["mse"]).min() > 0
    shown = printed(capsys)
    assert "squared error" in shown
    assert f"{record['mean'][-1]:.2f}" in shown


def test_the_same_seed_gives_the_same_file(run, tmp_path):
    contents, accuracies = [], []
    for index, seed in enumerate("001"):
        target = tmp_path / f"{index}.json"
        record = evaluated(run, target, "--tasks", "6", "--seed", seed)
        contents.append(target.read_text())
        accuracies.append(record["accuracy"])
    assert contents[0] == contents[1]
    assert accuracies[0] != accuracies[2]


def test_test_episodes_by_option(run, tmp_path, capsys):
    options = ["--ways", "4", "--num-shots", "3", "--queries", "5", "--tasks", "2", "--steps", "1"]
    record = evaluated(run, tmp_path / "record.json", *options)
    shown = printed(capsys)
    episodes = [record[f"num_{what}"] for what in ("ways", "shots", "queries")]
    assert episodes == [4, 3, 5]
    assert record["num_tasks"] == 2
    assert record["steps"] == [0, 1]
    assert set((np.array(record["accuracy"]) * 20).round(6).flatten()) <= set(range(21))
    assert "4-way 3-shot: 2 test episodes" in shown
    first = evaluated(run, tmp_path / "record.json", "--tasks", "2", "--num-ways", "4")
    assert first["num_ways"] == 4


def test_norm_by_option(protonet, tmp_path, capsys):
    """The same test episodes, normalised otherwise."""
    records = []
    for norm in ("inductive", "transductive"):
        options = ["--norm", norm, "--tasks", "20", "--num-queries", "5"]
        records.append(evaluated(protonet, tmp_path / norm, *options))
        assert records[-1]["norm"] == norm
        assert f"batch norm {norm}" in printed(capsys)
    assert records[0]["accuracy"] != records[1]["accuracy"]


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--num-ways", "1"], ["--num-ways must be at least 2, got 1"]),
        (["--num-ways", "500"], ["glyphs test", "204 classes", "500"]),
        (["--num-shots", "16"], ["glyphs test", "has 16 examples", "need 18"]),
        (["--tasks", "1"], ["--tasks", "at least 2"]),
        (["--trajectories", "3"], ["--trajectories is for policies"]),
        (["--inner-lr", "1", "1", "1"], ["--inner-lr is for policies"]),
    ],
)
def test_evaluate_options_that_do_not_fit(options, parts, run, capsys):
    assert main(["evaluate", str(run), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    for part in parts:
        assert part in line


def test_steps_are_for_learners_that_adapt_by_steps(protonet, capsys):
    assert main(["evaluate", str(protonet), "--steps", "2"]) == 2
    assert "protonet does not adapt by steps" in capsys.readouterr().err
    assert main(["evaluate", str(protonet), "--tasks", "2"]) == 0
    assert "gradient steps" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["meta-sgd", "--train-ways", "4"], ["--head free", "use --head shared"]),
        (["meta-sgd", "--sampling", "variable"], ["--head free", "use --head shared"]),
        (["maml", "--num-shots", "0"], ["--num-shots must be at least 1, got 0"]),
        (["maml", "--inner-lr", "inf"], ["--inner-lr must be finite, got inf"]),
        (["protonet", "--eval-tasks", "1"], ["--eval-tasks must be 0, or at least 2", "got 1"]),
        (["maml", "--lr", "-1"], ["--lr must be at least 0.0, got -1.0"]),
        (["maml", "--backbone", "vgg"], ["vgg", "conv4, resnet12, mlp"]),
        (["maml", "--backbone", "no_such_module:Net"], ["no_such_module"]),
        (["protonet", "--data", "sinusoid"], ["protonet", "regression", "use maml"]),
        (["proto-maml", "--data", "sinusoid"], ["proto-maml", "regression", "use maml"]),
        (["maml", "--data", "sinusoid", "--backbone", "conv4"], ["conv4 is for images"]),
        (["maml", "--data", "sinusoid", "--augmentation", "affine"], ["--augmentation", "images"]),
        (["reptile", "--compile"], ["--compile", "reptile"]),
    ],
)
def test_training_options_that_do_not_fit(arguments, parts, tmp_path, capsys):
    assert main(["fewshot", *arguments, "--num-ways", "3", "--output", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    for part in parts:
        assert part in line
    assert list(tmp_path.iterdir()) == []


def test_a_run_starts_from_the_backbone_of_another(protonet, tmp_path):
    options = [*STEPS, "--iterations", "1", "--lr", "0", "--init-from", str(protonet)]
    assert fewshot(tmp_path, "maml", *options) == 0
    (theirs, _), (ours, _) = (
        load_newest(folder / "checkpoints") for folder in (protonet, only_folder(tmp_path))
    )
    theirs, ours = theirs["learner"]["network"], ours["learner"]["network"]
    assert {name for name in ours if name.startswith("backbone.")} == {
        f"backbone.{name}" for name in theirs
    }
    for name, value in theirs.items():
        if "running" not in name and "num_batches" not in name:
            assert torch.equal(ours[f"backbone.{name}"], value), name
    assert main(["resume", str(only_folder(tmp_path)), "--iterations", "2"]) == 0


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--filters", "8"], ["another backbone", '"filters": 4', '"filters": 8']),
        (["--init-from", "nowhere"], ["--init-from", "nowhere", "not a run folder"]),
    ],
)
def test_starts_that_do_not_fit(arguments, parts, protonet, tmp_path, capsys):
    options = ["--init-from", str(protonet), "--iterations", "1", *arguments]
    assert fewshot(tmp_path, "maml", *STEPS, *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    for part in parts:
        assert part in line
    assert list(tmp_path.iterdir()) == []


def test_divergence_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path, capsys):
    """Huge inner steps make every meta-gradient non-finite from the first iteration on."""
    assert fewshot(tmp_path, "maml", *STEPS, "--inner-lr", "1e30", "--iterations", "30") == 2
    errors = capsys.readouterr().err
    assert "scores is not finite, so training stopped" in errors
    assert "--inner-lr" in errors.splitlines()[-1]
    checkpoints = [path.name for path in (only_folder(tmp_path) / "checkpoints").iterdir()]
    assert checkpoints == ["iteration_00000000.pt"]


@pytest.mark.parametrize(
    ("entry", "value", "part"),
    [
        ("problem.algorithm.learner", [], "config.json"),
        ("problem.algorithm.learner", "matching", "config.json"),
        ("problem.kind", "env", "config.json"),
        ("seed", "a", "seed"),
        ("device", "tpu", "device"),
        ("problem.episodes.num_ways", 0, "num_ways must be at least 2"),
        ("problem.backbone.depth", 4, "depth"),
        ("problem.backbone.filters", 8, "does not fit"),
        ("problem.algorithm.lr", 0.5, "was trained with"),
    ],
)
def test_a_changed_config(entry, value, part, protonet, tmp_path, capsys):
    folder = shutil.copytree(protonet, tmp_path / "run")
    part_of = config = json.loads((folder / "config.json").read_text())
    *outer, last = entry.split(".")
    for name in outer:
        part_of = part_of[name]
    part_of[last] = value
    (folder / "config.json").write_text(json.dumps(config))
    assert main(["evaluate", str(folder), "--tasks", "2"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert part in line


def test_a_truncated_checkpoint_is_named_and_the_one_before_it_used(protonet, tmp_path, capsys):
    folder = shutil.copytree(protonet, tmp_path / "run")
    newest = folder / "checkpoints" / "iteration_00000003.pt"
    newest.write_bytes(newest.read_bytes()[:1000])
    assert main(["resume", str(folder)]) == 0
    assert "iteration_00000003.pt is damaged" in capsys.readouterr().err


def state_of(folder):
    """Learner state of the newest checkpoint, its metrics and its evaluation; no times."""
    rows = [
        {k: v for k, v in row.items() if not k.startswith("time/")} for row in read_metrics(folder)
    ]
    evaluation = json.loads((folder / "evaluation.json").read_text())
    del evaluation["hours"]
    checkpoint = load_newest(folder / "checkpoints")[0]
    return checkpoint["iteration"], checkpoint["learner"], rows, evaluation


def assert_same(folder, other):
    """Bit for bit."""
    ours, theirs = state_of(folder), state_of(other)
    assert ours[0] == theirs[0]
    torch.testing.assert_close(ours[1], theirs[1], rtol=0, atol=0)
    assert ours[2:] == theirs[2:]


@pytest.mark.parametrize("learner", [pytest.param("maml++", marks=pytest.mark.slow), "protonet"])
def test_stopped_by_the_clock_and_resumed(learner, tmp_path, capsys):
    """Sessions that are over after an iteration each, then one for the rest."""
    options = ["--iterations", "6", "--eval-every", "2", "--seed", "3"]
    if learner == "maml++":
        options += [*STEPS, "--multi-step-iterations", "4"]
    assert fewshot(tmp_path / "whole", learner, *options) == 0
    assert fewshot(tmp_path / "parts", learner, *options, "--time-limit", "1e-6") == 0
    folder = only_folder(tmp_path / "parts")
    assert f"metarl: to go on: metarl resume {folder}\n" in capsys.readouterr().err
    assert main(["resume", str(folder), "--time-limit", "1e-6"]) == 0
    assert load_newest(folder / "checkpoints")[0]["iteration"] == 2
    capsys.readouterr()
    assert main(["resume", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == lines[-1] == str(folder)
    assert_same(folder, only_folder(tmp_path / "whole"))


def test_resume_with_more_iterations(tmp_path):
    """The step size falls to 0 at the new end, and not at the old one."""
    assert fewshot(tmp_path, "protonet", "--iterations", "2", "--lr", "0.1") == 0
    folder = only_folder(tmp_path)
    assert main(["resume", str(folder), "--iterations", "4"]) == 0
    rows = read_metrics(folder)
    assert [row["iteration"] for row in rows] == ["1", "2", "3", "4"]
    sizes = [float(row["meta/lr"]) for row in rows]
    assert sizes == pytest.approx([0.1, 0.05, 0.05, 0.1 * (1 - np.sqrt(0.5)) / 2])


def test_resume_to_fewer_iterations_keeps_the_run_as_it_is(tmp_path, protonet):
    """A session may end earlier than the run; the whole comes out the same."""
    assert fewshot(tmp_path, "protonet", "--iterations", "3", "--time-limit", "1e-6") == 0
    folder = only_folder(tmp_path)
    assert main(["resume", str(folder), "--iterations", "2"]) == 0
    assert main(["resume", str(folder)]) == 0
    ours, theirs = (load_newest(f / "checkpoints")[0]["learner"] for f in (folder, protonet))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def wait_for_iteration(output, iteration):
    """The run folder, once that many iterations are written."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        for metrics in output.glob("*/metrics.csv"):
            if len(metrics.read_bytes().splitlines()) > iteration:
                return metrics.parent
        time.sleep(0.002)
    raise TimeoutError(f"no iteration {iteration} in {output}")


@pytest.mark.slow  # 10 s
def test_killed_and_resumed(tmp_path):
    """SIGKILL leaves no time for anything: what counts is the checkpoint before it."""
    options = ["--iterations", "90", "--checkpoint-every", "7", "--eval-every", "40"]
    assert fewshot(tmp_path / "whole", "protonet", *options) == 0
    command = [sys.executable, "-m", "metarl", "fewshot", "protonet", *SMALL, *options]
    process = subprocess.Popen(
        [*command, "--output", str(tmp_path / "killed")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    folder = wait_for_iteration(tmp_path / "killed", 17)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert 14 <= load_newest(folder / "checkpoints")[0]["iteration"] < 90
    assert main(["resume", str(folder)]) == 0
    assert_same(folder, only_folder(tmp_path / "whole"))

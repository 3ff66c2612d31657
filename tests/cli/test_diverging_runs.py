"""Numbers that overflow: exit status 2, one line, and the newest checkpoint is a good one."""

import json
from pathlib import Path

import pytest
import torch

import metarl
from metarl.cli import main
from metarl.files import NonFiniteError, check_finite
from metarl.runs.errors import InputError
from metarl.runs.evaluate import write_json
from metarl.training.checkpoint import load_newest

POINTS = ["--env", "metarl/PointGoal-v0", "--meta-batch-size", "2", "--num-trajectories", "2"]
POINTS += ["--horizon", "5", "--iterations", "4", "--eval-tasks", "2"]
GLYPHS = ["--backbone", "mlp", "--hidden-sizes", "8", "--num-validation", "4", "--iterations", "8"]
GLYPHS += ["--eval-tasks", "20", "--meta-batch-size", "2"]
ENCODER = ["--encoder-warmup", "2", "--encoder-steps", "2"]
DIVERGING = {
    "protonet": ["fewshot", "protonet", *GLYPHS, "--lr", "1e30"],
    "knn": ["fewshot", "knn", *GLYPHS, "--features", "trained", "--lr", "1e30"],
    "maml": ["fewshot", "maml", *GLYPHS, "--inner-lr", "1e30"],
    "maml-vpg": ["train", "maml-vpg", *POINTS, "--outer-lr", "1e30"],
    "maml-trpo": ["train", "maml-trpo", *POINTS, "--inner-lr", "1e30"],
    "sb3-ppo": ["train", "sb3-ppo", *POINTS, "--lr", "1e30"],
    "rl2": ["train", "rl2", *POINTS, "--lr", "1e30"],
    "encoder": ["train", "proto-embedding", *POINTS, "--encoder-lr", "1e30", *ENCODER],
}


# reason: NumPy warns of what overflows, stable-baselines3 of its mini-batches
@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:You have specified a mini-batch size:UserWarning")
@pytest.mark.parametrize("name", DIVERGING)
def test_what_diverges_ends_with_a_good_checkpoint(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*DIVERGING[name], "--output", str(tmp_path)]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("metarl: error: ")
    assert "not finite" in last
    assert "smaller step size" in last
    (run,) = tmp_path.iterdir()
    content, problems = load_newest(run / "checkpoints")
    check_finite(content)
    assert problems == []
    assert not (run / "evaluation.json").exists()


@pytest.mark.parametrize("option", ["--inner-lr", "--outer-lr"])
@pytest.mark.parametrize("given", ["inf", "nan", "2e30", "1e300"])
def test_step_sizes_are_of_single_precision(
    option: str, given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "maml-vpg", *POINTS, option, given]) == 2
    assert f"{option} must be" in capsys.readouterr().err


def test_figures_that_are_none_are_not_written(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    write_json(path, {"mean": [1.0]})
    for figure in (float("nan"), float("inf")):
        with pytest.raises(InputError, match=r"evaluation\.json is not written: a figure is not"):
            write_json(path, {"mean": [1.0, figure]})
    assert json.loads(path.read_text()) == {"mean": [1.0]}
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def run(tmp_path: Path) -> "metarl.Run":
    options = [*POINTS[:6], "--horizon", "5", "--iterations", "1", "--eval-tasks", "0", "--quiet"]
    assert main(["train", "maml-vpg", *options, "--output", str(tmp_path / "runs")]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    return metarl.load_run(folder)


def test_a_policy_that_is_none_is_not_exported(run: "metarl.Run", tmp_path: Path) -> None:
    policy = run.policies.learner.policy
    with torch.no_grad():
        policy.log_std[0] = torch.inf
    with pytest.raises(InputError, match=r"policy\.log_std is not finite"):
        run.export(tmp_path / "model.zip")
    with pytest.raises(NonFiniteError, match=r"policy\.pt is not written: weights\.log_std"):
        run.policies.learner.actor().save(tmp_path / "policy.pt")
    assert not list(tmp_path.glob("*.*"))

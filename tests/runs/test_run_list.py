"""``metarl runs``, of folders that were never trained."""

import json
from pathlib import Path
from typing import Any

import pytest

from metarl import cli
from metarl.runs import listed
from metarl.runs.config import CODEC, DataProblem, EnvProblem, config_of
from metarl.runs.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run that has ended, one that was killed, one whose config is damaged."""
    for name, iteration in (("ended", 5), ("inner/killed", 3)):
        run = tmp_path / name
        (run / "checkpoints").mkdir(parents=True)
        config = config_of(EnvProblem, "promp", env="metarl/PointGoal-v0", iterations=5)
        (run / "config.json").write_bytes(CODEC.dump_json(config))
        (run / "checkpoints" / f"iteration_{iteration:08d}.pt").touch()
    ended = {"ending": "complete", "iteration": 5, "seconds": 61.0}
    (tmp_path / "ended" / "ending.json").write_text(json.dumps(ended))
    figures = {"iteration": 5, "mean": [-40.0, -12.5], "returns": [[0.0], [0.0]]}
    (tmp_path / "ended" / "evaluation.json").write_text(json.dumps(figures))
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "config.json").write_text("{")
    return tmp_path


def test_runs_are_found_however_deep(folder: Path) -> None:
    damaged, ended, killed = listed(folder)
    assert (ended.learner, ended.subject, ended.row.state) == (
        "promp",
        "metarl/PointGoal-v0",
        "complete",
    )
    assert (ended.row.before, ended.row.after, ended.row.seconds) == (-40.0, -12.5, 61.0)
    assert (killed.row.state, killed.row.iteration) == ("unfinished", 3)
    assert killed.to_go_on == f"metarl resume {killed.folder}"
    assert not ended.to_go_on
    assert not damaged.to_go_on
    assert "is not a config of this version" in damaged.row.error


def test_the_command_says_how_to_go_on(folder: Path, capsys: Any) -> None:
    assert cli.main(["runs", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert f"to go on: metarl resume {folder / 'inner' / 'killed'}\n" in printed
    assert "3 of 5" in printed
    assert "-12.50" in printed
    assert "before and after adaptation to held-out tasks: mean return" in printed
    assert printed.count("to go on") == 1


def test_accuracies_are_in_percent(tmp_path: Path, capsys: Any) -> None:
    config = config_of(DataProblem, "protonet", data="glyphs", iterations=5)
    (tmp_path / "config.json").write_bytes(CODEC.dump_json(config))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "iteration_00000005.pt").touch()
    ended = {"ending": "complete", "iteration": 5, "seconds": 61.0}
    (tmp_path / "ending.json").write_text(json.dumps(ended))
    figures = {"iteration": 5, "mean": [0.918], "accuracy": [[0.918]]}
    (tmp_path / "evaluation.json").write_text(json.dumps(figures))
    assert cli.main(["runs", str(tmp_path)]) == 0
    assert "91.80 %" in capsys.readouterr().out


def test_no_folder_is_one_line(tmp_path: Path, capsys: Any) -> None:
    assert cli.main(["runs", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err == f"metarl: error: {tmp_path / 'none'} is no folder\n"
    with pytest.raises(InputError, match="is no folder"):
        listed(tmp_path / "none")

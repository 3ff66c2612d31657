"""``metarl envs ID``."""

from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import pytest

import metarl_envs
from metarl import cli


@pytest.mark.parametrize(
    ("env_id", "told"),
    [
        (
            "metarl/PointGoal-v0",
            ["* Task: ``goal`` uniform over", "horizon: 100", "env-kwargs: none"],
        ),
        (
            "metarl/HalfCheetahVel-v0",
            [
                "* Reward: -|dx/dt - velocity|",
                "velocity_range ((0.0, 2.0))",
                "physics ('gymnasium')",
            ],
        ),
    ],
)
def test_a_family_says_what_it_is(env_id: str, told: list[str], capsys: Any) -> None:
    assert cli.main(["envs", env_id]) == 0
    printed = capsys.readouterr().out
    for text in told:
        assert text in printed


@pytest.mark.slow  # each MuJoCo model is compiled, 5 s in all
@pytest.mark.parametrize("env_id", metarl_envs.FAMILIES)
def test_every_family_says_what_its_rewards_are(env_id: str, capsys: Any) -> None:
    assert cli.main(["envs", env_id]) == 0
    assert "reward" in capsys.readouterr().out.partition("options, by")[0].lower()


def test_another_name_is_suggested(capsys: Any) -> None:
    assert cli.main(["envs", "metarl/PointGol-v0"]) == 2
    assert "did you mean metarl/PointGoal-v0?" in capsys.readouterr().err


def test_a_picture_of_a_family(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "goals.png"
    assert cli.main(["envs", "metarl/PointGoal-v0", "--picture", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"picture: {path}"
    height, width, _ = imageio.imread(path).shape
    assert width > height  # one panel and its margins
    assert cli.main(["envs", "--picture", str(path)]) == 2
    assert "--picture is of one family: give its id" in capsys.readouterr().err
    assert cli.main(["envs", "metarl/PointGoal-v0", "--picture", str(tmp_path / "a.docx")]) == 2
    assert "--picture" in capsys.readouterr().err


@pytest.mark.slow  # 20 s: each MuJoCo model is compiled and drawn
@pytest.mark.parametrize("env_id", metarl_envs.FAMILIES)
def test_every_family_can_be_drawn(env_id: str, tmp_path: Path) -> None:
    assert cli.main(["envs", env_id, "--picture", str(tmp_path / "family.png")]) == 0
    assert (tmp_path / "family.png").stat().st_size > 5000

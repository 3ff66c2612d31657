"""``metarl envs ID``."""

from typing import Any

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

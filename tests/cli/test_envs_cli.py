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
            ["* Task: goal uniform over", "horizon: 100", "env-kwargs: none"],
        ),
        (
            "metarl/HalfCheetahVel-v0",
            [
                "* Reward: -|dx/dt - velocity|",
                "kwargs: observation, velocity_range ((0.0, 2.0))",
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
    assert "`" not in printed


OWN = """
import gymnasium as gym
import numpy as np
from metarl_envs import Product, Uniform


class Heater(gym.Env):
    \"""Hold a temperature.\"""

    observation_space = action_space = gym.spaces.Box(-1, 1, (1,))
    task_distribution = Product({"gain": Uniform(0.5, 2.0)})
    task_space = task_distribution.space

    def __init__(self, loss=0.1):
        self.task = {"gain": np.array(1.0)}


class Careless(Heater):
    task_space = property()

    def __init__(self):
        self.task = self.task_space.sample()


gym.register("Heater-v0", Heater, max_episode_steps=10)
gym.register("Careless-v0", Careless, max_episode_steps=10)
"""


def test_what_there_is_in_a_module_of_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "heaters.py").write_text(OWN)
    (tmp_path / "no_heaters.py").write_text("class Oven: ...")
    assert cli.main(["envs", "heaters:Heater-v0"]) == 0
    printed = capsys.readouterr().out
    for text in ("Hold a temperature.", "task: gain: Box(0.5, 2, ())", "horizon: 10", "loss (0.1)"):
        assert text in printed
    for command, env, told in (
        ("check-env", "heaters:Heater", "rror: heaters:Heater is not a registered environment; "),
        ("envs", "heaters:Heater", "did you mean heaters:Heater-v0?"),
        (
            "envs",
            "heaters:Oven-v0",
            "module heaters does not register it (besides metarl's there are: ",
        ),
        ("check-env", "no_heaters:Oven", 'let it call gym.register("Oven-v0", Oven, max_episode_'),
        ("envs", "metarl/Nope-v0", "metarl/AntDir-v0, metarl/AntGoal-v0, "),
        ("envs", "heaters:Careless-v0", "making it: it lacks task_space; a task family has task_s"),
    ):
        assert cli.main([command, env]) == 2
        assert told in capsys.readouterr().err


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

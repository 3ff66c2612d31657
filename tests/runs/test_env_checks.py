"""``metarl check-env`` finds planted faults, one a time, and nothing where there is none."""

from typing import Any

import gymnasium as gym
import planted_faults
import pytest

from metarl.cli import main
from metarl.runs import InputError, check_env
from metarl.runs.env_checks import effects
from metarl.runs.env_checks import steps as looks
from metarl_envs import FAMILIES, Disk, RandomDynamics, RandomGoal, Uniform

FAULT, DRAWS = "planted_faults:PlantedFault-v0", "planted_faults:PlantedDraws-v0"


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "SECONDS", 0.01)
    planted_faults.Navigation.living.clear()


@pytest.mark.parametrize(
    ("fault", "check", "text"),
    [
        ("redrawn", "sticky", "after a reset with a seed the task is"),
        ("redrawn late", "sticky", "after a trajectory the task is"),
        ("redrawn inside", "effect", "changes neither rewards nor dynamics"),
        ("redrawn without a seed", "sticky", "no effect any more after a second reset"),
        ("only shown", "effect", "changes neither rewards nor dynamics"),
        ("no effect", "effect", "changes neither rewards nor dynamics"),
        ("seed ignored", "seed", "the same seed, task and actions give other observations"),
        ("global numbers", "seed", "draw from self.np_random alone"),
        ("drawn when made", "seed", "two environments give different observations and rewards"),
        ("compounds", "history", "start from nominal values, or tasks compound"),
        ("shared goal", "neighbours", "beside 2 others an environment gives other rewards"),
        ("shared task", "neighbours", "the task of environment 0 of 3 is"),
        (
            "restarts all",
            "neighbours",
            "another task of a neighbour changes observations and rewards",
        ),
        ("dtype", "kinds", "observations are float64 of shape (4,), observation_space float32"),
        ("reward array", "kinds", "rewards are float64 of shape (1,); they must be numbers"),
        ("no flag", "kinds", "terminated is int; it must be a bool"),
        ("bounds", "bounds", "not within [-10.0, 10.0]; widen observation_space, or clip"),
        ("nan", "numbers", "entry 0 of the observation is "),
        ("raises", "error", "KeyError: 'no such goal' (" + planted_faults.__file__),
        ("first task outside", "task space", "the first task is not in task_space: task entry"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_a_planted_fault_is_found(
    fault: str, check: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effects, "NUM_TRIES", 2)
    report = check_env(FAULT, env_kwargs={"fault": fault}, steps=60)
    found = [one for one in report.findings if one.wrong and one.check != "gymnasium"]
    assert [one.check for one in found] == [check]
    assert text in found[0].text
    assert "\n" not in str(found[0])


@pytest.mark.parametrize(
    ("draws", "check", "text"),
    [
        ("split ignored", "split", "it ignores split"),
        ("overlap", "split", "of the held-out tasks lie as near to train tasks"),
        ("outside", "task space", "a train task is not in task_space: task entry 'goal' is"),
        ("scalar", "task space", "a train task is not in task_space: task entry 'goal' is"),
        ("own generator", "draws", "must draw from the generator that it is given"),
        ("common", "split", "is among the held-out and the train tasks"),
    ],
)
def test_a_fault_of_the_distribution_is_found(draws: str, check: str, text: str) -> None:
    report = check_env(DRAWS, env_kwargs={"draws": draws}, steps=30)
    found = next(one for one in report.findings if one.wrong)
    assert found.check == check
    assert text in found.text


@pytest.mark.parametrize(
    ("env", "options", "check", "text"),
    [
        (DRAWS, {"draws": "by number"}, "draws", "are not the first of 40"),
        (FAULT, {"fault": "shows the task"}, "effect", "the first observation depends on the task"),
        ("metarl/PointCorners-v0", {}, "split", "disjoint is False"),
    ],
)
def test_what_may_be_meant_is_a_note(
    env: str, options: dict[str, Any], check: str, text: str
) -> None:
    report = check_env(env, env_kwargs=options, steps=30)
    assert report.good
    found = next(one for one in report.findings if text in one.text)
    assert found.check == check


def put_target(robot: Any, goal: Any) -> None:
    qpos, qvel = robot.data.qpos.copy(), robot.data.qvel.copy()
    qpos[-2:] = goal
    robot.set_state(qpos, qvel)


def pendulum() -> Any:
    return RandomDynamics(gym.make("Pendulum-v1"), {"m": Uniform(0.5, 2.0)})


def acrobot() -> Any:
    return RandomDynamics(gym.make("Acrobot-v1"), {"LINK_MASS_1": Uniform(0.5, 2.0)})


def reacher() -> Any:
    goals, hidden = Disk(0.2), [4, 5, 8, 9]
    return RandomGoal(gym.make("Reacher-v5"), goals, set_goal=put_target, hide=hidden)


@pytest.mark.parametrize("env", [pendulum, acrobot, reacher, "metarl/PointGoalSparse-v0"])
def test_families_that_are_right_pass(env: Any) -> None:
    report = check_env(env, steps=100)
    assert report.findings == ()
    assert "steps a second" in report.speed


@pytest.mark.slow  # two minutes: 1000 steps of every robot, and 48 trajectories
@pytest.mark.parametrize("env", [*FAMILIES, "own_robot:PusherGoal-v0", "own_arm:ArmReach-v0"])
def test_every_family_passes(env: str) -> None:
    assert check_env(env).good


def test_the_command_says_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-env", "planted_faults:PlantedEndless-v0", "--steps", "30"]) == 2
    *found, last = capsys.readouterr().out.splitlines()
    assert [line for line in found if not line.startswith("wrong: gymnasium")] == [
        "wrong: end: no trajectory ended in 30 steps, and there is no time limit; give one: "
        "gymnasium.register(..., max_episode_steps=...), or --horizon"
    ]
    assert last.startswith("planted_faults:PlantedEndless-v0 is not the task family it should be; ")
    options = ["--env-kwargs", '{"fault": ""}', "--steps", "30"]
    assert main(["check-env", FAULT, *options]) == 0
    assert capsys.readouterr().out.startswith(f"{FAULT} is a task family; ")


def test_what_is_no_family_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"CartPole-v1 has no tasks: .* lacks task_space"):
        check_env("CartPole-v1")
    with pytest.raises(InputError, match="did you mean metarl/PointGoal-v0"):
        check_env("metarl/PointGaol-v0")

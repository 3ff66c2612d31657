"""A config as its command line, and back."""

import shlex
from dataclasses import fields
from typing import Any

import pytest

from metarl import cli
from metarl.cli.option_list import options_of
from metarl.runs.commands import command_of, given_options, run_name, settings_of
from metarl.runs.config import (
    NO_SETTINGS,
    DataProblem,
    EnvProblem,
    RunConfig,
    RunOptions,
    config_of,
)


@pytest.mark.parametrize(
    ("kind", "learner", "options"),
    [
        (EnvProblem, "maml-trpo", {"env": "metarl/PointGoal-v0"}),
        (
            EnvProblem,
            "promp",
            {
                "env": "metarl/PointGoal-v0",
                "env_kwargs": {"reward": "sparse", "radius": 0.5},
                "hidden_sizes": (32, 16),
                "inner_importance_weights": False,
                "iterations": 7,
                "seed": 3,
                "learned_lr": True,
            },
        ),
        (EnvProblem, "rl2", {"env": "own:Family-v0", "workers": 2, "info_keys": ("a", "b")}),
        (DataProblem, "maml", {"data": "my images", "num_shots": 5, "device": "cpu"}),
        (DataProblem, "protonet", {"data": "omniglot", "trainval": True}),
    ],
)
def test_the_command_line_of_a_config_gives_it_back(
    kind: Any, learner: str, options: dict[str, Any]
) -> None:
    config = config_of(kind, learner, **options)
    words = shlex.split(command_of(config))
    assert words[0] == "metarl"
    parsed = cli._parse(words[1:])
    common = {entry.name: getattr(parsed, entry.name) for entry in fields(RunOptions)}
    assert RunConfig(problem=parsed.problem, **common) == config


def test_defaults_are_not_said() -> None:
    config = config_of(EnvProblem, "promp", env="metarl/PointGoal-v0", inner_lr=0.3)
    assert given_options(config) == {"inner_lr": 0.3}


@pytest.mark.parametrize(
    ("kind", "options", "name"),
    [
        (EnvProblem, {"env": "metarl/PointGoal-v0"}, "maml-trpo_X_seed0"),
        (
            EnvProblem,
            {"env": "metarl/PointGoal-v0", "env_kwargs": {"reward": "sparse"}, "seed": 2},
            "maml-trpo_X_reward=sparse_seed2",
        ),
        (
            EnvProblem,
            {"env": "a:B-v0", "hidden_sizes": (32, 16), "init_from": "x/policy.pt", "threads": 1},
            "maml-trpo_X_init-from=x-policy.pt_hidden-sizes=32-16_seed0",
        ),
    ],
)
def test_names_of_runs_say_what_differs(kind: Any, options: dict[str, Any], name: str) -> None:
    assert run_name(config_of(kind, "maml-trpo", **options), "X") == name


def test_names_of_runs_have_an_end() -> None:
    config = config_of(EnvProblem, "promp", env="a:B-v0", env_kwargs={"x" * 400: 1}, seed=7)
    name = run_name(config, "B-v0")
    assert len(name) < 140
    assert name.endswith("_seed7")


def test_what_is_no_setting_is_an_option_that_no_name_tells() -> None:
    learners = ("train", "maml-trpo"), ("fewshot", "maml")
    kinds = [(cli.COMMANDS[name][0], cli.LEARNERS[name][each].config) for name, each in learners]
    assert set(NO_SETTINGS) <= {option.name for kind in kinds for option in options_of(*kind)}
    given = {"workers": 2, "threads": 1, "profile": 3, "video_every": 5, "time_limit": 9.0}
    config = config_of(EnvProblem, "promp", env="metarl/PointGoal-v0", **given)
    assert run_name(config, "X") == "promp_X_seed0"
    assert not settings_of(config).keys() & set(NO_SETTINGS)


def test_run_folders_have_plain_names() -> None:
    config = config_of(EnvProblem, "promp", env="metarl/PointGoal-v0")
    assert run_name(config, "<lambda>") == "promp_lambda_seed0"

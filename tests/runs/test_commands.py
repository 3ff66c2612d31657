"""A config as its command line, and back."""

import shlex
from dataclasses import fields
from typing import Any

import pytest

from metarl import cli
from metarl.runs.commands import command_of, given_options
from metarl.runs.config import DataProblem, EnvProblem, RunConfig, RunOptions, config_of


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

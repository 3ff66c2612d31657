"""A config.json that was edited: one line that names the file and the entry."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from metarl.rl.plain_spaces import plain_space
from metarl.runs.config import CODEC, EnvProblem, RunConfig, config_of, read_config
from metarl.runs.errors import InputError
from metarl.runs.facts import EnvFacts
from metarl.runs.json_option import json_object

BOX = plain_space(spaces.Box(-1.0, 1.0, (2,), np.float32))


def write(folder: Path, **changed: Any) -> None:
    config = config_of(EnvProblem, "maml-vpg", env="metarl/PointGoal-v0")
    content = json.loads(CODEC.dump_json(config))
    facts = {"observation_space": BOX, "action_space": BOX, "task_space": {"goal": BOX}}
    content["problem"]["trained_on"] = facts | {"horizon": 5} | changed
    (folder / "config.json").write_text(json.dumps(content))


def test_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path)
    config = read_config(tmp_path)
    assert isinstance(config, RunConfig)
    assert isinstance(config.problem.trained_on, EnvFacts)


@pytest.mark.parametrize("part", ["observation_space", "action_space", "task_space"])
@pytest.mark.parametrize(
    ("space", "reason"),
    [
        ({}, "'kind'"),
        ({"kind": "discrete"}, "'n'"),
        ({**BOX, "shape": 3}, "not iterable"),
        ({**BOX, "shape": [10**6, 10**6]}, "over 16777216 numbers"),
        ({**BOX, "dtype": "{}"}, "data type"),
        ({**BOX, "low": ["x"]}, "could not convert"),
        ({**BOX, "low": [2.0]}, "low values must be less"),
        ({**BOX, "low": [1, 2, 3]}, "cannot reshape"),
    ],
)
def test_spaces_that_are_none(tmp_path: Path, part: str, space: Any, reason: str) -> None:
    write(tmp_path, **{part: {"goal": space} if part == "task_space" else space})
    line = f"{tmp_path}/config.json is not a config .*: not a space: .*{reason}"
    with pytest.raises(InputError, match=line):
        read_config(tmp_path)


def test_braces_of_the_user_are_text(tmp_path: Path) -> None:
    """They were taken for places to fill in."""
    (tmp_path / "config.json").write_text('{"seed": {"a}{": "}"}}')
    with pytest.raises(InputError, match=re.escape("got {'a}{': '}'}")):
        read_config(tmp_path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' + "9" * 5000 + "}", "{", "'x'"])
def test_what_is_no_json_of_an_option(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{text[:200]!r} is not JSON: ")):
        json_object(text)

"""The command that a config stands for."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from metarl.runs.config import (
    CLASSIFIER_LEARNERS,
    CODEC,
    NO_SETTINGS,
    POLICY_LEARNERS,
    EnvProblem,
    RunConfig,
    config_of,
)
from metarl.runs.facts import DataFacts, EnvFacts

NOT_IN_NAMES = (*NO_SETTINGS, "seed", "iterations", "patience", "num_ways", "num_shots")
"""Options that no name of a run tells: not worth it, or told by its other parts."""
LONGEST_NAME = 120
"""Of what comes before the seed; file systems take names of 255 letters."""


def given_options(config: RunConfig) -> dict[str, Any]:
    """The options that are not as they would be by default, by their names in Python."""
    kind = type(config.problem)
    default = config_of(kind, config.learner, **_subject(config))
    return dict(_changed(config, default))


def command_of(config: RunConfig) -> str:
    """The command line that trains a run of this config, seed included.

    >>> command_of(config_of(EnvProblem, "promp", env="metarl/PointGoal-v0", inner_lr=0.1, seed=3))
    'metarl train promp --env metarl/PointGoal-v0 --seed 3 --inner-lr 0.1'
    """
    if config.learner not in POLICY_LEARNERS | CLASSIFIER_LEARNERS:
        return f"# {config.learner} in Python: no command makes this learner"
    command = "train" if isinstance(config.problem, EnvProblem) else "fewshot"
    words = ["metarl", command, config.learner]
    for name, value in (_subject(config) | given_options(config)).items():
        words += _words(name, value)
    return shlex.join(words)


def command_on(folder: Path | str, verb: str, config: RunConfig) -> str:
    """The command line that does something with a run; code of the user's own is given again.

    Args:
        folder: of the run, or its address on the hub.
        verb: such as ``resume``.
        config: of the run.

    >>> config = config_of(EnvProblem, "promp", env="my_robots:Line-v0")
    >>> command_on(Path("runs/a"), "resume", config)
    'metarl resume runs/a --env my_robots:Line-v0'
    """
    again = [word for name, code in code_of(config).items() for word in _words(name, code)]
    return shlex.join(["metarl", verb, str(folder), *again])


def code_of(config: RunConfig) -> dict[str, str]:
    """``module:Id`` or ``module:Class`` of the user's own, by the option; empty without any."""
    problem = config.problem
    if isinstance(problem, EnvProblem):
        named = {"env": problem.env}
    else:
        named = {"backbone": problem.backbone.backbone}
    return {name: code for name, code in named.items() if ":" in code}


def run_name(config: RunConfig, subject: str) -> str:
    """Learner, subject, what differs from the defaults and seed: how a run folder's name starts.

    Args:
        config: of the run.
        subject: environment or data set, in short.

    >>> config = config_of(EnvProblem, "promp", env="metarl/PointGoal-v0", inner_lr=0.1, seed=3)
    >>> run_name(config, "PointGoal-v0")
    'promp_PointGoal-v0_inner-lr=0.1_seed3'
    """
    given = given_options(config)
    given |= given.pop("env_kwargs", {})
    told = [f"{k.replace('_', '-')}={_brief(v)}" for k, v in given.items() if k not in NOT_IN_NAMES]
    safe = [re.sub(r"[^\w.=+-]+", "-", text).strip("-") for text in (subject, *told)]
    return f"{'_'.join([config.learner, *safe])[:LONGEST_NAME]}_seed{config.seed}"


def _brief(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)


def settings_of(config: RunConfig) -> dict[str, Any]:
    """Learner, subject, seed and the options that decide what is learned, as JSON has them."""
    problem = dict(_entries(config.problem, CODEC.dump_python(config, mode="json")["problem"]))
    left_out = ("kind", *NO_SETTINGS)
    return {
        "learner": config.learner,
        **_subject(config),
        "seed": config.seed,
        "iterations": config.schedule.iterations,
        **{name: value for name, value in problem.items() if name not in left_out},
    }


def _entries(value: Any, plain: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for entry in fields(value):
        own = getattr(value, entry.name)
        if isinstance(own, EnvFacts | DataFacts):
            continue
        if is_dataclass(own):
            yield from _entries(own, plain[entry.name])
        else:
            yield entry.name, plain[entry.name]


def _subject(config: RunConfig) -> dict[str, Any]:
    return {"env" if isinstance(config.problem, EnvProblem) else "data": config.subject}


def _changed(value: Any, default: Any) -> Iterator[tuple[str, Any]]:
    """Entries, by their own names, that differ between two dataclasses of one kind."""
    for entry in fields(value):
        own, usual = getattr(value, entry.name), getattr(default, entry.name)
        if isinstance(own, EnvFacts | DataFacts):
            continue  # found out, not given
        if is_dataclass(own):
            yield from _changed(own, usual)
        elif own != usual:
            yield entry.name, own


def _words(name: str, value: Any) -> list[str]:
    """An option of the command line."""
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag.removeprefix('--')}"]
    if isinstance(value, tuple):
        return [flag, *map(str, value)]
    return [flag, json.dumps(value) if isinstance(value, dict) else str(value)]

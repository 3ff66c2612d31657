"""What a run is told: an environment or a data set, a learner, and how long it takes.

A :class:`RunConfig` is the options of ``metarl train`` and ``metarl fewshot``, the keywords of
:func:`metarl.train` and :func:`metarl.train_fewshot`, and the ``config.json`` of a run folder:
all of them go through the checks of these dataclasses.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, field, fields, is_dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tyro
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticSerializationError, to_json
from tyro.conf import Suppress, subcommand

from metarl import rl, sb3
from metarl.configs import (
    STRICT,
    Count,
    Natural,
    NumTasksOrNone,
    Preset,
    Seed,
    complaint,
)
from metarl.fewshot import configs as fewshot
from metarl.fewshot.data.config import DataConfig
from metarl.fewshot.presets import PRESETS, Algorithm
from metarl.files import one_error
from metarl.rl.plain_spaces import space_of
from metarl.runs.errors import InputError, nearest
from metarl.runs.facts import DataFacts, EnvFacts
from metarl.runs.json_option import JsonObject
from metarl.runs.policy_config import NOT_FOR_SB3, PolicyConfig, SamplingConfig
from metarl.training import DeviceName, Schedule

KindT = TypeVar("KindT")

Engine = Literal["auto", "c", "device"]
"""See :attr:`EnvProblem.engine`."""
Checkpoint = Literal["latest", "best"]
"""Of a run: the newest good one, or the one that did best in validation."""
POLICY_LEARNERS: dict[str, Preset] = {**rl.PRESETS, **sb3.PRESETS}
"""Learners of ``metarl train``."""
CLASSIFIER_LEARNERS: dict[str, Preset] = PRESETS
"""Learners of ``metarl fewshot``."""


def _by_name(learners: dict[str, Preset]) -> Any:
    """The learners as subcommands of their names."""
    choices: list[Any] = [
        Annotated[type(config), subcommand(name, default=config, description=summary)]
        for name, (config, summary) in learners.items()
    ]
    return tyro.conf.arg(constructor=reduce(or_, choices))


PolicyAlgorithm = Annotated[
    rl.MAMLTRPOConfig
    | rl.MAMLVPGConfig
    | rl.MAMLPPOConfig
    | rl.ReptileConfig
    | rl.ControlConfig
    | rl.RandomInitConfig
    | rl.ComposedConfig
    | sb3.SB3PPOConfig
    | sb3.SB3FinetuneConfig
    | sb3.RL2Config
    | sb3.ProtoEmbeddingConfig,
    Field(discriminator="learner"),
]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EnvProblem:
    """A task family, and a policy that adapts to its tasks."""

    kind: Suppress[Literal["env"]] = "env"
    algorithm: Annotated[PolicyAlgorithm, _by_name(POLICY_LEARNERS)]
    env: str
    """Task family, see ``metarl envs``; ``module:Id`` imports your module."""
    env_kwargs: JsonObject = field(default_factory=dict)
    """Options of the family as a JSON object."""
    engine: Engine = "auto"
    """What steps the environments of training: ``c`` the cores, by NumPy and MuJoCo's C engine;
    ``device`` the device of the policy, by torch and MuJoCo Warp, for families that have a form
    there. ``auto`` is ``device`` on CUDA where that is possible, else ``c``."""
    engine_kwargs: JsonObject = field(default_factory=dict)
    """Options of the engine ``device`` as a JSON object, such as Warp's njmax."""
    policy: PolicyConfig = PolicyConfig()
    sampling: SamplingConfig = SamplingConfig()
    trained_on: Suppress[EnvFacts | None] = None
    workers: Count = 1
    """Processes that step environments in Python, each a part of them; results are the same with
    any number. Families that step whole batches do without."""
    video_every: Natural = 0
    """Every n-th iteration, a video in TensorBoard of a held-out task before and after adaptation;
    0 for none."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DataProblem:
    """A data set, and a classifier that adapts to its classes."""

    kind: Suppress[Literal["data"]] = "data"
    algorithm: Annotated[Algorithm, _by_name(CLASSIFIER_LEARNERS)]
    data: DataConfig = DataConfig()
    episodes: fewshot.EpisodeConfig = fewshot.EpisodeConfig()
    backbone: fewshot.BackboneConfig = fewshot.BackboneConfig()
    trained_on: Suppress[DataFacts | None] = None


FEWSHOT_SCHEDULE = Schedule(iterations=1000, eval_every=100, checkpoint_every=100)
"""Default of few-shot runs, whose iterations are short."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RunOptions:
    """What every run is told."""

    seed: Seed = 0
    """Decides everything random in the run, but for class splits."""
    device: DeviceName = "auto"
    """Where the networks, and data sets that fit, live."""
    deterministic: bool = False
    """On CUDA, too, a seed gives the same bits, resumed or not; slower, contacts on the cores."""
    threads: Count = 1
    """Threads torch may use; small networks are fastest with 1, and two runs of one thread are
    faster than one run of two."""
    schedule: Schedule = Schedule()
    eval_tasks: Annotated[
        NumTasksOrNone | None, tyro.conf.arg(help_behavior_hint="[40; 600 few-shot episodes]")
    ] = None
    """Tasks of the evaluation at the end; 0 for none."""
    pictures_every: Natural = 0
    """Every n-th iteration, in TensorBoard, the adaptation curve of 20 held-out tasks and their
    histograms before and after; 0 for none but those of the evaluation at the end."""
    init_from: str | None = None
    """What to start from instead of random weights. Policies: a policy.pt of metarl, or a .zip file
    of a PPO model of stable-baselines3; classifiers: the folder of a run with the same backbone."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RunConfig(RunOptions):
    """Everything that decides a run, as kept in its ``config.json``."""

    problem: Annotated[EnvProblem | DataProblem, Field(discriminator="kind")]

    @property
    def learner(self) -> str:
        """The learner's name."""
        return self.problem.algorithm.learner

    @property
    def subject(self) -> str:
        """The environment or the data set."""
        problem = self.problem
        return problem.env if isinstance(problem, EnvProblem) else problem.data.data


CODEC = TypeAdapter(RunConfig)
NO_SETTINGS = (
    *("device", "threads", "workers", "engine", "engine_kwargs", "data_root", "download"),
    *("time_limit", "eval_every", "checkpoint_every", "save_share", "eval_tasks"),
    *("pictures_every", "video_every", "profile"),
)
"""Options that decide no result, or only by rounding, and say nothing of what is learned."""


def refused(algorithm: Any) -> Mapping[str, str]:
    """Options outside of it that a kind of learner does without, and why."""
    if isinstance(algorithm, sb3.RL2Config):
        alone = "is for policies without recurrence"
        return {**NOT_FOR_SB3, "init_from": alone, "video_every": alone}
    return NOT_FOR_SB3 if isinstance(algorithm, sb3.SB3Config) else {}


def config_of(kind: type[EnvProblem | DataProblem], learner: str, **options: Any) -> RunConfig:
    """A config from the options of the command line as keywords.

    Args:
        kind: of the problem.
        learner: its name.
        options: of any of the dataclasses above, whose names are all different.

    Raises:
        InputError: there is no such learner or option, or a value does not fit.
    """
    learners = POLICY_LEARNERS if kind is EnvProblem else CLASSIFIER_LEARNERS
    if learner not in learners:
        raise InputError(f"unknown learner {learner!r}; {nearest(learner, learners)}")
    preset = learners[learner].config
    defaults = asdict(FEWSHOT_SCHEDULE) if kind is DataProblem else {}
    left = dict(options)
    values = _nested(RunOptions, left)
    values["schedule"] = defaults | values["schedule"]
    own = asdict(preset) | _nested(type(preset), left)
    values["problem"] = {"kind": kind.kind, "algorithm": own, **_nested(kind, left)}
    if left:
        known = {*_names(RunOptions), *_names(kind), *own}
        name = next(iter(left))
        raise InputError(f"is no option of {learner}; {nearest(name, known)}", name)
    return validated(RunConfig, values)


def validated(kind: type[KindT], values: dict[str, Any]) -> KindT:
    """A dataclass from plain data, in which lists stand for tuples."""
    try:
        return TypeAdapter(kind).validate_json(to_json(values))
    except ValidationError as error:
        raise InputError(complaint(error)) from error
    except PydanticSerializationError as error:
        raise InputError(_no_plain_data(values)) from error


def _no_plain_data(values: Mapping[str, Any]) -> str:
    """Names the first option that is an object."""
    for name, value in values.items():
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            if found := _no_plain_data(value):
                return found
        elif not _is_plain(value):
            instead = "; arrays are given as an .npz file of x and y" if name == "data" else ""
            got = f"got an object of {type(value).__name__}"
            return f"{name} must be a name, a path, numbers or the like, {got}{instead}"
    return ""


def _is_plain(value: Any) -> bool:
    try:
        to_json(value)
    except PydanticSerializationError:
        return False
    return True


def check_options(config: RunConfig) -> None:
    """Raise an :class:`InputError` for more threads than processors, or a test of one task."""
    if config.threads > (cores := os.cpu_count() or 1):
        wrong = f"must be at most {cores}, the processors here, got {config.threads}"
        raise InputError(wrong, "threads")
    if config.eval_tasks == 1:
        raise InputError("must be 0, or at least 2 for an interval, got 1", "eval_tasks")


def _nested(kind: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of a dataclass, and of the dataclasses in it."""
    return {
        entry.name: _nested(entry.type, options)
        if is_dataclass(entry.type)
        else options.pop(entry.name)
        for entry in fields(kind)
        if is_dataclass(entry.type) or entry.name in options
    }


def _names(kind: Any) -> list[str]:
    """All options of a dataclass, those of the dataclasses in it included."""
    return [
        name
        for entry in fields(kind)
        for name in (_names(entry.type) if is_dataclass(entry.type) else [entry.name])
    ]


def read_config(folder: Path) -> RunConfig:
    """The config of a run folder.

    Raises:
        InputError: if the folder is not a run folder or its config is damaged.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"{folder} is not a run folder: it holds no config.json")
    return config_in(path)


def config_in(path: Path) -> RunConfig:
    """The config that a file holds.

    Raises:
        InputError: if it is damaged.
    """
    wrong = f"{path} is not a config of this version of metarl"
    try:
        config = CODEC.validate_json(path.read_bytes())
    except ValidationError as error:
        raise InputError(f"{wrong}: {complaint(error)}") from error
    facts = config.problem.trained_on
    if isinstance(facts, EnvFacts):
        with one_error(InputError, f"{wrong}: not a space"):
            for space in (facts.observation_space, facts.action_space, *facts.task_space.values()):
                space_of(space)
    return config

"""What a training run is told, as frozen dataclasses; they are the options of ``metarl train``.

``LEARNERS`` maps the names of the command line to config and learner.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Union, get_args

import tyro

import metarl
from metarl.cli.errors import UserError, nearest
from metarl.nn.mlp import ACTIVATIONS, Activation
from metarl.rl import (
    MAMLPPO,
    MAMLTRPO,
    MAMLVPG,
    ANILConfig,
    CAVIAConfig,
    EMAMLConfig,
    FOMAMLConfig,
    MAMLConfig,
    MAMLPPOConfig,
    MAMLTRPOConfig,
    MAMLVPGConfig,
    MetaSGDConfig,
    OracleConfig,
    PretrainedConfig,
    ProMPConfig,
    RandomInit,
    RandomInitConfig,
    Reptile,
    ReptileConfig,
)
from metarl.rl.learner import MAMLLearner
from metarl.sb3 import (
    RL2,
    ProtoEmbedding,
    ProtoEmbeddingConfig,
    RL2Config,
    SB3Config,
    SB3FinetuneConfig,
    SB3Learner,
    SB3OracleConfig,
    SB3PPOConfig,
)
from metarl.train import DeviceName, Schedule

Algorithm = MAMLConfig | SB3Config

GRADIENT_LEARNERS: dict[str, tuple[type[MAMLConfig], type[MAMLLearner]]] = {
    "maml-trpo": (MAMLTRPOConfig, MAMLTRPO),
    "maml-vpg": (MAMLVPGConfig, MAMLVPG),
    "maml-ppo": (MAMLPPOConfig, MAMLPPO),
    "promp": (ProMPConfig, MAMLPPO),
    "e-maml": (EMAMLConfig, MAMLTRPO),
    "fomaml": (FOMAMLConfig, MAMLTRPO),
    "reptile": (ReptileConfig, Reptile),
    "anil": (ANILConfig, MAMLTRPO),
    "cavia": (CAVIAConfig, MAMLTRPO),
    "meta-sgd": (MetaSGDConfig, MAMLTRPO),
    "pretrained": (PretrainedConfig, MAMLTRPO),
    "random-init": (RandomInitConfig, RandomInit),
    "oracle": (OracleConfig, MAMLTRPO),
}

SB3_LEARNERS: dict[str, tuple[type[SB3Config], type[SB3Learner]]] = {
    "proto-embedding": (ProtoEmbeddingConfig, ProtoEmbedding),
    "rl2": (RL2Config, RL2),
    "sb3-ppo": (SB3PPOConfig, SB3Learner),
    "sb3-oracle": (SB3OracleConfig, SB3Learner),
    "sb3-finetune": (SB3FinetuneConfig, SB3Learner),
}

LEARNERS: dict[str, tuple[type[Algorithm], Any]] = {**GRADIENT_LEARNERS, **SB3_LEARNERS}


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """Shape and start of the policy."""

    hidden_sizes: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers."""
    activation: Activation = "tanh"
    """Between the layers."""
    initial_log_std: float = 0.0
    """Starting log standard deviation of the actions."""
    min_log_std: float = -0.5
    """Floor of the log standard deviation. Inner steps grow with 1/σ, so it also bounds them."""

    def __post_init__(self) -> None:
        if not self.hidden_sizes or min(self.hidden_sizes) < 1:
            raise ValueError(f"hidden_sizes must be widths of at least 1, got {self.hidden_sizes}")
        for name in ("initial_log_std", "min_log_std"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be finite, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How much is collected."""

    meta_batch_size: int = 20
    """Tasks of a meta-iteration."""
    num_trajectories: int = 20
    """Trajectories a task and inner step."""
    horizon: int | None = None
    """Longest trajectory; the environment's own time limit by default."""
    discount: float = 0.99
    """γ, in [0, 1]."""
    action_scale: float = 1.0
    """Policy actions of ±action_scale span the environment's action bounds."""

    def __post_init__(self) -> None:
        for name in ("meta_batch_size", "num_trajectories", "horizon"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not 0 <= self.discount <= 1:
            raise ValueError(f"discount must be within [0, 1], got {self.discount}")
        if not 0 < self.action_scale < math.inf:
            raise ValueError(f"action_scale must be finite and above 0, got {self.action_scale}")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that decides a run, as kept in its ``config.json``."""

    learner: str
    env: str
    env_kwargs: dict[str, Any]
    seed: int
    device: DeviceName
    threads: int
    algorithm: Algorithm
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    schedule: Schedule = field(default_factory=Schedule)
    video_every: int = 0
    init_from: str | None = None

    def to_json(self) -> str:
        """The file's content."""
        return json.dumps({"metarl": metarl.__version__, **asdict(self)}, indent=2) + "\n"


def subcommands(learners: Mapping[str, tuple[type[Any], Any]]) -> Any:
    """The choice among the configs of learners, as tyro's subcommands of their names."""
    choices = [Annotated[kind, tyro.conf.subcommand(name)] for name, (kind, _) in learners.items()]
    return Union[tuple(choices)]  # noqa: UP007  # of as many as there are


def config_class(name: str) -> type[Algorithm]:
    """The config of a learner's name."""
    if name not in LEARNERS:
        raise UserError(f"unknown learner {name!r}; {nearest(name, LEARNERS)}")
    return LEARNERS[name][0]


def config_content(folder: Path) -> dict[str, Any]:
    """What the ``config.json`` of a run folder holds.

    Raises:
        UserError: if the folder is not a run folder or its config is damaged.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(f"{folder} is not a run folder: it holds no config.json")
    try:
        content = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not a config of this version of metarl: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a config of this version of metarl: it holds no object")
    return content


def read_config(folder: Path) -> RunConfig:
    """The config of a run folder.

    Raises:
        UserError: if the folder is not a run folder or its config is damaged.
    """
    try:
        return parse_config(config_content(folder))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{folder / 'config.json'} is not a config of this version of metarl: {error}"
        ) from error


def parse_config(content: dict[str, Any]) -> RunConfig:
    """The config that a run's JSON holds; any of several errors if it does not fit."""
    nested: dict[str, type[Any]] = {
        "algorithm": config_class(content["learner"]),
        "policy": PolicyConfig,
        "sampling": SamplingConfig,
        "schedule": Schedule,
    }
    values = {name: value for name, value in content.items() if name != "metarl"}
    for name, kind in nested.items():
        values[name] = build(kind, values[name])
    config = RunConfig(**values)
    check_common(config.seed, config.threads, config.device)
    if config.policy.activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {sorted(ACTIVATIONS)}")
    return config


def check_common(seed: Any, threads: Any, device: Any) -> None:
    """Raise :class:`ValueError` for top-level entries that JSON allows and a run does not."""
    if type(seed) is not int or type(threads) is not int:
        raise ValueError("seed and threads must be integers")
    if device not in get_args(DeviceName):
        raise ValueError(f"device must be one of {get_args(DeviceName)}, got {device!r}")


def build(kind: type[Any], values: dict[str, Any]) -> Any:
    """A config dataclass from JSON, whose lists stand for tuples."""
    unknown = set(values) - {entry.name for entry in fields(kind)}
    if unknown:
        raise ValueError(f"unknown entries {sorted(unknown)}")
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

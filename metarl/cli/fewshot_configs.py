"""What a few-shot run is told, as frozen dataclasses: the options of ``metarl fewshot``."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

import metarl
from metarl.cli.configs import build, check_common, config_content
from metarl.cli.errors import UserError, nearest
from metarl.fewshot.build import FEWSHOT_LEARNERS, BackboneConfig
from metarl.fewshot.data.registry import DataConfig
from metarl.fewshot.learner import FewShotConfig
from metarl.train import DeviceName, Schedule

Alias = tyro.conf.arg


@dataclass(frozen=True, kw_only=True)
class EpisodeConfig:
    """Ways, shots and queries of the episodes."""

    num_ways: Annotated[int, Alias(aliases=["--ways"])] = 5
    """N, classes of a test episode."""
    num_shots: Annotated[int, Alias(aliases=["--shots"])] = 1
    """K, support examples a class."""
    num_queries: Annotated[int, Alias(aliases=["--queries"])] = 10
    """Query examples a class."""
    train_ways: int | None = None
    """N of train episodes, that of test by default."""
    train_shots: int | None = None
    """K of train episodes, that of test by default."""
    train_queries: int | None = None
    """Query examples a class of train episodes, those of test by default."""
    sampling: Literal["fixed", "variable"] = "fixed"
    """variable draws ways and shots anew for every episode, as Meta-Dataset does (Triantafillou et
    al. 2020, section 3.2); the numbers above are then not used."""
    num_validation: int = 100
    """Validation episodes of an evaluation during training."""

    def __post_init__(self) -> None:
        for name, least in {"num_ways": 2, "num_shots": 1, "num_queries": 1}.items():
            for option in (name, name.replace("num_", "train_")):
                value = getattr(self, option)
                if value is not None and value < least:
                    raise ValueError(f"{option} must be at least {least}, got {value}")
        if self.num_validation < 1:
            raise ValueError(f"num_validation must be at least 1, got {self.num_validation}")


@dataclass(frozen=True, kw_only=True)
class FewShotSchedule(Schedule):
    """When a few-shot run evaluates, saves and ends."""

    iterations: int = 1000
    """Meta-iterations in all, those of earlier sessions included."""
    eval_every: int = 100
    """Evaluate on validation episodes every n-th iteration, and on the first and the last."""
    checkpoint_every: int = 100
    """Save every n-th iteration."""


@dataclass(frozen=True, kw_only=True)
class FewShotRunConfig:
    """Everything that decides a few-shot run, as kept in its ``config.json``."""

    learner: str
    seed: int
    device: DeviceName
    threads: int
    algorithm: FewShotConfig
    data: DataConfig = field(default_factory=DataConfig)
    episodes: EpisodeConfig = field(default_factory=EpisodeConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    schedule: FewShotSchedule = field(default_factory=FewShotSchedule)
    init_from: str | None = None
    """Run folder whose backbone this run started from."""

    def to_json(self) -> str:
        """The file's content."""
        return json.dumps({"metarl": metarl.__version__, **asdict(self)}, indent=2) + "\n"


def is_fewshot(folder: Path) -> bool:
    """Whether a run folder holds a few-shot run."""
    return "episodes" in config_content(folder)  # learners of both kinds share names


def read_fewshot_config(folder: Path) -> FewShotRunConfig:
    """The config of a few-shot run folder.

    Raises:
        UserError: if the folder is not a run folder or its config is damaged.
    """
    content = config_content(folder)
    try:
        content.pop("metarl")
        name = content["learner"]
        if name not in FEWSHOT_LEARNERS:
            raise UserError(f"unknown learner {name!r}; {nearest(name, FEWSHOT_LEARNERS)}")
        nested: dict[str, type[Any]] = {
            "algorithm": FEWSHOT_LEARNERS[name][0],
            "data": DataConfig,
            "episodes": EpisodeConfig,
            "backbone": BackboneConfig,
            "schedule": FewShotSchedule,
        }
        for entry, kind in nested.items():
            content[entry] = build(kind, content[entry])
        config = FewShotRunConfig(**content)
        check_common(config.seed, config.threads, config.device)
        return config
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{folder / 'config.json'} is not a config of this version of metarl: {error}"
        ) from error

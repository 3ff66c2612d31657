"""Learners by the names of the command line: backbone, network and learner from configs."""

import importlib
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from metarl.fewshot.learner import FewShotConfig, FewShotLearner, Tasks, generator_of
from metarl.fewshot.maml import MAMLClassifier
from metarl.fewshot.maml_configs import (
    ANILConfig,
    FOMAMLConfig,
    MAMLClassifierConfig,
    MAMLPlusPlusConfig,
    MetaSGDConfig,
    ProtoMAMLConfig,
)
from metarl.fewshot.metric import (
    MatchingClassifier,
    MatchingConfig,
    ProtoNetClassifier,
    ProtoNetConfig,
)
from metarl.fewshot.network import HeadedNetwork, HeadKind
from metarl.fewshot.pretraining import PretrainedLearner
from metarl.fewshot.reptile import ReptileClassifier, ReptileConfig
from metarl.fewshot.source import Source
from metarl.fewshot.transfer import (
    BaselineClassifier,
    BaselineConfig,
    BaselinePlusPlusClassifier,
    BaselinePlusPlusConfig,
    KNNClassifier,
    KNNConfig,
)
from metarl.nn import Backbone, Conv4, FeatureMLP, LiftedBackbone, ResNet12
from metarl.nn.conv4 import Downsample

FEWSHOT_LEARNERS: dict[str, tuple[type[FewShotConfig], type[FewShotLearner]]] = {
    "maml": (MAMLClassifierConfig, MAMLClassifier),
    "fomaml": (FOMAMLConfig, MAMLClassifier),
    "anil": (ANILConfig, MAMLClassifier),
    "meta-sgd": (MetaSGDConfig, MAMLClassifier),
    "reptile": (ReptileConfig, ReptileClassifier),
    "maml++": (MAMLPlusPlusConfig, MAMLClassifier),
    "protonet": (ProtoNetConfig, ProtoNetClassifier),
    "proto-maml": (ProtoMAMLConfig, MAMLClassifier),
    "matching": (MatchingConfig, MatchingClassifier),
    "baseline": (BaselineConfig, BaselineClassifier),
    "baseline++": (BaselinePlusPlusConfig, BaselinePlusPlusClassifier),
    "knn": (KNNConfig, KNNClassifier),
}


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """The network that is trained."""

    backbone: str = "auto"
    """conv4, resnet12 or mlp; auto is conv4 for images and mlp otherwise. module:Class is a class
    of your own, called with the shape of an example."""
    filters: int = 64
    """conv4: filters of every block; 32 is MAML's for 84x84 images."""
    downsample: Downsample = "max-pool"
    """conv4: max-pool (Vinyals et al. 2016), or stride (MAML's for Omniglot)."""
    hidden_sizes: tuple[int, ...] = (64, 64)
    """mlp: widths of the layers; 40 40 is MAML's for the sinusoid."""

    def __post_init__(self) -> None:
        if self.filters < 1:
            raise ValueError(f"filters must be at least 1, got {self.filters}")
        if not self.hidden_sizes or min(self.hidden_sizes) < 1:
            raise ValueError(f"hidden_sizes must be widths of at least 1, got {self.hidden_sizes}")


class Problem(NamedTuple):
    """What a learner is built for."""

    shape: tuple[int, ...]
    """Of one example."""
    num_outputs: int
    """Ways of train episodes; 1 for regression."""
    regression: bool
    train_source: Source | None
    """All examples of the train classes, for learners that pre-train."""


def make_backbone(
    config: BackboneConfig, shape: tuple[int, ...], generator: torch.Generator
) -> Backbone:
    """A backbone with its initial weights.

    Raises:
        ValueError: there is no such backbone, or it does not fit the examples.
    """
    name = config.backbone
    if name == "auto":
        name = "conv4" if len(shape) == 3 else "mlp"
    if ":" in name:
        return _own_backbone(name, shape)
    if name == "mlp":
        return FeatureMLP(shape, config.hidden_sizes, generator)
    if name not in ("conv4", "resnet12"):
        raise ValueError(f"backbone {name} is not one of auto, conv4, resnet12, mlp, module:Class")
    if len(shape) != 3:
        raise ValueError(f"backbone {name} is for images, the data have shape {shape}; use mlp")
    channels, size = shape[0], (shape[1], shape[2])
    if name == "resnet12":
        return ResNet12(channels, size, generator=generator)
    return Conv4(
        channels, size, filters=config.filters, downsample=config.downsample, generator=generator
    )


def make_learner(
    name: str,
    algorithm: FewShotConfig,
    backbone: Backbone,
    problem: Problem,
    tasks: Tasks,
    **options: Any,
) -> FewShotLearner:
    """A learner at its start.

    Args:
        name: of the learner, see :data:`FEWSHOT_LEARNERS`.
        algorithm: its config.
        backbone: to features.
        problem: what it is built for.
        tasks: samplers of train and validation episodes.
        **options: ``iterations``, ``seed`` and ``device``.

    Raises:
        ValueError: if the learner cannot be used for the problem.
    """
    kind = FEWSHOT_LEARNERS[name][1]
    device, seed = options.pop("device"), options["seed"]
    network: Any = backbone
    if issubclass(kind, MAMLClassifier):
        assert isinstance(algorithm, MAMLClassifierConfig)
        if algorithm.head == "prototypes" and problem.regression:
            raise ValueError(f"{name} with head prototypes classifies; for a regression use maml")
        free = algorithm.head == "free" or problem.regression
        head: HeadKind = "free" if free else "shared"
        network = HeadedNetwork(backbone, problem.num_outputs, head, generator_of(seed, 4))
    elif problem.regression:
        raise ValueError(f"{name} classifies, and these data are a regression; use maml")
    if issubclass(kind, PretrainedLearner):
        if problem.train_source is None:
            raise ValueError(f"{name} trains a classifier of all train classes of one data set")
        options["train_source"] = problem.train_source
    build: Any = kind
    made: FewShotLearner = build(network.to(device), tasks, algorithm, **options)
    return made


def _own_backbone(name: str, shape: tuple[int, ...]) -> Backbone:
    module, _, attribute = name.partition(":")
    try:
        made = getattr(importlib.import_module(module), attribute)(shape)
    except (ImportError, AttributeError, TypeError) as error:
        raise ValueError(f"backbone {name}: {error}") from error
    return LiftedBackbone(made, shape)

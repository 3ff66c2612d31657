"""Learners by the names of the command line: backbone, network and learner from configs."""

import importlib
import math
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import nn

from metarl.core import Streams
from metarl.fewshot.configs import (
    AdaptedClassifierConfig,
    BackboneConfig,
    BaselineConfig,
    BaselinePlusPlusConfig,
    EpisodeConfig,
    FewShotConfig,
    KNNConfig,
    MAMLClassifierConfig,
    MatchingConfig,
    ProtoNetConfig,
    R2D2Config,
    ReptileConfig,
)
from metarl.fewshot.episodes import EpisodeSampler, EpisodeSamplers
from metarl.fewshot.episodic_learner import FewShotLearner
from metarl.fewshot.headed_network import HeadedNetwork, HeadKind, RidgeNetwork
from metarl.fewshot.maml_classifier import MAMLClassifier
from metarl.fewshot.metric import MatchingClassifier, ProtoNetClassifier
from metarl.fewshot.pretraining import PretrainedLearner
from metarl.fewshot.r2d2 import R2D2Classifier
from metarl.fewshot.reptile_classifier import ReptileClassifier
from metarl.fewshot.samplers import FixedSampler, SinusoidSampler
from metarl.fewshot.sources import Dataset, Source, Split
from metarl.fewshot.transfer import (
    BaselineClassifier,
    BaselinePlusPlusClassifier,
    KNNClassifier,
)
from metarl.fewshot.variable_sampler import MultiSourceSampler, VariableSampler
from metarl.nn import Backbone, Conv4, FeatureMLP, LiftedBackbone, RawInputs, ResNet12

CLASSES: dict[type[FewShotConfig], type[FewShotLearner]] = {
    MAMLClassifierConfig: MAMLClassifier,
    ReptileConfig: ReptileClassifier,
    R2D2Config: R2D2Classifier,
    ProtoNetConfig: ProtoNetClassifier,
    MatchingConfig: MatchingClassifier,
    BaselineConfig: BaselineClassifier,
    BaselinePlusPlusConfig: BaselinePlusPlusClassifier,
    KNNConfig: KNNClassifier,
}
"""Configs to the learners that they are of."""


OWN_BACKBONE = "own"
"""Name of a backbone that was given as a module, which no file can hold."""


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
    config: BackboneConfig,
    shape: tuple[int, ...],
    generator: torch.Generator,
    own: nn.Module | None = None,
) -> Backbone:
    """A backbone with its initial weights.

    Args:
        config: which one.
        shape: of an example.
        generator: source of the weights.
        own: a module of the user's own, where that is the backbone.

    Raises:
        ValueError: there is no such backbone, or it does not fit the examples.
    """
    name = config.backbone
    if name == OWN_BACKBONE or ":" in name:
        module = _made(name, shape) if own is None else own
        return module if isinstance(module, Backbone) else LiftedBackbone(module, shape)
    if name == "auto":
        name = "conv4" if len(shape) == 3 else "mlp"
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
    algorithm: FewShotConfig,
    backbone: Backbone,
    problem: Problem,
    samplers: EpisodeSamplers,
    *,
    iterations: int,
    seed: int,
    device: torch.device,
) -> FewShotLearner:
    """A learner at its start.

    Args:
        algorithm: its config.
        backbone: to features.
        problem: what it is built for.
        samplers: of train and validation episodes.
        iterations: of training.
        seed: of the head and of what training draws.
        device: where the network goes.

    Raises:
        ValueError: if the learner cannot be used for the problem.
    """
    name = algorithm.learner
    kind = CLASSES[type(algorithm)]
    network: Any = backbone
    options: dict[str, Any] = {"iterations": iterations, "seed": seed}
    if isinstance(algorithm, KNNConfig) and algorithm.features == "pixels":
        network = RawInputs(problem.shape)
    if issubclass(kind, MAMLClassifier):
        assert isinstance(algorithm, AdaptedClassifierConfig)
        if algorithm.head == "prototypes" and problem.regression:
            raise ValueError(f"{name} with head prototypes classifies; for a regression use maml")
        free = algorithm.head == "free" or problem.regression
        head: HeadKind = "free" if free else "shared"
        generator = Streams(seed, "training").torch("head")
        norm_steps = algorithm.num_inner_steps if algorithm.step_norms else 0
        network = HeadedNetwork(backbone, problem.num_outputs, head, generator, norm_steps)
    elif problem.regression:
        raise ValueError(f"{name} classifies, and these data are a regression; use maml")
    if isinstance(algorithm, R2D2Config):
        network = RidgeNetwork(backbone, algorithm.regularisation, algorithm.scale)
    if issubclass(kind, PretrainedLearner):
        if problem.train_source is None:
            raise ValueError(f"{name} trains a classifier of all train classes of one data set")
        options["train_source"] = problem.train_source
    build: Any = kind
    made: FewShotLearner = build(network.to(device), samplers, algorithm, **options)
    return made


def _made(name: str, shape: tuple[int, ...]) -> nn.Module:
    """A module of the user's own, by its name."""
    if name == OWN_BACKBONE:
        raise ValueError("the backbone is a module of your own: give one as backbone")
    module, _, attribute = name.partition(":")
    try:
        kind = getattr(importlib.import_module(module), attribute)
        if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
            raise TypeError(f"{attribute} is no class of torch modules")
        made: nn.Module = kind(shape)
    except (ImportError, AttributeError, TypeError) as error:
        raise ValueError(f"backbone {name}: {error}") from error
    return made


def train_episodes(episodes: EpisodeConfig) -> EpisodeConfig:
    """Ways, shots and queries of train episodes."""
    return replace(
        episodes,
        num_ways=episodes.train_ways or episodes.num_ways,
        num_shots=episodes.train_shots or episodes.num_shots,
        num_queries=episodes.train_queries or episodes.num_queries,
    )


def episode_bytes(episodes: EpisodeConfig, shape: tuple[int, ...]) -> int:
    """The least that the examples of an episode, of that shape, need."""
    each = math.prod(shape) * (1 if len(shape) == 3 else 4)  # images are uint8
    if episodes.sampling == "variable":
        return each
    return each * episodes.num_ways * (episodes.num_shots + episodes.num_queries)


def make_sampler(
    datasets: tuple[Dataset, ...], split: Split, episodes: EpisodeConfig
) -> EpisodeSampler:
    """A sampler of a split's episodes; sources without classes in that split are left out.

    Args:
        datasets: none for the sinusoid.
        split: part of the classes.
        episodes: their ways, shots and queries.

    Raises:
        ValueError: if the split cannot give such episodes.
    """
    shots, queries = episodes.num_shots, episodes.num_queries
    if not datasets:
        return SinusoidSampler(shots, queries)
    sources = [dataset.split(split) for dataset in datasets]
    sources = [source for source in sources if len(source.counts)] or sources[:1]
    samplers: list[EpisodeSampler] = [
        VariableSampler(source)
        if episodes.sampling == "variable"
        else FixedSampler(source, num_ways=episodes.num_ways, num_shots=shots, num_queries=queries)
        for source in sources
    ]
    return samplers[0] if len(samplers) == 1 else MultiSourceSampler(samplers)

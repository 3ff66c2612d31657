"""Configs of the few-shot learners; :mod:`metarl.fewshot.presets` names settings of them."""

import math
from typing import Annotated, Literal

import tyro
from pydantic import Field
from pydantic.dataclasses import dataclass
from tyro.conf import Suppress

from metarl.configs import STRICT, Count, Natural, NonNegative, Positive, Widths
from metarl.fewshot.augment import Augmentation
from metarl.nn.conv4 import Downsample

NormMode = Literal["transductive", "inductive"]
Precision = Literal["float32", "bf16"]
Balance = Literal["examples", "classes"]
Ways = Annotated[Count, Field(ge=2)]
Alias = tyro.conf.arg


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EpisodeConfig:
    """Ways, shots and queries of the episodes."""

    num_ways: Annotated[Ways, Alias(aliases=["--ways"])] = 5
    """N, classes of a test episode."""
    num_shots: Annotated[Count, Alias(aliases=["--shots"])] = 1
    """K, support examples a class."""
    num_queries: Annotated[Count, Alias(aliases=["--queries"])] = 10
    """Query examples a class."""
    train_ways: Ways | None = None
    """N of train episodes, that of test by default."""
    train_shots: Count | None = None
    """K of train episodes, that of test by default."""
    train_queries: Count | None = None
    """Query examples a class of train episodes, those of test by default."""
    sampling: Literal["fixed", "variable"] = "fixed"
    """variable draws ways and shots anew for every episode, as Meta-Dataset does (Triantafillou et
    al. 2020, section 3.2); the numbers above are then not used."""
    num_validation: Annotated[Count, Field(le=1_000_000)] = 100
    """Validation episodes of an evaluation during training."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BackboneConfig:
    """The network that is trained."""

    backbone: str = "auto"
    """conv4, resnet12 or mlp; auto is conv4 for images and mlp otherwise. module:Class is a class
    of your own, called with the shape of an example."""
    filters: Annotated[Count, Field(le=2**16)] = 64
    """conv4: filters of every block; 32 is MAML's for 84x84 images."""
    downsample: Downsample = "max-pool"
    """conv4: max-pool (Vinyals et al. 2016), or stride (MAML's for Omniglot)."""
    hidden_sizes: Widths = (64, 64)
    """mlp: widths of the layers; 40 40 is MAML's for the sinusoid."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FewShotConfig:
    """What every few-shot learner has to know."""

    learner: Suppress[str] = ""
    norm: NormMode = "inductive"
    """Batch statistics of a query set: its own (transductive: predictions depend on one another)
    or not (inductive). Every result prints it."""
    meta_batch_size: Count = 1
    """Episodes of a meta-iteration."""
    task_chunk: Natural | None = None
    """Episodes differentiated at once, 0 for all; by default 1 for convolutions on a CPU, which
    then stay in its cache, and all otherwise."""
    lr: NonNegative = 1e-3
    """Step size of the outer optimiser (Adam)."""
    lr_decay: Literal["cosine", "none"] = "cosine"
    """Whether the step size falls to 0 over the iterations."""
    weight_decay: NonNegative = 0.0
    """L2 penalty of the outer optimiser."""
    augmentation: Augmentation = "none"
    """Random changes of train images: small affine maps (characters), or mirroring and shifts."""
    precision: Precision = "float32"
    """bf16 runs the networks under autocast; parameters stay float32. Second-order meta-gradients
    lose much of their direction by it."""

    def lr_at(self, progress: float) -> float:
        """Step size of the outer optimiser after that share of the iterations."""
        angle = math.pi * min(progress, 1.0)
        return self.lr * ((1 + math.cos(angle)) / 2 if self.lr_decay == "cosine" else 1.0)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AdaptedClassifierConfig(FewShotConfig):
    """Learners whose parameters adapt by gradient steps on the support set.

    The inner loss is the mean over the support set. The MAML authors' code divides the sum by K
    only, so their inner step sizes count N times: 0.4 (Omniglot 5-way) is 2.0 here, 0.1 (20-way)
    is 2.0, and 0.01 (mini-ImageNet) is 0.05.
    """

    norm: NormMode = "transductive"
    """Statistics of the query set: its own (transductive, as in the paper), or the support set's
    under the same parameters (inductive)."""
    meta_batch_size: Count = 4
    """Episodes of a meta-iteration."""
    inner_lr: NonNegative = 0.4
    """Step size α of adaptation, for the mean loss; where it is learned, its start."""
    num_inner_steps: Count = 5
    """Gradient steps of adaptation in training."""
    num_test_steps: Count = 10
    """Gradient steps at test."""
    first_order: bool = False
    """Drop second derivatives."""
    adapted: Literal["all", "head"] = "all"
    """What adapts: every parameter, or the head only (ANIL)."""
    learned_lr: Literal["none", "parameter", "step"] = "none"
    """Learn α: for every number (Meta-SGD), or for every step and tensor (MAML++); test steps
    beyond the trained ones use the last."""
    multi_step_iterations: Natural = 0
    """Iterations over which the outer loss moves from all steps to the last one (MAML++)."""
    step_norms: bool = False
    """Learn scale and shift of batch normalisation for every step, instead of adapting them
    (MAML++); test steps beyond the trained ones use the last."""
    head: Literal["shared", "free", "prototypes"] = "shared"
    """How the head starts: one learned row for all classes (any number of ways, needs at least two
    steps for the backbone to adapt), a row each (Finn et al. 2017), or from class prototypes:
    w_c = 2 p_c, b_c = -||p_c||² (Triantafillou et al. 2020)."""
    compile: bool = False
    """Compile the meta-gradient (mlp backbone; needs a C++ compiler; half a minute a shape)."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MAMLClassifierConfig(AdaptedClassifierConfig):
    """MAML (Finn et al. 2017) and its relatives."""

    learner: Suppress[Literal["maml", "fomaml", "anil", "meta-sgd", "maml++", "proto-maml"]] = (
        "maml"
    )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ReptileConfig(AdaptedClassifierConfig):
    """Reptile (Nichol et al. 2018): first order, and no split of train episodes.

    Differs from the paper: inner steps are plain SGD (Adam without momentum there), ε falls as a
    cosine (linearly there), and at test 10 steps take the whole support set (50 take mini-batches
    there). As there, training wants more shots than the test, 10 where that has 1 or 5.
    """

    learner: Suppress[Literal["reptile"]] = "reptile"
    meta_batch_size: Count = 5
    """Episodes of a meta-iteration."""
    lr: NonNegative = 1.0
    """Outer step size ε at first: the share of the way to the adapted parameters."""
    inner_lr: NonNegative = 0.2
    """Step size α of adaptation, for the mean loss."""
    inner_batch_size: Count = 10
    """Examples of an inner step in training, drawn from support and query together."""
    first_order: Suppress[Literal[True]] = True
    """Always."""
    adapted: Suppress[Literal["all"]] = "all"
    """Always."""
    learned_lr: Suppress[Literal["none"]] = "none"
    """Always."""
    multi_step_iterations: Suppress[Literal[0]] = 0
    """Always."""
    step_norms: Suppress[Literal[False]] = False
    """Always."""
    compile: Suppress[Literal[False]] = False
    """Always."""
    head: Literal["shared", "free"] = "shared"
    """How the head starts: one row for all classes, or a row each."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ProtoNetConfig(FewShotConfig):
    """Prototypical networks (Snell et al. 2017): nearest class mean, squared distance."""

    learner: Suppress[Literal["protonet"]] = "protonet"
    norm: NormMode = "inductive"
    """Statistics at test: of the episode, support and query together (transductive), or running
    ones of training (inductive, as in the authors' code)."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MatchingConfig(FewShotConfig):
    """Matching networks (Vinyals et al. 2016), without full context embeddings."""

    learner: Suppress[Literal["matching"]] = "matching"
    norm: NormMode = "inductive"
    """Statistics at test: of the episode, or running ones of training."""
    scale: Positive = 10.0
    """Cosine similarities times this go into the softmax; the paper has 1, which learns slowly."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class R2D2Config(FewShotConfig):
    """R2-D2 (Bertinetto et al. 2019): ridge regression in closed form, differentiated through.

    λ and the scale of class scores are learned, by their logarithms. The authors also learn a bias
    that all classes share, which no softmax shows.
    """

    learner: Suppress[Literal["r2d2"]] = "r2d2"
    norm: NormMode = "inductive"
    """Statistics at test: of the episode, or running ones of training."""
    regularisation: Positive = 50.0
    """λ at first, for the sum over the support set; the authors' 50 is for the mean."""
    scale: Positive = 10.0
    """Of class scores at first; the authors have 10 for characters, 1e-4 for photographs."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PretrainingConfig(FewShotConfig):
    """Pre-training by mini-batches over all train classes."""

    norm: NormMode = "inductive"
    """Statistics at test: of the episode, support and query together (transductive), or running
    ones of training (inductive)."""
    meta_batch_size: Count = 1
    """Mini-batches of an iteration; their gradients are averaged."""
    batch_size: Count = 64
    """Examples of a mini-batch."""
    balance: Balance = "examples"
    """What is equally likely in a mini-batch: every example, or every class."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FittedHeadConfig(PretrainingConfig):
    """A new head on frozen features, fitted by gradient steps on the whole support set."""

    inner_lr: Positive = 1.0
    """Step size of fitting a head, in units of 1 / L, where L bounds the curvature of its loss
    (½ mean ‖(f, 1)‖², of cosines ½ scale²): anything below 2 converges whatever the features."""
    num_test_steps: Count = 100
    """Gradient steps of fitting a head."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BaselineConfig(FittedHeadConfig):
    """Baseline (Chen et al. 2019): a new linear head.

    It starts from zero, so that it does not depend on chance; the authors start at random and take
    mini-batches of 4 with momentum.
    """

    learner: Suppress[Literal["baseline"]] = "baseline"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BaselinePlusPlusConfig(FittedHeadConfig):
    """Baseline++ (Chen et al. 2019): cosine similarities in both stages.

    A new head starts at the class means of unit-length features, the authors' at random.
    """

    learner: Suppress[Literal["baseline++"]] = "baseline++"
    scale: Positive = 10.0
    """Of the cosines; the authors have 2, or 10 for 200 classes and more."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class KNNConfig(PretrainingConfig):
    """Nearest neighbours by Euclidean distance (k-NN of Triantafillou et al. 2020)."""

    learner: Suppress[Literal["knn"]] = "knn"
    features: Literal["pixels", "trained"] = "pixels"
    """Compare raw inputs, with nothing to train, or features of a pre-trained network."""
    num_neighbours: Count = 1
    """k, at most the support set; ties go to the class whose neighbour is nearest."""

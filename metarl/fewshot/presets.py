"""The few-shot learners by their names: settings of configs, no code."""

from typing import Annotated

from pydantic import Field

from metarl.configs import Preset, presets
from metarl.fewshot.configs import (
    BaselineConfig,
    BaselinePlusPlusConfig,
    KNNConfig,
    MAMLClassifierConfig,
    MatchingConfig,
    ProtoNetConfig,
    R2D2Config,
    ReptileConfig,
)

Algorithm = Annotated[
    MAMLClassifierConfig
    | ReptileConfig
    | ProtoNetConfig
    | MatchingConfig
    | R2D2Config
    | BaselineConfig
    | BaselinePlusPlusConfig
    | KNNConfig,
    Field(discriminator="learner"),
]
"""The config of any learner."""

PRESETS = presets(
    Preset(MAMLClassifierConfig(), "MAML: all parameters adapt (Finn et al. 2017)."),
    Preset(
        MAMLClassifierConfig(learner="fomaml", first_order=True),
        "First-order MAML: inner gradients are treated as constants (Finn et al. 2017).",
    ),
    Preset(
        MAMLClassifierConfig(learner="anil", adapted="head"),
        "ANIL: only the head adapts; the backbone is meta-learned (Raghu et al. 2020).",
    ),
    Preset(
        MAMLClassifierConfig(
            learner="meta-sgd",
            learned_lr="parameter",
            num_inner_steps=1,
            num_test_steps=1,
            head="free",  # one step of a shared head would leave the backbone alone
        ),
        "Meta-SGD: a learned step size for every single parameter, one step (Li et al. 2017).",
    ),
    Preset(ReptileConfig(), "Reptile: follows plain training on tasks (Nichol et al. 2018)."),
    Preset(
        # left out of the paper's list: ensembles of checkpoints, and running statistics of each
        # step, which the authors' code keeps and never normalises by
        MAMLClassifierConfig(
            learner="maml++",
            learned_lr="step",
            multi_step_iterations=500,
            step_norms=True,
            num_test_steps=5,
        ),
        "MAML++: step sizes and norms of every step, multi-step loss (Antoniou et al. 2019).",
    ),
    Preset(ProtoNetConfig(), "Prototypical networks (Snell et al. 2017)."),
    Preset(
        MAMLClassifierConfig(learner="proto-maml", head="prototypes", inner_lr=0.1),
        "Proto-MAML: the head starts as the prototype classifier (Triantafillou et al. 2020).",
    ),
    Preset(MatchingConfig(), "Matching networks (Vinyals et al. 2016)."),
    Preset(R2D2Config(), "R2-D2: ridge regression on learned features (Bertinetto et al. 2019)."),
    Preset(BaselineConfig(), "Baseline: a linear head on frozen features (Chen et al. 2019)."),
    Preset(BaselinePlusPlusConfig(), "Baseline++: cosine heads (Chen et al. 2019)."),
    Preset(KNNConfig(), "Nearest neighbours (k-NN of Triantafillou et al. 2020)."),
)
"""Few-shot learners."""

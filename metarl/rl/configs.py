"""Configs of the learners by gradients, and the named learners that are settings of them."""

from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass
from tyro.conf import Suppress

from metarl.configs import (
    LARGEST_WIDTH,
    STRICT,
    Count,
    Natural,
    NonNegative,
    Positive,
    Preset,
    UnitInterval,
    presets,
)
from metarl.rl.estimators import Estimator

ContextSize = Annotated[int, Field(ge=0, le=LARGEST_WIDTH)]
Adapted = Literal["all", "head", "context"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MAMLConfig:
    """What every learner by gradients has to know."""

    learner: Suppress[str] = ""
    show_task: bool = False
    """Append the task to the observation, for an upper bound."""
    inner_lr: NonNegative = 0.5
    """Step size α of adaptation; 0 turns it off. Where it is learned, its start."""
    num_inner_steps: Natural = 1
    """Gradient steps of adaptation in training, each on fresh trajectories."""
    adapted: Adapted = "all"
    """What adapts: every parameter, what follows the last hidden layer (ANIL), or an input beside
    the observation (CAVIA)."""
    context_size: ContextSize = 0
    """Numbers of that context; above 0 where it adapts, 0 elsewhere."""
    learned_lr: bool = False
    """Learn α for every number that adapts (Meta-SGD)."""
    estimator: Estimator = "lvc"
    """How the inner objective estimates second derivatives; see metarl/rl/estimators.py."""
    sampling_credit: bool = False
    """Add E-MAML's term: credit of the pre-adaptation trajectories for the outcome."""
    credit_weight: NonNegative = 1.0
    """Weight of E-MAML's term. 1 is exact, and mostly noise: it sums over the steps of all
    trajectories of a task. 1 / num_trajectories takes their mean, as the authors of ProMP do."""
    gae_lambda: UnitInterval = 0.95
    """λ of generalised advantage estimation, in [0, 1]."""
    task_chunk: Natural | None = None
    """Tasks differentiated at once; 0 for all. By default as many as have 8,000 steps together, but
    at least 4: small chunks stay in a CPU's cache, and too small ones are all overhead. On a GPU as
    many as half of its free memory holds."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrustRegionConfig(MAMLConfig):
    """Learners whose outer step is a trust region's."""

    max_kl: Positive = 0.01
    """Trust region δ: largest mean KL between old and new adapted policies, in nats."""
    cg_iterations: Count = 10
    """Conjugate-gradient iterations for the direction."""
    cg_damping: NonNegative = 1e-5
    """Added to the diagonal of the Fisher matrix."""
    fisher_stride: Count = 9
    """The Fisher matrix is estimated on every n-th step; the line search uses all of them.
    Raised to the next number coprime to the trajectories a task, so that all of them count."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MAMLTRPOConfig(TrustRegionConfig):
    """MAML with a trust-region outer step (Finn et al. 2017)."""

    learner: Suppress[Literal["maml-trpo", "e-maml", "fomaml", "anil", "cavia", "meta-sgd"]] = (
        "maml-trpo"
    )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ControlConfig(TrustRegionConfig):
    """One policy trained over all tasks by TRPO, adapted only when it is evaluated."""

    learner: Suppress[Literal["pretrained", "oracle"]] = "pretrained"
    num_inner_steps: Suppress[Literal[0]] = 0
    """Always 0."""
    learned_lr: Suppress[Literal[False]] = False
    """Always: it does not adapt in training."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AdamConfig(MAMLConfig):
    """Learners whose outer steps are Adam's."""

    outer_lr: Positive = 1e-3
    """Step size β of Adam."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MAMLVPGConfig(AdamConfig):
    """MAML with a vanilla policy-gradient outer step by Adam (Finn et al. 2017, algorithm 3)."""

    learner: Suppress[Literal["maml-vpg"]] = "maml-vpg"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MAMLPPOConfig(AdamConfig):
    """MAML with PPO's clipped objective outside (Schulman et al. 2017)."""

    learner: Suppress[Literal["maml-ppo", "promp"]] = "maml-ppo"
    clip: Positive = 0.3
    """ε, how far the probability ratio of the adapted policies counts."""
    epochs: Count = 5
    """Adam steps on one meta-batch."""
    kl_stop: Positive | None = None
    """End them once the mean KL of the adapted policies, in nats, is beyond this."""
    inner_kl: NonNegative = 0.0
    """η, weight of the mean KL between old and new policies before adaptation (ProMP)."""
    inner_importance_weights: bool = False
    """After the first epoch, weigh what adaptation sees by probability ratios to the policies that
    sampled it (ProMP)."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ReptileConfig(AdamConfig):
    """Reptile (Nichol et al. 2018): towards the adapted parameters; no second derivatives.

    With ``num_inner_steps`` of 1 the meta-gradient has two policy gradients of each task: at the
    parameters and after one step. The first of them only serves all tasks alike.
    """

    learner: Suppress[Literal["reptile"]] = "reptile"
    num_inner_steps: Natural = 2
    """Gradient steps of adaptation in training; one more is taken on the last trajectories."""
    estimator: Suppress[Literal["first-order"]] = "first-order"
    """Always."""
    adapted: Suppress[Literal["all"]] = "all"
    """Always."""
    learned_lr: Suppress[Literal[False]] = False
    """Always."""
    sampling_credit: Suppress[Literal[False]] = False
    """Always."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RandomInitConfig(MAMLConfig):
    """Control: the untrained policy, adapted when it is evaluated."""

    learner: Suppress[Literal["random-init"]] = "random-init"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ComposedConfig:
    """A learner that was composed in Python, its parts as plain data."""

    learner: Suppress[Literal["composed"]] = "composed"
    show_task: bool = False
    """Whether the task is appended to the observation."""
    rule: dict[str, Any]
    objective: dict[str, Any]
    outer_step: dict[str, Any]
    num_inner_steps: Natural
    task_chunk: Natural | None = None
    context_size: ContextSize = 0


PRESETS = presets(
    Preset(MAMLTRPOConfig(), "MAML with a trust-region outer step (Finn et al. 2017)."),
    Preset(MAMLVPGConfig(), "MAML with Adam along the policy gradient (Finn et al. 2017)."),
    Preset(MAMLPPOConfig(), "MAML with PPO's clipped objective outside (Schulman et al. 2017)."),
    Preset(
        MAMLPPOConfig(learner="promp", inner_kl=5e-4, inner_importance_weights=True),
        "ProMP: low-variance curvature, clipping; ratios and KL inside (Rothfuss et al. 2019).",
    ),
    Preset(
        MAMLTRPOConfig(
            learner="e-maml",
            estimator="log-likelihood",  # exact with the credit
            sampling_credit=True,
            credit_weight=0.05,  # the mean over 20 trajectories, as the authors of ProMP take it
        ),
        "E-MAML: sampling before adaptation answers for the outcome (Stadie et al. 2018).",
    ),
    Preset(
        MAMLTRPOConfig(learner="fomaml", estimator="first-order"),
        "First-order MAML: inner gradients are treated as constants (Finn et al. 2017).",
    ),
    Preset(ReptileConfig(), "Reptile: towards the adapted parameters (Nichol et al. 2018)."),
    Preset(
        MAMLTRPOConfig(learner="anil", adapted="head"),
        "ANIL: only what follows the last hidden layer adapts (Raghu et al. 2020).",
    ),
    Preset(
        MAMLTRPOConfig(learner="cavia", adapted="context", context_size=5, inner_lr=3.0),
        "CAVIA: only an input beside the observation adapts, from 0 (Zintgraf et al. 2019).",
    ),
    Preset(
        MAMLTRPOConfig(learner="meta-sgd", learned_lr=True),
        "Meta-SGD: a step size is learned for every single parameter (Li et al. 2017).",
    ),
    Preset(
        ControlConfig(),
        "Control: one policy trained over all tasks by TRPO, adapted only when it is evaluated.",
    ),
    Preset(RandomInitConfig(), "Control: the untrained policy, adapted when it is evaluated."),
    Preset(
        ControlConfig(learner="oracle", show_task=True, inner_lr=0.0),
        "Control, upper bound: one policy that finds the task in its observation, by TRPO.",
    ),
)
"""Learners by gradients."""

"""Configs of MAML with a trust-region outer step and its relatives, settings of one another.

``pretrained`` and ``oracle`` are controls: what a claim about adaptation has to beat, and its upper
bound.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from metarl.rl.estimators import Estimator

Adapted = Literal["all", "head", "context"]


@dataclass(frozen=True, kw_only=True)
class MAMLConfig:
    """What every MAML learner has to know."""

    shows_task: ClassVar[bool] = False
    """Whether the task is part of the observation."""

    inner_lr: float = 0.5
    """Step size α of adaptation; 0 turns it off. Where it is learned, its start."""
    num_inner_steps: int = 1
    """Gradient steps of adaptation in training, each on fresh trajectories."""
    adapted: Adapted = "all"
    """What adapts: every parameter, what follows the last hidden layer (ANIL), or an input beside
    the observation (CAVIA)."""
    context_size: int = 0
    """Numbers of that input; above 0 where the context adapts, 0 elsewhere."""
    learned_lr: bool = False
    """Learn α for every number that adapts (Meta-SGD)."""
    estimator: Estimator = "lvc"
    """How the inner objective estimates second derivatives; see metarl/rl/estimators.py."""
    sampling_credit: bool = False
    """Add E-MAML's term: credit of the pre-adaptation trajectories for the outcome."""
    credit_weight: float = 1.0
    """Weight of that term. 1 is exact, and mostly noise: it sums over the steps of all trajectories
    of a task. 1 / num_trajectories takes their mean, as the authors of ProMP do for E-MAML."""
    gae_lambda: float = 0.95
    """λ of generalised advantage estimation, in [0, 1]."""
    task_chunk: int | None = None
    """Tasks differentiated at once; 0 for all. By default as many as have 8,000 steps together (on
    a GPU 200,000), but at least 4: small chunks stay in a CPU's cache, and too small ones are all
    overhead."""

    def __post_init__(self) -> None:
        for name in ("inner_lr", "num_inner_steps", "credit_weight"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if self.adapted not in get_args(Adapted):
            raise ValueError(f"adapted must be one of {get_args(Adapted)}, got {self.adapted!r}")
        if self.learned_lr and self.num_inner_steps < 1:
            raise ValueError("learned_lr needs num_inner_steps of at least 1 to learn from, got 0")
        if (self.adapted == "context") != (self.context_size > 0) or self.context_size < 0:
            raise ValueError(
                "context_size must be above 0 where adapted is context, and 0 elsewhere, got "
                f"{self.context_size} and {self.adapted}"
            )
        if not 0 <= self.gae_lambda <= 1:
            raise ValueError(f"gae_lambda must be within [0, 1], got {self.gae_lambda}")
        if self.task_chunk is not None and self.task_chunk < 0:
            raise ValueError(f"task_chunk must be at least 0, got {self.task_chunk}")


@dataclass(frozen=True, kw_only=True)
class MAMLTRPOConfig(MAMLConfig):
    """MAML with a trust-region outer step (Finn et al. 2017)."""

    max_kl: float = 0.01
    """Trust region δ: largest mean KL between old and new adapted policies, in nats."""
    cg_iterations: int = 10
    """Conjugate-gradient iterations for the direction."""
    cg_damping: float = 1e-5
    """Added to the diagonal of the Fisher matrix."""
    fisher_stride: int = 9
    """The Fisher matrix is estimated on every n-th step; the line search uses all of them.
    Raised to the next number coprime to the trajectories a task, so that all of them count."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.max_kl > 0:
            raise ValueError(f"max_kl must be above 0, got {self.max_kl}")
        if self.cg_iterations < 1:
            raise ValueError(f"cg_iterations must be at least 1, got {self.cg_iterations}")
        if not self.cg_damping >= 0:
            raise ValueError(f"cg_damping must be at least 0, got {self.cg_damping}")
        if self.fisher_stride < 1:
            raise ValueError(f"fisher_stride must be at least 1, got {self.fisher_stride}")


@dataclass(frozen=True, kw_only=True)
class FOMAMLConfig(MAMLTRPOConfig):
    """First-order MAML: inner gradients are treated as constants (Finn et al. 2017)."""

    estimator: Estimator = "first-order"
    """How the inner objective estimates second derivatives."""


@dataclass(frozen=True, kw_only=True)
class ANILConfig(MAMLTRPOConfig):
    """ANIL (Raghu et al. 2020): only what follows the last hidden layer adapts."""

    adapted: Adapted = "head"
    """What adapts."""


@dataclass(frozen=True, kw_only=True)
class CAVIAConfig(MAMLTRPOConfig):
    """CAVIA (Zintgraf et al. 2019): only an input beside the observation adapts, from 0."""

    adapted: Adapted = "context"
    """What adapts."""
    context_size: int = 5
    """Numbers of that input."""
    inner_lr: float = 3.0
    """Step size α of adaptation; 0 turns it off."""


@dataclass(frozen=True, kw_only=True)
class MetaSGDConfig(MAMLTRPOConfig):
    """Meta-SGD (Li et al. 2017): a step size is learned for every single parameter."""

    learned_lr: bool = True
    """Learn α for every number that adapts."""


@dataclass(frozen=True, kw_only=True)
class EMAMLConfig(MAMLTRPOConfig):
    """E-MAML: what is sampled before adaptation answers for the outcome (Stadie et al. 2018)."""

    estimator: Estimator = "log-likelihood"
    """How the inner objective estimates second derivatives; this one is exact with the credit."""
    sampling_credit: bool = True
    """Add the credit of the pre-adaptation trajectories."""
    credit_weight: float = 0.05
    """Weight of that term: the mean over 20 trajectories, as the authors of ProMP take it. 1 is
    exact and mostly noise, since all steps of a task's trajectories share one outcome."""


@dataclass(frozen=True, kw_only=True)
class PretrainedConfig(MAMLTRPOConfig):
    """Control: one policy trained over all tasks by TRPO, adapted only when it is evaluated."""

    num_inner_steps: int = 0
    """Always 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_no_adaptation(self)


@dataclass(frozen=True, kw_only=True)
class OracleConfig(MAMLTRPOConfig):
    """Control, upper bound: one policy that finds the task in its observation, trained by TRPO."""

    shows_task: ClassVar[bool] = True

    num_inner_steps: int = 0
    """Always 0."""
    inner_lr: float = 0.0
    """Step size of adaptation when it is evaluated; 0 turns it off."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_no_adaptation(self)


def _check_no_adaptation(config: MAMLTRPOConfig) -> None:
    if config.num_inner_steps:
        raise ValueError(
            f"num_inner_steps must be 0 for this learner, got {config.num_inner_steps}: "
            "it adapts only when it is evaluated"
        )

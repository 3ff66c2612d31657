"""Configs of MAML and its relatives, which are settings of one another."""

from dataclasses import dataclass
from typing import Literal

from metarl.fewshot.learner import FewShotConfig


@dataclass(frozen=True, kw_only=True)
class MAMLClassifierConfig(FewShotConfig):
    """MAML (Finn et al. 2017): all parameters adapt, second order.

    The inner loss is the mean over the support set. The authors' code divides the sum by K only,
    so their inner step sizes count N times: 0.4 (Omniglot 5-way) is 2.0 here, 0.1 (20-way) is
    2.0, and 0.01 (mini-ImageNet) is 0.05.
    """

    norm: Literal["transductive", "inductive"] = "transductive"
    """Statistics of the query set: its own (transductive, as in the paper), or the support set's
    under the same parameters (inductive)."""
    meta_batch_size: int = 4
    """Episodes of a meta-iteration."""
    inner_lr: float = 0.4
    """Step size α of adaptation, for the mean loss; where it is learned, its start."""
    num_inner_steps: int = 5
    """Gradient steps of adaptation in training."""
    num_test_steps: int = 10
    """Gradient steps at test."""
    first_order: bool = False
    """Drop second derivatives."""
    adapted: Literal["all", "head"] = "all"
    """What adapts: every parameter, or the head only (ANIL)."""
    learned_lr: Literal["none", "parameter", "step"] = "none"
    """Learn α: for every number (Meta-SGD), or for every step and tensor (MAML++)."""
    multi_step_iterations: int = 0
    """Iterations over which the outer loss moves from all steps to the last one (MAML++)."""
    head: Literal["shared", "free", "prototypes"] = "shared"
    """How the head starts: one learned row for all classes (any number of ways, needs at least two
    steps for the backbone to adapt), a row each (Finn et al. 2017), or from class prototypes."""
    compile: bool = False
    """Compile the meta-gradient (mlp backbone; needs a C++ compiler; half a minute a shape)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.inner_lr >= 0:
            raise ValueError(f"inner_lr must be at least 0, got {self.inner_lr}")
        for name in ("num_inner_steps", "num_test_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.compile and self.precision == "bf16":
            raise ValueError("compile is in float32; leave out compile or precision bf16")
        if self.multi_step_iterations < 0:
            raise ValueError(
                f"multi_step_iterations must be at least 0, got {self.multi_step_iterations}"
            )


@dataclass(frozen=True, kw_only=True)
class FOMAMLConfig(MAMLClassifierConfig):
    """First-order MAML (Finn et al. 2017): inner gradients are treated as constants."""

    first_order: bool = True
    """Drop second derivatives."""


@dataclass(frozen=True, kw_only=True)
class ANILConfig(MAMLClassifierConfig):
    """ANIL (Raghu et al. 2020): only the head adapts; the backbone is meta-learned."""

    adapted: Literal["all", "head"] = "head"
    """What adapts."""


@dataclass(frozen=True, kw_only=True)
class MetaSGDConfig(MAMLClassifierConfig):
    """Meta-SGD (Li et al. 2017): a learned step size for every single parameter, one step.

    One step of a shared head would leave the backbone alone, so every class has a row of its own.
    """

    learned_lr: Literal["none", "parameter", "step"] = "parameter"
    """Learn α for every number."""
    num_inner_steps: int = 1
    """Gradient steps of adaptation in training."""
    num_test_steps: int = 1
    """Gradient steps at test."""
    head: Literal["shared", "free", "prototypes"] = "free"
    """How the head starts."""


@dataclass(frozen=True, kw_only=True)
class MAMLPlusPlusConfig(MAMLClassifierConfig):
    """MAML++ (Antoniou et al. 2019): step sizes learned for every step and tensor, multi-step loss.

    Left out of the paper's list: per-step batch-norm parameters and the ensemble of checkpoints.
    """

    learned_lr: Literal["none", "parameter", "step"] = "step"
    """Learn α for every step and tensor; test steps beyond the trained ones use the last."""
    multi_step_iterations: int = 500
    """Iterations over which the outer loss moves from all steps to the last one."""
    num_test_steps: int = 5
    """Gradient steps at test."""


@dataclass(frozen=True, kw_only=True)
class ProtoMAMLConfig(MAMLClassifierConfig):
    """Proto-MAML (Triantafillou et al. 2020): the head starts as the prototype classifier."""

    head: Literal["shared", "free", "prototypes"] = "prototypes"
    """How the head starts: w_c = 2 p_c, b_c = -||p_c||²; gradients flow through the prototypes."""
    inner_lr: float = 0.1
    """Step size α of adaptation, for the mean loss."""

"""MAML and its relatives: a network whose parameters adapt by gradient steps on the support set.

One learner, :class:`MAMLClassifier`; the relatives are settings of its config.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from metarl.core import adaptation_path, proto_maml_head, prototypes
from metarl.fewshot.episodes import Episodes
from metarl.fewshot.learner import FewShotConfig, FewShotLearner, Fitted, Tasks, task_losses
from metarl.fewshot.network import HeadedNetwork
from metarl.types import Params, StepSize

HEAD = ("head_weight", "head_bias")


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

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.inner_lr >= 0:
            raise ValueError(f"inner_lr must be at least 0, got {self.inner_lr}")
        for name in ("num_inner_steps", "num_test_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
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


class MAMLClassifier(FewShotLearner):
    """Meta-learns the parameters from which a few gradient steps solve a task.

    Args:
        network: backbone and start of the head.
        tasks: samplers of train and validation episodes.
        config: numbers of the algorithm.
        iterations: over which the outer step size decays.
        seed: of the episodes.
    """

    network: HeadedNetwork
    config: MAMLClassifierConfig

    def __init__(
        self,
        network: HeadedNetwork,
        tasks: Tasks,
        config: MAMLClassifierConfig,
        *,
        iterations: int,
        seed: int,
    ) -> None:
        self.step_sizes = _learned_step_sizes(network, config)
        super().__init__(network, tasks, config, iterations=iterations, seed=seed)
        self.num_steps = config.num_test_steps

    def parameters(self) -> Iterable[nn.Parameter]:
        """The network's, and the learned step sizes."""
        unused = HEAD if self.config.head == "prototypes" else ()
        named = self.network.named_parameters()
        return [*(p for n, p in named if n not in unused), *self.step_sizes.values()]

    def losses(self, episodes: Episodes) -> tuple[Tensor, Tensor]:
        """Query loss after adaptation, or a mean of those after each step (MAML++)."""
        config = self.config
        support = episodes.support_x, episodes.support_y
        path = self._path(*support, episodes.num_ways, config.num_inner_steps)
        weights = self._step_weights()
        losses, outputs = torch.zeros(()), torch.zeros(())
        for weight, params in zip(weights, path[1:], strict=True):
            if weight:
                outputs = self._query_outputs(params, episodes.support_x, episodes.query_x)
                losses = losses.to(outputs.device) + weight * task_losses(outputs, episodes.query_y)
        return losses, outputs

    def fit(
        self, support_x: Tensor, support_y: Tensor, num_ways: int, num_steps: int
    ) -> list[Fitted]:
        """Adapted parameters after 0 to ``num_steps`` steps.

        In inductive mode the support set goes with them, as ``reference``: it gives the batch
        statistics.
        """
        path = self._path(support_x, support_y, num_ways, num_steps)
        extra = {"reference": support_x} if self.config.norm == "inductive" else {}
        return [{**params, **extra} for params in path]

    def scores(self, fitted: Fitted, x: Tensor) -> Tensor:
        """Outputs of the adapted networks."""
        reference = fitted.get("reference", x)
        return self._query_outputs(fitted, reference, x)

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what happens next."""
        step_sizes = {name: value.detach() for name, value in self.step_sizes.items()}
        return super().state_dict() | {"step_sizes": step_sizes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
        super().load_state_dict(state)
        with torch.no_grad():
            for name, value in self.step_sizes.items():
                value.copy_(state["step_sizes"][name])

    def _path(
        self, support_x: Tensor, support_y: Tensor, num_ways: int, num_steps: int
    ) -> list[Params]:
        params = self._start(support_x, support_y, num_ways)
        return adaptation_path(
            self._support_losses,
            params,
            [(support_x, support_y)] * num_steps,
            lr=self._lr(num_steps),
            first_order=self.config.first_order,
            mask=HEAD if self.config.adapted == "head" else None,
        )

    def _start(self, support_x: Tensor, support_y: Tensor, num_ways: int) -> Params:
        """Parameters before the first step."""
        num_outputs = num_ways or support_y.shape[-1]
        if self.config.head != "prototypes":
            return self.network.start(len(support_x), num_outputs)
        named = {n: p for n, p in self.network.named_parameters() if n not in HEAD}
        params = {n: p.expand(len(support_x), *p.shape) for n, p in named.items()}
        features = self.network.features(params, support_x)
        centres = prototypes(features.float(), support_y, num_ways)
        weight, bias = proto_maml_head(centres)
        return {**params, "head_weight": weight, "head_bias": bias}

    def _support_losses(self, params: Params, support: tuple[Tensor, Tensor]) -> Tensor:
        return task_losses(self.network.outputs(params, support[0]), support[1])

    def _query_outputs(self, params: Params, support_x: Tensor, query_x: Tensor) -> Tensor:
        if self.config.norm == "transductive":
            return self.network.outputs(params, query_x)
        count = support_x.shape[1]
        both = torch.cat([support_x, query_x], 1)
        return self.network.outputs(params, both, count)[:, count:]

    def _lr(self, num_steps: int) -> list[StepSize]:
        if self.config.learned_lr == "none":
            return [self.config.inner_lr] * num_steps
        if self.config.learned_lr == "parameter":
            return [dict(self.step_sizes)] * num_steps
        last = self.config.num_inner_steps - 1
        return [
            {name: value[min(step, last)] for name, value in self.step_sizes.items()}
            for step in range(num_steps)
        ]

    def _step_weights(self) -> list[float]:
        """Weights of the losses after each step: uniform at first, then the last step only."""
        steps, span = self.config.num_inner_steps, self.config.multi_step_iterations
        rest = max(0.0, 1 - self.iteration / span) / steps if span else 0.0
        return [rest] * (steps - 1) + [1 - rest * (steps - 1)]


def _learned_step_sizes(
    network: HeadedNetwork, config: MAMLClassifierConfig
) -> dict[str, nn.Parameter]:
    """Step sizes as the config wants them learned; those of a head are shared by its rows."""
    if config.learned_lr == "none":
        return {}
    per_step = config.learned_lr == "step"
    sizes = {}
    for name, value in network.named_parameters():
        if config.adapted == "head" and name not in HEAD:
            continue
        shape = (config.num_inner_steps,) if per_step else value.shape
        if not per_step and config.head == "prototypes" and name in HEAD:
            shape = torch.Size([1, *value.shape[1:]])
        sizes[name] = nn.Parameter(torch.full(tuple(shape), config.inner_lr, device=value.device))
    return sizes

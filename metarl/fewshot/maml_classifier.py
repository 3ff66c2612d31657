"""MAML and its relatives: a network whose parameters adapt by gradient steps on the support set.

One learner, :class:`MAMLClassifier`; the relatives are settings of its config, see
:mod:`metarl.fewshot.configs`.
"""

import os
import shutil
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from metarl.core import (
    SGD,
    InnerRule,
    LearnedStepSizes,
    MetaParameters,
    adaptation_path,
    parameters_of,
    proto_maml_head,
    prototypes,
)
from metarl.fewshot.configs import AdaptedClassifierConfig
from metarl.fewshot.episodes import Episodes, EpisodeSamplers
from metarl.fewshot.episodic_learner import FewShotLearner, Fitted
from metarl.fewshot.headed_network import HeadedNetwork
from metarl.fewshot.losses import score, task_losses, widened
from metarl.nn import FeatureMLP
from metarl.types import Params

HEAD = ("head_weight", "head_bias")


class MAMLClassifier(FewShotLearner):
    """Meta-learns the parameters from which a few gradient steps solve a task.

    Args:
        network: backbone and start of the head.
        samplers: of train and validation episodes.
        config: numbers of the algorithm.
        iterations: over which the outer step size decays.
        seed: of the episodes.
        rule: how parameters adapt, instead of what the config says of it.
    """

    network: HeadedNetwork
    config: AdaptedClassifierConfig

    def __init__(
        self,
        network: HeadedNetwork,
        samplers: EpisodeSamplers,
        config: AdaptedClassifierConfig,
        *,
        iterations: int,
        seed: int,
        rule: InnerRule[Any] | None = None,
    ) -> None:
        own = network.adaptable(parameters_of(network))
        self.rule = (_inner_rule(config) if rule is None else rule).leaving_frozen(own)
        learned = self.rule.meta_parameters(own)
        self.step_sizes = {name: nn.Parameter(value) for name, value in learned.items()}
        super().__init__(network, samplers, config, iterations=iterations, seed=seed)
        self.num_steps = config.num_test_steps
        self._compiled = None
        if config.compile:
            _check_compilable(network, self.device, config)
            self._compiled = torch.compile(self._meta_gradient, dynamic=False)

    def parameters(self) -> Iterable[nn.Parameter]:
        """The network's, and the learned step sizes."""
        unused = HEAD if self.config.head == "prototypes" else ()
        named = self.network.named_parameters()
        return [*(p for n, p in named if n not in unused), *self.step_sizes.values()]

    def losses(self, episodes: Episodes) -> tuple[Tensor, Tensor]:
        """Query loss after adaptation, or a mean of those after each step (MAML++)."""
        return self._losses(self._theta(), episodes, self._step_weights())

    @property
    def repeats(self) -> bool:
        """Once the weights of the steps' losses change no more."""
        return self._step_weights() is None

    def fit(
        self, support_x: Tensor, support_y: Tensor, num_ways: int, num_steps: int
    ) -> list[Fitted]:
        """Adapted parameters after 0 to ``num_steps`` steps.

        The support set goes with them, as ``reference``: in inductive mode it gives the batch
        statistics.
        """
        path = self._path(self._theta(), (support_x, support_y), num_ways, num_steps)
        return [{**params, "reference": support_x} for params in path]

    def scores(self, fitted: Fitted, x: Tensor) -> Tensor:
        """Outputs of the adapted networks."""
        return self._query_outputs(fitted, fitted["reference"], x)

    def features(self, support_x: Tensor, query_x: Tensor) -> tuple[Tensor, Tensor]:
        """Those before adaptation, ``[M, S, D]`` and ``[M, Q, D]``, normalised as the norm says."""
        params = self.network.shared(parameters_of(self.network), len(support_x))
        if self.config.norm == "transductive":
            return self.network.features(params, support_x), self.network.features(params, query_x)
        count = support_x.shape[1]
        both = self.network.features(params, torch.cat([support_x, query_x], 1), count)
        return both[:, :count], both[:, count:]

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

    def _accumulate(self, chunks: Sequence[Episodes], total: int) -> Tensor:
        if self._compiled is None:
            return super()._accumulate(chunks, total)
        losses, figures = [], []
        theta = self._theta()
        values = MetaParameters(*({n: v.detach() for n, v in part.items()} for part in theta))
        for chunk in chunks:
            episodes = self.augmented(self.prepared(chunk))
            gradients, (loss, outputs) = self._compiled(values, episodes, self._step_weights())
            for value, gradient in zip(theta.tensors(), gradients.tensors(), strict=True):
                part = gradient / total
                value.grad = part if value.grad is None else value.grad + part
            losses.append(loss)
            figures.append(score(outputs, episodes))
        return torch.stack([torch.cat(losses).mean(), torch.cat(figures).mean()])

    def _meta_gradient(
        self, theta: MetaParameters, episodes: Episodes, weights: Tensor | None
    ) -> Any:
        """Gradient of the sum of the losses, the losses and the outputs; what is compiled."""

        def total_loss(theta: MetaParameters) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            losses, outputs = self._losses(theta, episodes, weights)
            return losses.sum(), (losses, outputs)

        return torch.func.grad(total_loss, has_aux=True)(theta)

    def _theta(self) -> MetaParameters:
        """Everything that is meta-learned."""
        return MetaParameters(parameters_of(self.network), dict(self.step_sizes))

    def _losses(
        self, theta: MetaParameters, episodes: Episodes, weights: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        support = episodes.support_x, episodes.support_y
        path = self._path(theta, support, episodes.num_ways, self.config.num_inner_steps)
        outputs = self._query_outputs(path[-1], episodes.support_x, episodes.query_x)
        losses = task_losses(outputs, episodes.query_y)
        if weights is None:
            return losses, outputs
        total = weights[-1] * losses
        for weight, params in zip(weights[:-1], path[1:-1], strict=True):
            early = self._query_outputs(params, episodes.support_x, episodes.query_x)
            total = total + weight * task_losses(early, episodes.query_y)
        return total, outputs

    def _path(
        self,
        theta: MetaParameters,
        support: tuple[Tensor, Tensor],
        num_ways: int,
        num_steps: int,
    ) -> list[Params]:
        start = self._start(theta.network, support, num_ways)
        steps = range(max(num_steps, 1))
        norms = [self.network.norms(theta.network, step, len(support[0])) for step in steps]
        supports = [(*support, norms[step]) for step in range(num_steps)]
        path = adaptation_path(self.rule.at(theta.rule), self._support_losses, start, supports)
        # what comes of a step is normalised as in that step, as in the authors' code
        return [params | norms[max(step - 1, 0)] for step, params in enumerate(path)]

    def _start(self, params: Params, support: tuple[Tensor, Tensor], num_ways: int) -> Params:
        """Task-batched parameters before the first step."""
        x, y = support
        if self.config.head != "prototypes":
            return self.network.start(params, len(x), num_ways or y.shape[-1])
        params = self.network.shared({k: v for k, v in params.items() if k not in HEAD}, len(x))
        centres = prototypes(widened(self.network.features(params, x)), y, num_ways)
        weight, bias = proto_maml_head(centres)
        return {**params, "head_weight": weight, "head_bias": bias}

    def _support_losses(self, params: Params, support: tuple[Tensor, Tensor, Params]) -> Tensor:
        """Of images and classes, normalised by scales and shifts that are the step's own."""
        x, y, norms = support
        return task_losses(self.network.outputs(params | norms, x), y)

    def _query_outputs(self, params: Params, support_x: Tensor, query_x: Tensor) -> Tensor:
        if self.config.norm == "transductive":
            return self.network.outputs(params, query_x)
        count = support_x.shape[1]
        both = torch.cat([support_x, query_x], 1)
        return self.network.outputs(params, both, count)[:, count:]

    def _step_weights(self) -> Tensor | None:
        """Weights of the losses after each step, uniform at first; none once the last is all."""
        steps, span = self.config.num_inner_steps, self.config.multi_step_iterations
        if self.iteration >= span or steps == 1:
            return None
        rest = (1 - self.iteration / span) / steps
        weights = [rest] * (steps - 1) + [1 - rest * (steps - 1)]
        return torch.tensor(weights, device=self.device)


def _inner_rule(config: AdaptedClassifierConfig) -> SGD:
    """Gradient descent as the config wants it."""
    sizes: dict[str, float | LearnedStepSizes] = {
        "none": config.inner_lr,
        "parameter": LearnedStepSizes(config.inner_lr),
        "step": LearnedStepSizes(config.inner_lr, config.num_inner_steps),
    }
    mask = HEAD if config.adapted == "head" else None
    return SGD(sizes[config.learned_lr], mask, config.first_order)


def _check_compilable(
    network: HeadedNetwork, device: torch.device, config: AdaptedClassifierConfig
) -> None:
    if config.precision == "bf16":
        raise ValueError("compile is in float32; leave out compile or precision bf16")
    if not isinstance(network.backbone, FeatureMLP):
        raise ValueError("compile is for the mlp backbone; leave it out for others")
    compilers = os.environ.get("CXX"), shutil.which("g++"), shutil.which("clang++")
    if device.type == "cpu" and not any(compilers):
        raise ValueError("compile needs a C++ compiler, and there is no g++ or clang++ here")

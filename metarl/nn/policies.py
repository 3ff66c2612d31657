"""Stochastic policies with task-batched parameters: a distribution head around any network.

A policy maps task-batched parameters and observations ``[M, B, D]`` to a distribution over
actions. Sampling takes its noise as an argument, so a sampler draws a whole rollout's noise at
once from a generator of its own and the policy stays a pure function.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from metarl.core.params import dry_run, lift, parameters_of, submodule_params
from metarl.nn.cnn import CNN
from metarl.nn.distributions import ActionDistribution, Categorical, Gaussian
from metarl.nn.mlp import MLP
from metarl.nn.observation_normaliser import ObservationNormaliser
from metarl.types import Metrics, Params


class Policy(nn.Module, ABC):
    """A network of the observation, and what its outputs mean.

    The network maps observations ``[B, D]``, images flattened to ``H·W·C``, to outputs ``[B, A]``.
    One with a ``forward_tasks``, as those of :mod:`metarl.nn` have, runs task-batched as it is; any
    other is lifted (:func:`metarl.core.lift`), dropout and batch statistics by the module's mode.

    ``context`` ``[C]`` is an input beside the observation that adaptation may change and that
    meta-learning does not: 0 before adaptation (CAVIA; Zintgraf et al. 2019). The network sees it
    behind the observation, as ``[B, D + C]``.

    Args:
        network: from observation and context to outputs. Its initial outputs should be small: an
            untrained policy is to explore around 0.
        num_outputs: A.
        action_width: numbers that say which action was taken.
        context_size: C; may be 0.

    Raises:
        ValueError: if the outputs are not ``[B, A]``: of an :class:`MLP` or a :class:`CNN` here,
            of any other network in :meth:`check_network` or when the policy first acts.
    """

    network_name: str
    """Of the network among the attributes, and so in the names of the parameters."""
    normaliser: ObservationNormaliser | None
    """In front of the network, where observations are normalised; the context is not."""

    def __init__(
        self, network: nn.Module, num_outputs: int, action_width: int, context_size: int
    ) -> None:
        super().__init__()
        self.num_outputs = num_outputs
        self.action_width = action_width
        setattr(self, self.network_name, network)
        self.register_module("normaliser", None)
        self._run_network = lift(network)
        self.context_size = context_size
        if context_size:
            self.context = nn.Parameter(torch.zeros(context_size), requires_grad=False)
        last = network.mlp if isinstance(network, CNN) else network
        if isinstance(last, MLP):
            self._check_outputs((2, last.sizes[-1]), 2)

    @property
    def network(self) -> nn.Module:
        """From observation and context to outputs."""
        network: nn.Module = getattr(self, self.network_name)
        return network

    def check_network(self, observation_size: int) -> None:
        """Try the network on observations of zeros.

        Args:
            observation_size: D, without the context.

        Raises:
            ValueError: if it cannot take them, or gives anything but ``[B, A]``.
        """
        num_inputs = observation_size + self.context_size
        try:
            outputs = dry_run(self.network, [num_inputs])
        except RuntimeError as error:
            raise ValueError(
                f"the {self.network_name} network cannot take [B, {num_inputs}], observations of "
                f"{observation_size} numbers and a context of {self.context_size}: "
                f"{' '.join(str(error).split())}"
            ) from error
        self._check_outputs(outputs.shape, 2)

    @abstractmethod
    def distribution(self, params: Params, observations: Tensor) -> ActionDistribution:
        """Action distributions of ``[M, B, D]`` observations."""

    @abstractmethod
    def noise(self, shape: Sequence[int], rng: np.random.Generator) -> Tensor:
        """What :meth:`act` needs for that many actions, ``[*shape, A]``.

        Drawn row by row, so that the first rows are the same however many there are.
        """

    @abstractmethod
    def noise_of(self, uniforms: Tensor) -> Tensor:
        """The same from numbers ``[..., A]`` that are uniform within (0, 1), on their device."""

    @abstractmethod
    def act(self, params: Params, observations: Tensor, noise: Tensor) -> Tensor:
        """Sampled actions ``[M, B, ...]``; zero noise gives the most likely action."""

    def metrics(self) -> Metrics:
        """What a learner reports of the policy itself."""
        return {}

    def within_bounds(self, params: Params) -> Params:
        """The nearest parameters that the policy may have; whoever steps by gradients asks."""
        return params

    @torch.no_grad()
    def keep_within_bounds(self) -> None:
        """Move the policy's own parameters there."""
        own = parameters_of(self)
        for name, value in self.within_bounds(own).items():
            own[name].copy_(value)

    def head_names(self) -> list[str]:
        """Parameters behind the last hidden layer, the only ones that adapt in ANIL.

        Of any network those of the last of its modules, in the order in which they were made part
        of it, that has parameters of its own.
        """
        known = parameters_of(self)  # what is tied has one name only
        layers = [
            [key for key, _ in module.named_parameters(name, recurse=False) if key in known]
            for name, module in self.network.named_modules(prefix=self.network_name)
        ]
        return next((names for names in reversed(layers) if names), [])

    def _outputs(self, params: Params, observations: Tensor) -> Tensor:
        """Of the network, ``[M, B, A]``."""
        if self.normaliser is not None:
            observations = self.normaliser(observations)
        if self.context_size:
            context = params["context"][:, None].expand(-1, observations.shape[1], -1)
            observations = torch.cat([observations, context], -1)
        outputs = self._run_network(submodule_params(params, self.network_name), observations)
        self._check_outputs(outputs.shape[1:], observations.shape[1])
        return outputs

    def _check_outputs(self, shape: Sequence[int], num_observations: int) -> None:
        """Raise a :class:`ValueError` unless the network gave A numbers an observation."""
        needed = (num_observations, self.num_outputs)
        if tuple(shape) != needed:
            raise ValueError(
                f"the {self.network_name} network gave outputs of shape {tuple(shape)} for "
                f"{num_observations} observations, need {needed}"
            )


class GaussianPolicy(Policy):
    """Network for the mean and a state-independent log standard deviation within bounds.

    Args:
        network: from observations ``[B, D]``, or ``[B, D + C]``, to means ``[B, A]``; see
            :class:`Policy`.
        action_size: A.
        initial_log_std: starting log σ of every action dimension.
        min_log_std: floor of log σ, so that a large inner step cannot make the density degenerate.
            Learners end steps on it (projected gradient). A parameter that is below it all the same
            acts as the floor does and has its gradient, so that it can come back.
        max_log_std: ceiling of log σ, likewise; none by default.
        context_size: C, see :class:`Policy`.

    >>> policy = GaussianPolicy(MLP([4, 64, 64, 2], "tanh"), 2)
    >>> sorted(dict(policy.named_parameters()))[:2]
    ['log_std', 'mean.layers.0.bias']
    >>> GaussianPolicy(nn.Sequential(nn.Linear(4, 8), nn.ELU(), nn.Linear(8, 2)), 2).head_names()
    ['log_std', 'mean.2.weight', 'mean.2.bias']
    """

    network_name = "mean"
    mean: nn.Module

    def __init__(
        self,
        network: nn.Module,
        action_size: int,
        *,
        initial_log_std: float = 0.0,
        min_log_std: float = -6.0,
        max_log_std: float | None = None,
        context_size: int = 0,
    ) -> None:
        if initial_log_std < min_log_std:
            raise ValueError(f"initial_log_std {initial_log_std} is below its floor {min_log_std}")
        if max_log_std is not None and initial_log_std > max_log_std:
            raise ValueError(f"initial_log_std {initial_log_std} is over its ceiling {max_log_std}")
        super().__init__(network, action_size, action_size, context_size)
        self.log_std = nn.Parameter(torch.full((action_size,), float(initial_log_std)))
        self.min_log_std = min_log_std
        self.max_log_std = max_log_std

    def within_bounds(self, params: Params) -> Params:
        """Log σ is moved to its floor or ceiling where it is beyond."""
        bounds = self.min_log_std, self.max_log_std
        return {n: v.clamp(*bounds) if n == "log_std" else v for n, v in params.items()}

    def acting_log_std(self, log_std: Tensor) -> Tensor:
        """What the parameter acts as; gradients pass as if there were no bounds."""
        bounded = log_std.clamp(self.min_log_std, self.max_log_std)
        return bounded.detach() + (log_std - log_std.detach()) if log_std.requires_grad else bounded

    def distribution(self, params: Params, observations: Tensor) -> Gaussian:
        """Action distributions of ``[M, B, D]`` observations.

        The mean is ``[M, B, A]`` and the log σ ``[M, 1, A]``.
        """
        mean = self._outputs(params, observations)
        return Gaussian(mean, self.acting_log_std(params["log_std"])[:, None, :])

    def noise(self, shape: Sequence[int], rng: np.random.Generator) -> Tensor:
        """Standard normal numbers, ``[*shape, A]``."""
        return torch.from_numpy(rng.standard_normal((*shape, self.num_outputs), np.float32))

    def noise_of(self, uniforms: Tensor) -> Tensor:
        """Standard normal numbers, ``[..., A]``."""
        return math.sqrt(2.0) * torch.erfinv(2.0 * uniforms - 1.0)

    def act(self, params: Params, observations: Tensor, noise: Tensor) -> Tensor:
        """Sampled actions ``[M, B, A]``; zero noise gives the mean action."""
        return self.distribution(params, observations).draw(noise)

    def metrics(self) -> Metrics:
        """Mean standard deviation of the actions, as it acts."""
        return {"meta/std": float(self.acting_log_std(self.log_std.detach()).exp().mean())}

    def head_names(self) -> list[str]:
        """Log σ and the network's."""
        return ["log_std", *super().head_names()]


class CategoricalPolicy(Policy):
    """Network for the logits of A actions.

    Args:
        network: from observations ``[B, D]``, or ``[B, D + C]``, to logits ``[B, A]``; see
            :class:`Policy`.
        num_actions: A.
        context_size: C, see :class:`Policy`.

    >>> policy = CategoricalPolicy(MLP([10, 64, 64, 5], "tanh"), 5)
    >>> policy.head_names()
    ['logits.layers.2.weight', 'logits.layers.2.bias']
    """

    network_name = "logits"
    logits: nn.Module

    def __init__(self, network: nn.Module, num_actions: int, *, context_size: int = 0) -> None:
        super().__init__(network, num_actions, 1, context_size)

    def distribution(self, params: Params, observations: Tensor) -> Categorical:
        """Action distributions of ``[M, B, D]`` observations, logits ``[M, B, A]``."""
        return Categorical(self._outputs(params, observations))

    def noise(self, shape: Sequence[int], rng: np.random.Generator) -> Tensor:
        """Standard Gumbel numbers, ``[*shape, A]``: the highest logit plus noise is a sample."""
        return torch.from_numpy(rng.gumbel(size=(*shape, self.num_outputs)).astype(np.float32))

    def noise_of(self, uniforms: Tensor) -> Tensor:
        """Standard Gumbel numbers, ``[..., A]``."""
        return -torch.log(-torch.log(uniforms))

    def act(self, params: Params, observations: Tensor, noise: Tensor) -> Tensor:
        """Indices of sampled actions as floats ``[M, B, 1]``; zero noise gives the likeliest."""
        return self.distribution(params, observations).draw(noise)

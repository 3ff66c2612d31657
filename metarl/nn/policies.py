"""Stochastic policies with task-batched parameters.

A policy maps task-batched parameters and observations ``[M, B, D]`` to a distribution over
actions. Sampling takes its noise as an argument, so a sampler draws a whole rollout's noise at
once from a generator of its own and the policy stays a pure function.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from metarl.nn.cnn import CNN
from metarl.nn.distributions import ActionDistribution, Categorical, Gaussian
from metarl.nn.mlp import MLP, Activation
from metarl.types import Metrics, Params

# of the last layer's initial weights: an untrained policy explores around 0 instead of drifting
# off, which is a local optimum of MAML (one inner step then only learns to come back)
OUTPUT_SCALE = 0.01

ImageShape = tuple[int, int, int]
"""Height, width and channels."""


class Policy(nn.Module, ABC):
    """A network of the observation, and what its outputs mean.

    ``context`` ``[C]`` is an input beside the observation that adaptation may change and that
    meta-learning does not: 0 before adaptation (CAVIA; Zintgraf et al. 2019).

    Args:
        network: from observation and context to outputs.
        action_width: numbers that say which action was taken.
        context_size: C; may be 0.
    """

    network_name: str
    """Of the network among the attributes, and so in the names of the parameters."""

    def __init__(self, network: MLP | CNN, action_width: int, context_size: int) -> None:
        super().__init__()
        self.action_width = action_width
        setattr(self, self.network_name, network)
        _scale_down(network)
        self.context_size = context_size
        if context_size:
            self.context = nn.Parameter(torch.zeros(context_size), requires_grad=False)

    @abstractmethod
    def distribution(self, params: Params, observations: Tensor) -> ActionDistribution:
        """Action distributions of ``[M, B, D]`` observations."""

    @abstractmethod
    def noise(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """What :meth:`act` needs for that many actions, ``[*shape, A]``."""

    @abstractmethod
    def act(self, params: Params, observations: Tensor, noise: Tensor) -> Tensor:
        """Sampled actions ``[M, B, ...]``; zero noise gives the most likely action."""

    def metrics(self) -> Metrics:
        """What a learner reports of the policy itself."""
        return {}

    def head_names(self) -> list[str]:
        """Parameters behind the last hidden layer, the only ones that adapt in ANIL."""
        names = [name for name, _ in self.named_parameters() if name.startswith(self.network_name)]
        return names[-2:]  # weight and bias of the last layer

    def _outputs(self, params: Params, observations: Tensor) -> Tensor:
        """Of the network, ``[M, B, out]``."""
        prefix = f"{self.network_name}."
        own = {k.removeprefix(prefix): v for k, v in params.items() if k.startswith(prefix)}
        if self.context_size:
            context = params["context"][:, None].expand(-1, observations.shape[1], -1)
            observations = torch.cat([observations, context], -1)
        network: MLP | CNN = getattr(self, self.network_name)
        return network.forward_tasks(own, observations)


class GaussianPolicy(Policy):
    """Network for the mean and a state-independent log standard deviation with a floor.

    Args:
        observation_size: D; or height, width and channels of images, which go through
            convolutions first.
        action_size: A.
        hidden_sizes: widths of the hidden layers.
        activation: ``tanh`` or ``relu``.
        initial_log_std: starting log σ of every action dimension.
        min_log_std: floor of log σ. Below it the parameter has no gradient of its own, so a large
            inner step cannot make the density degenerate.
        context_size: C, see :class:`Policy`.
        generator: source of the initial weights.

    >>> policy = GaussianPolicy(4, 2)
    >>> sorted(dict(policy.named_parameters()))[:2]
    ['log_std', 'mean.layers.0.bias']
    """

    network_name = "mean"
    mean: MLP | CNN

    def __init__(
        self,
        observation_size: int | ImageShape,
        action_size: int,
        *,
        hidden_sizes: Sequence[int] = (64, 64),
        activation: Activation = "tanh",
        initial_log_std: float = 0.0,
        min_log_std: float = -6.0,
        context_size: int = 0,
        generator: torch.Generator | None = None,
    ) -> None:
        if initial_log_std < min_log_std:
            raise ValueError(f"initial_log_std {initial_log_std} is below its floor {min_log_std}")
        sizes = [*hidden_sizes, action_size]
        network = _network(observation_size, context_size, sizes, activation, generator)
        super().__init__(network, action_size, context_size)
        self.log_std = nn.Parameter(torch.full((action_size,), float(initial_log_std)))
        self.min_log_std = min_log_std

    def distribution(self, params: Params, observations: Tensor) -> Gaussian:
        """Action distributions of ``[M, B, D]`` observations.

        The mean is ``[M, B, A]`` and the log σ ``[M, 1, A]``.
        """
        mean = self._outputs(params, observations)
        return Gaussian(mean, params["log_std"].clamp(min=self.min_log_std)[:, None, :])

    def noise(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Standard normal numbers, ``[*shape, A]``."""
        return torch.randn(
            *shape, self.log_std.shape[0], generator=generator, device=generator.device
        )

    def act(self, params: Params, observations: Tensor, noise: Tensor) -> Tensor:
        """Sampled actions ``[M, B, A]``; zero noise gives the mean action."""
        distribution = self.distribution(params, observations)
        return distribution.mean + torch.exp(distribution.log_std) * noise

    def metrics(self) -> Metrics:
        """Mean standard deviation of the actions."""
        return {"meta/std": float(self.log_std.detach().exp().mean())}

    def head_names(self) -> list[str]:
        """The last layer and log σ."""
        return ["log_std", *super().head_names()]


class CategoricalPolicy(Policy):
    """Network for the logits of A actions.

    Args:
        observation_size: D; or height, width and channels of images, which go through
            convolutions first.
        num_actions: A.
        hidden_sizes: widths of the hidden layers.
        activation: ``tanh`` or ``relu``.
        context_size: C, see :class:`Policy`.
        generator: source of the initial weights.

    >>> policy = CategoricalPolicy(10, 5)
    >>> policy.head_names()
    ['logits.layers.2.weight', 'logits.layers.2.bias']
    """

    network_name = "logits"
    logits: MLP | CNN

    def __init__(
        self,
        observation_size: int | ImageShape,
        num_actions: int,
        *,
        hidden_sizes: Sequence[int] = (64, 64),
        activation: Activation = "tanh",
        context_size: int = 0,
        generator: torch.Generator | None = None,
    ) -> None:
        sizes = [*hidden_sizes, num_actions]
        network = _network(observation_size, context_size, sizes, activation, generator)
        super().__init__(network, 1, context_size)
        self.num_actions = num_actions

    def distribution(self, params: Params, observations: Tensor) -> Categorical:
        """Action distributions of ``[M, B, D]`` observations, logits ``[M, B, A]``."""
        return Categorical(self._outputs(params, observations))

    def noise(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Standard Gumbel numbers, ``[*shape, A]``: the highest logit plus noise is a sample."""
        waiting = torch.empty(*shape, self.num_actions, device=generator.device)
        return -waiting.exponential_(generator=generator).log()

    def act(self, params: Params, observations: Tensor, noise: Tensor) -> Tensor:
        """Indices of sampled actions as floats ``[M, B, 1]``; zero noise gives the likeliest."""
        logits = self.distribution(params, observations).logits
        return (logits + noise).argmax(-1, keepdim=True).to(logits.dtype)


def _network(
    observation_size: int | ImageShape,
    context_size: int,
    sizes: list[int],
    activation: Activation,
    generator: torch.Generator | None,
) -> MLP | CNN:
    if isinstance(observation_size, int):
        return MLP([observation_size + context_size, *sizes], activation, generator)
    return CNN(observation_size, context_size, sizes, activation, generator)


@torch.no_grad()
def _scale_down(network: MLP | CNN) -> None:
    """Make the outputs of an untrained network small."""
    weights = [p for name, p in network.named_parameters() if name.endswith("weight")]
    weights[-1].mul_(OUTPUT_SCALE)

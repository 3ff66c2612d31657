"""The shape of a policy, as files hold it."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from metarl.nn import (
    CNN,
    MLP,
    BernoulliPolicy,
    CategoricalPolicy,
    GaussianPolicy,
    MultiCategoricalPolicy,
    ObservationNormaliser,
    policy_network,
)
from metarl.nn.cnn import HIGHEST

StoredPolicy = GaussianPolicy | CategoricalPolicy | MultiCategoricalPolicy | BernoulliPolicy
"""Policies that files can hold."""


class PolicySpec(NamedTuple):
    """What is needed to build the policy again."""

    observation_size: int | tuple[int, int, int]
    """D, or height, width and channels of images."""
    action_size: int
    """Of continuous actions, or the number of discrete ones, of all choices and switches."""
    hidden_sizes: tuple[int, ...]
    activation: Any
    min_log_std: float
    """Of continuous actions."""
    categorical: bool = False
    """Whether actions are discrete."""
    context_size: int = 0
    own_network: str = ""
    """The class of a network of the user's own, which no file can hold; then there are no
    ``hidden_sizes`` and no ``activation``. Empty for that of :func:`metarl.nn.policy_network`."""
    max_log_std: float | None = None
    """Of continuous actions."""
    choices: tuple[int, ...] = ()
    """How many each is of, of several discrete actions at once."""
    switches: bool = False
    """Whether actions are switches."""
    highest: float = HIGHEST
    """Of a pixel, where observations are images."""
    normalised: bool = False
    """Whether observations are normalised by running statistics."""

    @classmethod
    def of(
        cls,
        policy: StoredPolicy,
        observation_size: int | tuple[int, int, int],
    ) -> "PolicySpec":
        """What describes a policy that exists."""
        own = own_class(policy.network)
        mlp = policy.network.mlp if isinstance(policy.network, CNN) else policy.network
        sizes: tuple[int, ...] = ()
        activation = ""
        if isinstance(mlp, MLP) and not own:
            sizes, activation = mlp.sizes[1:-1], mlp.activation
        return cls(
            observation_size,
            policy.num_outputs,
            hidden_sizes=sizes,
            activation=activation,
            min_log_std=policy.min_log_std if isinstance(policy, GaussianPolicy) else 0.0,
            categorical=isinstance(policy, CategoricalPolicy),
            context_size=policy.context_size,
            own_network=own,
            max_log_std=policy.max_log_std if isinstance(policy, GaussianPolicy) else None,
            choices=policy.sizes if isinstance(policy, MultiCategoricalPolicy) else (),
            switches=isinstance(policy, BernoulliPolicy),
            normalised=policy.normaliser is not None,
            highest=policy.network.highest if isinstance(policy.network, CNN) else HIGHEST,
        )

    @property
    def numbers(self) -> tuple[int, ...]:
        """How many each of the actions is of; empty where they are continuous."""
        if self.switches:
            return (2,) * self.action_size
        return (self.action_size,) if self.categorical else self.choices

    def build(
        self,
        network: nn.Module | None = None,
        *,
        initial_log_std: float | None = None,
        generator: torch.Generator | None = None,
    ) -> StoredPolicy:
        """A policy of this shape.

        Args:
            network: of the user's own, where ``own_network`` names one.
            initial_log_std: starting log σ, of continuous actions; anything where weights are
                loaded afterwards.
            generator: source of the initial weights.

        Raises:
            ValueError: if there is no network and one is needed, or the other way round.
        """
        if (network is None) == bool(self.own_network):
            raise ValueError(
                f"the policy's network is one of your own, {self.own_network}: give one as network="
                if self.own_network
                else "the policy's network is a standard one: leave network= away"
            )
        if network is None:
            network = policy_network(
                self.observation_size,
                self.action_size,
                hidden_sizes=self.hidden_sizes,
                activation=self.activation,
                context_size=self.context_size,
                generator=torch.Generator() if generator is None else generator,
                highest=self.highest,
            )
        policy = self._around(network, initial_log_std)
        if self.normalised:
            policy.normaliser = ObservationNormaliser(int(np.prod(self.observation_size)))
        return policy

    def _around(self, network: nn.Module, initial_log_std: float | None) -> StoredPolicy:
        if self.categorical:
            return CategoricalPolicy(network, self.action_size, context_size=self.context_size)
        if self.choices:
            return MultiCategoricalPolicy(network, self.choices, context_size=self.context_size)
        if self.switches:
            return BernoulliPolicy(network, self.action_size, context_size=self.context_size)
        if initial_log_std is None:
            initial_log_std = float(np.clip(0.0, self.min_log_std, self.max_log_std))
        return GaussianPolicy(
            network,
            self.action_size,
            initial_log_std=initial_log_std,
            min_log_std=self.min_log_std,
            max_log_std=self.max_log_std,
            context_size=self.context_size,
        )


def own_class(network: nn.Module) -> str:
    """The class of a network that :func:`policy_network` does not make, else nothing."""
    kind = type(network)
    return "" if kind in (MLP, CNN) else f"{kind.__module__}.{kind.__qualname__}"

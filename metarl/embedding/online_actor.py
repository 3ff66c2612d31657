"""A policy that does not adapt any more as one of one step at a time."""

import copy

import torch
from torch import Tensor, nn

from metarl.embedding.cells import Dense, Feedforward, Normaliser, dense_of
from metarl.embedding.heads import ChoicesHead, GaussianHead, Head, SwitchesHead
from metarl.embedding.memories import HeldContext
from metarl.embedding.online_policy import OnlinePolicy
from metarl.nn import MLP, GaussianPolicy
from metarl.nn.observation_normaliser import CLIP
from metarl.rl import Actor
from metarl.rl.actions import ActionScaling


class BesideContext(nn.Module):
    """A network whose second input stays as it is.

    Args:
        network: of observations ``[B, D + C]``.
        context: ``[C]``.
    """

    def __init__(self, network: nn.Module, context: Tensor) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval()
        self.register_buffer("context", context)

    def forward(self, observations: Tensor) -> Tensor:
        """Of ``[B, D]``."""
        batch = observations.shape[0]  # len would fix it in an exported graph
        context = self.get_buffer("context").expand(batch, -1)
        outputs: Tensor = self.network(torch.cat([observations, context], -1))
        return outputs


def online_actor(actor: Actor) -> OnlinePolicy:
    """The policy of an actor with copies of its weights; what it adapted to, it holds."""
    policy, size = actor.policy, actor.spec.observation_size
    context = policy.context.detach().clone() if policy.context_size else torch.zeros(0)
    normaliser = None
    if policy.normaliser is not None:
        mean, std = policy.normaliser.mean.clone(), policy.normaliser.std()
        normaliser = Normaliser(mean, std, torch.tensor(CLIP, dtype=torch.float64))
    return OnlinePolicy(
        observation_shape=(size,) if isinstance(size, int) else size,
        memory=HeldContext(torch.zeros(0)),
        network=Feedforward(_layers(policy.network, context)),
        head=_head(actor),
        normaliser=normaliser,
    )


def _layers(network: nn.Module, context: Tensor) -> Dense | nn.Module:
    """Linear layers with the context in the first one's bias, or the module."""
    if not isinstance(network, MLP):
        return BesideContext(network, context)
    layers = dense_of(network)
    first, bias = layers.weights[0], layers.biases[0]
    size = len(first) - len(context)
    return Dense(
        (first[:size], *layers.weights[1:]),
        (bias + context @ first[size:], *layers.biases[1:]),
        layers.activation,
    )


def _head(actor: Actor) -> Head:
    policy = actor.policy
    if isinstance(policy, GaussianPolicy):
        assert isinstance(actor.to_env, ActionScaling)
        return GaussianHead.of(policy.acting_log_std(policy.log_std), actor.to_env)
    if actor.spec.switches:
        return SwitchesHead(policy.num_outputs, actor.to_env)
    return ChoicesHead.of(actor.spec.numbers, actor.to_env)

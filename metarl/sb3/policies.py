"""Policies of ours as stable-baselines3's."""

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

from metarl.files import check_finite
from metarl.nn import MLP, GaussianPolicy, Policy
from metarl.rl.actions import ActionScaling
from metarl.rl.actor import Actor

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}


def to_sb3(actor: Actor, env: VecEnv | gym.Env[Any, Any], **options: Any) -> PPO:
    """A PPO model that acts as the actor does and can go on training.

    The map from policy actions to the environment's goes into the last layer and log σ, so that the
    model's own actions are the environment's. Its value network starts untrained.

    Args:
        actor: with an MLP policy that has no context.
        env: of the actor's observations and actions, to be trained on.
        options: of :class:`stable_baselines3.PPO`.

    Raises:
        ValueError: if the policy's network is no MLP, has a context or is not finite, or
            stable-baselines3 does not know such actions.
    """
    policy, spec = actor.policy, actor.spec
    check_finite(policy.state_dict(), "policy")
    if spec.context_size or spec.own_network or not isinstance(spec.observation_size, int):
        raise ValueError(
            "only MLP policies without a context can be exported, this one has a "
            f"{type(policy.network).__name__} and a context of {spec.context_size}"
        )
    starts = () if isinstance(actor.to_env, ActionScaling) else actor.to_env[0]
    if np.any(starts):
        raise ValueError(
            f"stable-baselines3 counts actions from 0, the environment from {starts}: "
            "gymnasium.wrappers.TransformAction can add that"
        )
    hidden = list(spec.hidden_sizes)
    model = PPO(
        "MlpPolicy",
        env,
        policy_kwargs={
            "net_arch": {"pi": hidden, "vf": hidden},
            "activation_fn": ACTIVATIONS[spec.activation],
        },
        device="cpu",
        **options,
    )
    factor, shift = affine(actor) if isinstance(policy, GaussianPolicy) else (None, None)
    _copy(policy, model.policy, factor, shift)
    return model


def copy_actor(actor: Actor, theirs: Any, actions: spaces.Space[Any]) -> None:
    """Give an ``MlpPolicy`` of PPO the actor's weights.

    Args:
        actor: the start.
        theirs: over the same environment, with actions of ±scale or discrete ones.
        actions: those of ``theirs``.

    Raises:
        ValueError: if the policies have different shapes, or the actor's network is no MLP.
    """
    shapes = [tuple(m.weight.T.shape) for m in _their_layers(theirs)]
    own = [tuple(weight.shape) for weight, _ in layers_of(actor.policy)]
    if own != shapes:
        raise ValueError(f"the start has layers {own}, the policy {shapes}")
    if not all(
        isinstance(m, nn.Linear | ACTIVATIONS[actor.spec.activation])
        for m in theirs.mlp_extractor.policy_net
    ):
        raise ValueError(f"the start has activations {actor.spec.activation}, the policy others")
    if isinstance(actor.to_env, ActionScaling) and isinstance(actions, spaces.Box):
        scale = min(actor.to_env.scale, float(actions.high.max()))  # infinite without bounds
        factor = torch.as_tensor(actions.high / scale).float()
        _copy(actor.policy, theirs, factor, torch.zeros_like(factor))
    else:
        _copy(actor.policy, theirs, None, None)


def _their_layers(theirs: Any) -> list[nn.Linear]:
    """From observation to action."""
    hidden = [m for m in theirs.mlp_extractor.policy_net if isinstance(m, nn.Linear)]
    return [*hidden, theirs.action_net]


@torch.no_grad()
def _copy(policy: Policy, theirs: Any, factor: Tensor | None, shift: Tensor | None) -> None:
    """Our weights to theirs; their actions are ours times ``factor`` plus ``shift``."""
    for layer, (weight, bias) in zip(_their_layers(theirs), layers_of(policy), strict=True):
        layer.weight.copy_(weight.T)
        layer.bias.copy_(bias)
    if isinstance(policy, GaussianPolicy) and factor is not None and shift is not None:
        theirs.action_net.weight.mul_(factor[:, None])
        theirs.action_net.bias.mul_(factor).add_(shift)
        theirs.log_std.copy_(policy.acting_log_std(policy.log_std) + factor.log())


def layers_of(policy: Policy) -> list[tuple[Tensor, Tensor]]:
    """Weight ``[in, out]`` and bias of every layer.

    The policy's own tensors, but for the first where observations are normalised: that has the
    statistics in it, and what lies beyond ten standard deviations is not cut any more.
    """
    network = policy.network
    if not isinstance(network, MLP):
        raise ValueError(
            f"only MLP policies can be exported, this one has a {type(network).__name__}"
        )
    own = dict(network.named_parameters())
    layers: list[tuple[Tensor, Tensor]] = [
        (own[f"layers.{i}.weight"], own[f"layers.{i}.bias"]) for i in range(len(own) // 2)
    ]
    if policy.normaliser is not None:
        weight, bias = (value.double() for value in layers[0])
        weight = weight / policy.normaliser.std()[:, None]
        bias = bias - policy.normaliser.mean @ weight
        layers[0] = weight.float(), bias.float()
    return layers


def affine(actor: Actor) -> tuple[Tensor, Tensor]:
    """What environment actions are of policy actions before clipping: factor and shift, ``[A]``."""
    assert isinstance(actor.to_env, ActionScaling)
    if actor.to_env.scale == np.inf:
        raise ValueError(
            "stable-baselines3 takes no actions without bounds: "
            "gymnasium.wrappers.RescaleAction around an environment with bounds"
        )
    low, high = (np.asarray(bound, np.float64) for bound in (actor.to_env.low, actor.to_env.high))
    factor = (high - low) / (2 * actor.to_env.scale)
    shift = (high + low) / 2
    return torch.as_tensor(factor).float(), torch.as_tensor(shift).float()

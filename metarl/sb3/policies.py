"""Policies of ours as stable-baselines3's, and theirs as ours."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import is_zipfile

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

from metarl.nn import MLP, GaussianPolicy, Policy
from metarl.rl.actions import ActionMap, ActionScaling, action_map
from metarl.rl.actor import Actor, PolicySpec

NORMALISE_EPSILON, NORMALISE_CLIP = 1e-8, 10.0  # VecNormalize's own
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
        ValueError: if the policy's network is no MLP, or has a context.
    """
    policy, spec = actor.policy, actor.spec
    if spec.context_size or spec.own_network or not isinstance(spec.observation_size, int):
        raise ValueError(
            "only MLP policies without a context can be exported, this one has a "
            f"{type(policy.network).__name__} and a context of {spec.context_size}"
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
    factor, shift = _affine(actor) if isinstance(policy, GaussianPolicy) else (None, None)
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
    own = [tuple(weight.shape) for weight, _ in _layers(actor.policy)]
    if own != shapes:
        raise ValueError(f"the start has layers {own}, the policy {shapes}")
    if not all(
        isinstance(m, nn.Linear | ACTIVATIONS[actor.spec.activation])
        for m in theirs.mlp_extractor.policy_net
    ):
        raise ValueError(f"the start has activations {actor.spec.activation}, the policy others")
    if isinstance(actor.to_env, ActionScaling) and isinstance(actions, spaces.Box):
        factor = torch.as_tensor(actions.high / actor.to_env.scale).float()
        _copy(actor.policy, theirs, factor, torch.zeros_like(factor))
    else:
        _copy(actor.policy, theirs, None, None)


def load_sb3(path: Path, *, action_scale: float = 1.0) -> Actor:
    """The policy of a PPO model's ``.zip`` file, see :func:`from_sb3`.

    Raises:
        ValueError: if it is no such file.
    """
    if not is_zipfile(path):
        raise ValueError(f"{path} is not a model of stable-baselines3")
    try:
        model = PPO.load(path, device="cpu")
    except (KeyError, TypeError, AttributeError, UnpicklingError, RuntimeError) as error:
        raise ValueError(f"{path} is not a PPO model of stable-baselines3") from error
    return from_sb3(model, action_scale=action_scale)


def folded(model: Any, statistics: Any, context: NDArray[np.float32], to_env: ActionMap) -> Actor:
    """A model's policy with its context and its normalisation of observations in the first layer.

    Observations further than ten standard deviations from their mean are not clipped any more.

    Args:
        model: of PPO, over observations with the context behind them and actions of ±scale.
        statistics: mean and variance of both, of ``VecNormalize``; None without.
        context: to hold from now on, ``[C]``; may be empty.
        to_env: from the model's actions to the environment's.

    Raises:
        ValueError: if the policy is of another kind.
    """
    if hasattr(model.policy, "lstm_actor"):
        raise ValueError("a recurrent policy cannot be taken out of its model")
    scale = to_env.scale if isinstance(to_env, ActionScaling) else 1.0
    whole = from_sb3(model, action_scale=scale)
    theirs = _layers(whole.policy)
    size = len(theirs[0][0]) - len(context)
    spec = whole.spec._replace(observation_size=size)
    actor = Actor(spec.build(), spec, to_env)
    mean, std = np.zeros(size + len(context)), np.ones(size + len(context))
    if statistics is not None:
        mean, std = statistics.mean, np.sqrt(statistics.var + NORMALISE_EPSILON)
    shown = np.clip((context - mean[size:]) / std[size:], -NORMALISE_CLIP, NORMALISE_CLIP)
    ours = _layers(actor.policy)
    with torch.no_grad():
        for (weight, bias), (own_weight, own_bias) in zip(theirs[1:], ours[1:], strict=True):
            own_weight.copy_(weight)
            own_bias.copy_(bias)
        weight, bias = (value.double() for value in theirs[0])
        first = weight[:size] / torch.as_tensor(std[:size])[:, None]
        ours[0][0].copy_(first)
        ours[0][1].copy_(
            bias - torch.as_tensor(mean[:size]) @ first + torch.as_tensor(shown) @ weight[size:]
        )
        if isinstance(actor.policy, GaussianPolicy) and isinstance(whole.policy, GaussianPolicy):
            actor.policy.log_std.copy_(whole.policy.log_std)
    return actor


def from_sb3(model: Any, *, action_scale: float = 1.0, min_log_std: float = -6.0) -> Actor:
    """The policy of a PPO or A2C model as ours, as a start of meta-training.

    Args:
        model: with an ``MlpPolicy`` whose observations are a vector.
        action_scale: policy actions of ±``action_scale`` are to span the action bounds.
        min_log_std: floor of log σ.

    Raises:
        ValueError: if the policy is of another kind.
    """
    theirs: Any = model.policy
    space = model.action_space
    extractor = getattr(theirs, "mlp_extractor", None)
    if extractor is None or not isinstance(space, spaces.Box | spaces.Discrete):
        raise ValueError(f"need an MlpPolicy of PPO or A2C, got {type(theirs).__name__}")
    linear = [m for m in extractor.policy_net if isinstance(m, nn.Linear)]
    functions = {type(m) for m in extractor.policy_net if not isinstance(m, nn.Linear)}
    activations = [name for name, kind in ACTIVATIONS.items() if functions <= {kind}]
    if not activations:
        raise ValueError(f"activations must be all tanh or all relu, got {functions}")
    spec = PolicySpec(
        linear[0].in_features if linear else theirs.action_net.in_features,
        theirs.action_net.out_features,
        tuple(m.out_features for m in linear),
        activations[0],
        min_log_std,
        categorical=isinstance(space, spaces.Discrete),
    )
    policy = spec.build()
    actor = Actor(policy, spec, action_map(space, action_scale))
    with torch.no_grad():
        for layer, (weight, bias) in zip(_their_layers(theirs), _layers(policy), strict=True):
            weight.copy_(layer.weight.T)
            bias.copy_(layer.bias)
        if isinstance(policy, GaussianPolicy):
            factor, shift = _affine(actor)
            weight, bias = _layers(policy)[-1]
            weight.div_(factor)
            bias.sub_(shift).div_(factor)
            policy.log_std.copy_(theirs.log_std - factor.log())
    return actor


def _their_layers(theirs: Any) -> list[nn.Linear]:
    """From observation to action."""
    hidden = [m for m in theirs.mlp_extractor.policy_net if isinstance(m, nn.Linear)]
    return [*hidden, theirs.action_net]


@torch.no_grad()
def _copy(policy: Policy, theirs: Any, factor: Tensor | None, shift: Tensor | None) -> None:
    """Our weights to theirs; their actions are ours times ``factor`` plus ``shift``."""
    for layer, (weight, bias) in zip(_their_layers(theirs), _layers(policy), strict=True):
        layer.weight.copy_(weight.T)
        layer.bias.copy_(bias)
    if isinstance(policy, GaussianPolicy) and factor is not None and shift is not None:
        theirs.action_net.weight.mul_(factor[:, None])
        theirs.action_net.bias.mul_(factor).add_(shift)
        theirs.log_std.copy_(policy.log_std.clamp(min=policy.min_log_std) + factor.log())


def _layers(policy: Policy) -> list[tuple[Tensor, Tensor]]:
    """Weight ``[in, out]`` and bias of every layer."""
    network = policy.network
    if not isinstance(network, MLP):
        raise ValueError(
            f"only MLP policies can be exported, this one has a {type(network).__name__}"
        )
    own = dict(network.named_parameters())
    return [(own[f"layers.{i}.weight"], own[f"layers.{i}.bias"]) for i in range(len(own) // 2)]


def _affine(actor: Actor) -> tuple[Tensor, Tensor]:
    """What environment actions are of policy actions before clipping: factor and shift, ``[A]``."""
    assert isinstance(actor.to_env, ActionScaling)
    low, high = (np.asarray(bound, np.float64) for bound in (actor.to_env.low, actor.to_env.high))
    factor = (high - low) / (2 * actor.to_env.scale)
    shift = (high + low) / 2
    return torch.as_tensor(factor).float(), torch.as_tensor(shift).float()

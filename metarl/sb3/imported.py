"""Policies of stable-baselines3 as ours, from its models and from their files."""

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.running_mean_std import RunningMeanStd
from torch import nn

from metarl.files import (
    FileError,
    check_archive,
    check_finite,
    one_error,
    opened_archive,
    plain_content,
)
from metarl.nn import GaussianPolicy
from metarl.rl.actions import ActionMap, ActionScaling, action_map
from metarl.rl.actor import Actor
from metarl.rl.policy_spec import PolicySpec
from metarl.sb3.images import PixelsBesideContext
from metarl.sb3.policies import ACTIVATIONS, affine, layers_of
from metarl.types import Params

NORMALISE_EPSILON, NORMALISE_CLIP = 1e-8, 10.0  # VecNormalize's own
MIN_LOG_STD = -6.0
PARTS = ("mlp_extractor.policy_net.", "mlp_extractor.value_net.", "action_net.", "value_net.")
HIDDEN = re.compile(r"mlp_extractor\.policy_net\.\d+\.weight")


def load_sb3(path: Path, *, action_scale: float = 1.0) -> Actor:
    """The policy of a PPO or A2C model's ``.zip`` file, see :func:`from_sb3`.

    Of the file its weights and its JSON are read. What is pickled in it is code and never run; a
    model that needs code of your own is loaded by stable-baselines3 and given to :func:`from_sb3`.

    Raises:
        FileError: if it is no such file, or statistics of ``VecNormalize`` lie beside it.
    """
    for other in sorted(path.parent.glob("*.pkl")):
        if "vecnormalize" in other.name.replace("_", "").lower():
            raise FileError(
                f"{path}: {other.name} beside it says that its observations were normalised, and a "
                "pickle is not read; load both with stable-baselines3 and save "
                "metarl.sb3.from_sb3(model) as a policy.pt (or move it, if it is not this model's)"
            )
    with one_error(FileError, f"{path} is not a PPO model of stable-baselines3"):
        with opened_archive(path) as archive:
            check_archive(archive)
            data = json.loads(archive.read("data"))
            weights = plain_content(io.BytesIO(archive.read("policy.pth")))
        if data["policy_class"]["__module__"] != ActorCriticPolicy.__module__:
            raise ValueError("its policy is of a class that stable-baselines3 does not have")
        _check_features(weights, _space(data["observation_space"]))
        named = data["policy_kwargs"].get("activation_fn", str(nn.Tanh))
        actions = _space(data["action_space"])
        return _actor(weights, actions, {named}, action_scale, MIN_LOG_STD)


def folded(
    model: Any,
    statistics: Any,
    context: NDArray[np.float32],
    to_env: ActionMap,
    min_log_std: float = MIN_LOG_STD,
    *,
    given: spaces.Space[Any] | None = None,
) -> Actor:
    """A model's policy with its context and its normalisation of observations in the first layer.

    Observations further than ten standard deviations from their mean are not clipped any more.

    Args:
        model: of PPO, over observations with the context behind them and actions of ±scale.
        statistics: mean and variance of both, of ``VecNormalize``; None without.
        context: to hold from now on, ``[C]``; may be empty.
        to_env: from the model's actions to the environment's.
        min_log_std: floor of log σ; lower where the model's own is.
        given: see :class:`~metarl.rl.Actor`.

    Raises:
        ValueError: if the policy is of another kind.
    """
    if hasattr(model.policy, "lstm_actor"):
        raise ValueError("a recurrent policy cannot be taken out of its model")
    if isinstance(model.policy.features_extractor, PixelsBesideContext):
        raise ValueError("a policy of images cannot be taken out of its model")
    scale = to_env.scale if isinstance(to_env, ActionScaling) else 1.0
    if not np.isfinite(scale):  # without bounds the model's own stand for them
        scale = float(model.action_space.high.max())
    whole = _of_model(model, scale, min_log_std)
    theirs = layers_of(whole.policy)
    size = len(theirs[0][0]) - len(context)
    spec = whole.spec._replace(observation_size=size)
    actor = Actor(spec.build(), spec, to_env, given=given)
    mean, std = np.zeros(size + len(context)), np.ones(size + len(context))
    if statistics is not None:
        mean, std = statistics.mean, np.sqrt(statistics.var + NORMALISE_EPSILON)
    shown = np.clip((context - mean[size:]) / std[size:], -NORMALISE_CLIP, NORMALISE_CLIP)
    ours = layers_of(actor.policy)
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


def from_sb3(model: Any, *, action_scale: float = 1.0, min_log_std: float = MIN_LOG_STD) -> Actor:
    """The policy of a PPO or A2C model as ours, as a start of meta-training.

    Args:
        model: with an ``MlpPolicy`` whose observations are a vector. If its environment is under
            ``VecNormalize``, the statistics of observations go into the first layer.
        action_scale: policy actions of ±``action_scale`` are to span the action bounds.
        min_log_std: floor of log σ; lower where the model's own is.

    Raises:
        ValueError: if the policy is of another kind.
    """
    _check_features(model.policy.state_dict(), model.observation_space)
    env = model.get_vec_normalize_env()
    if env is None or not env.norm_obs:
        return _of_model(model, action_scale, min_log_std)
    shown = RunningMeanStd(shape=env.obs_rms.mean.shape)
    shown.mean, shown.var = env.obs_rms.mean, env.obs_rms.var + env.epsilon - NORMALISE_EPSILON
    to_env, nothing = action_map(model.action_space, action_scale), np.empty(0, np.float32)
    return folded(model, shown, nothing, to_env, min_log_std)


def _of_model(model: Any, action_scale: float, min_log_std: float = MIN_LOG_STD) -> Actor:
    """The part of a policy behind its features."""
    if not hasattr(model.policy, "mlp_extractor"):
        raise ValueError(f"a {type(model.policy).__name__} is no policy of PPO or A2C")
    hidden = model.policy.mlp_extractor.policy_net
    functions = {str(type(m)) for m in hidden if not isinstance(m, nn.Linear)}
    weights = model.policy.state_dict()
    return _actor(weights, model.action_space, functions, action_scale, min_log_std)


def _actor(
    weights: Params,
    space: spaces.Space[Any],
    functions: set[str],
    action_scale: float,
    min_log_std: float,
) -> Actor:
    """The policy with these weights of theirs, whose activations are called that."""
    check_finite(weights, "policy")
    if "log_std" in weights and weights["log_std"].ndim != 1:
        raise ValueError("its noise depends on the state (gSDE, use_sde); ours does not")
    hidden = [name.removesuffix(".weight") for name in weights if HIDDEN.fullmatch(name)]
    layers = [
        (weights[f"{name}.weight"], weights[f"{name}.bias"]) for name in (*hidden, "action_net")
    ]
    activations = [name for name, kind in ACTIVATIONS.items() if functions <= {str(kind)}]
    if not activations:
        raise ValueError(f"activations must be all tanh or all relu, got {', '.join(functions)}")
    widths = [len(weight) for weight, _ in layers]
    spec = PolicySpec(
        layers[0][0].shape[1],
        widths[-1],
        tuple(widths[:-1]),
        activations[0],
        min_log_std,
        categorical=isinstance(space, spaces.Discrete),
        choices=_choices(space),
        switches=isinstance(space, spaces.MultiBinary),
    )
    policy = spec.build()
    actor = Actor(policy, spec, action_map(space, action_scale))
    with torch.no_grad():
        for theirs, (weight, bias) in zip(layers, layers_of(policy), strict=True):
            weight.copy_(theirs[0].T)
            bias.copy_(theirs[1])
        if isinstance(policy, GaussianPolicy):
            factor, shift = affine(actor)
            weight, bias = layers_of(policy)[-1]
            weight.div_(factor)
            bias.sub_(shift).div_(factor)
            policy.log_std.copy_(weights["log_std"] - factor.log())
            policy.min_log_std = min(min_log_std, float(policy.log_std.min()))  # acts as theirs
            actor.spec = spec._replace(min_log_std=policy.min_log_std)
    return actor


def _choices(space: spaces.Space[Any]) -> tuple[int, ...]:
    """How many each is of, where actions are several choices."""
    if not isinstance(space, spaces.MultiDiscrete):
        return ()
    return tuple(map(int, space.nvec.ravel()))


def _check_features(weights: Params, space: spaces.Space[Any]) -> None:
    """Raise a :class:`ValueError` unless what is before the first layer is the observation."""
    if own := [name for name in weights if not name.startswith((*PARTS, "log_std"))]:
        raise ValueError(f"need an MlpPolicy of PPO or A2C, this one has {own[0]}")
    if not isinstance(space, spaces.Box) or len(space.shape) != 1:
        raise ValueError(f"need observations that are a vector, got {space}")


def _space(plain: dict[str, Any]) -> spaces.Space[Any]:
    """A space, of what stands readable beside its pickle."""
    kind = plain[":type:"]
    if kind.endswith(".discrete.Discrete'>"):
        return spaces.Discrete(int(plain["n"]), start=int(plain["start"]))
    if not kind.endswith(".box.Box'>"):
        raise ValueError(f"need a Box or Discrete space, got {kind}")
    printed = (re.sub(r"[\[\]]", " ", plain[bound]).split() for bound in ("low", "high"))
    low, high = (np.array(bound, np.float32).reshape(plain["_shape"]) for bound in printed)
    return spaces.Box(low, high)

"""Models of stable-baselines3, as the configs describe them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.utils import FloatSchedule
from stable_baselines3.common.vec_env import VecEnv

from metarl.rl import Actor
from metarl.rl.task_envs import TaskEnvs
from metarl.sb3.configs import RL2Config, SB3Config
from metarl.sb3.policies import ACTIVATIONS, copy_actor
from metarl.sb3.sequences import process_sequence
from metarl.sb3.trials import UNBOUNDED
from metarl.types import Metrics, Task

BATCH_SIZE = 256  # transitions of an off-policy optimiser step
EXPLORATION = 0.1  # standard deviation of TD3's action noise, in units of its largest action


class CollectionSpec(NamedTuple):
    """What trials are collected from: environments, how many, how long, how they are acted in."""

    make_env: Callable[[int], TaskEnvs]
    """From a number of environments to a vector environment with autoreset ``DISABLED``."""
    num_envs: int
    """N, trials side by side."""
    horizon: int
    """T, the longest trajectory."""
    discount: float
    """γ."""
    action_scale: float
    """Policy actions of ±``action_scale`` span the environment's action bounds."""
    tasks: list[Task] | None = None
    """The only tasks, in training and evaluation; by default those of the distribution."""
    info_keys: tuple[str, ...] = ()
    """Numbers of the environments' info to report, see :mod:`metarl.rl.outcomes`."""


class InitialPolicy(NamedTuple):
    """A policy before training: its shape, which the value function shares, and its start."""

    hidden_sizes: tuple[int, ...]
    activation: str
    initial_log_std: float
    start: Actor | None = None
    """A policy of this shape to start from, of PPO."""


def make_model(
    config: SB3Config,
    policy: InitialPolicy,
    env: VecEnv,
    collection: CollectionSpec,
    *,
    device: torch.device,
    policy_kwargs: dict[str, Any],
) -> Any:
    """An untrained model, its weights drawn from torch's global generator.

    Args:
        config: numbers of the algorithm.
        policy: its shape and start.
        env: to train on.
        collection: what is collected between updates.
        device: of the model.
        policy_kwargs: of the model's policy, beside its shape.

    Raises:
        ValueError: if algorithm, actions and start do not fit together.
    """
    shared: dict[str, Any] = {
        "env": env,
        "learning_rate": config.lr,
        "gamma": collection.discount,
        "policy_kwargs": {
            "net_arch": list(policy.hidden_sizes),
            "activation_fn": ACTIVATIONS[policy.activation],
            **policy_kwargs,
        },
        "device": device,
    }
    steps = config.trial_length * collection.horizon
    if config.optimiser == "ppo":
        shared["policy_kwargs"]["log_std_init"] = policy.initial_log_std
        model = _ppo(config, shared, steps, env.num_envs)
    else:
        model = _off_policy(config, shared, steps, env.action_space)
    if policy.start is not None:
        if config.optimiser != "ppo" or isinstance(config, RL2Config):
            raise ValueError("only PPO without recurrence starts from a policy")
        copy_actor(policy.start, model.policy, env.action_space)
    return model


def logged(model: Any) -> Metrics:
    """The numbers that a model has logged since it was asked last, as ``sb3/…``."""
    values = model.logger.name_to_value
    kinds = int | float | np.integer | np.floating
    numbers = {f"sb3/{key}": float(v) for key, v in values.items() if isinstance(v, kinds)}
    values.clear()
    return numbers


def _ppo(config: SB3Config, shared: dict[str, Any], steps: int, num_envs: int) -> Any:
    numbers = {
        **shared,
        "n_steps": steps,
        "batch_size": max(-(-steps * num_envs // config.num_minibatches), 2),
        "n_epochs": config.num_epochs,
        "gae_lambda": config.gae_lambda,
        "clip_range": config.clip_range,
        "ent_coef": config.entropy_coefficient,
    }
    if isinstance(config, RL2Config):
        numbers["policy_kwargs"]["lstm_hidden_size"] = config.hidden_size
        model: Any = RecurrentPPO("MlpLstmPolicy", **numbers)
        # of the object, not of a class of ours, so that files of the model need no metarl
        model.policy._process_sequence = process_sequence
        return model
    return PPO("MlpPolicy", **numbers)


def _off_policy(
    config: SB3Config, shared: dict[str, Any], steps: int, actions: spaces.Space[Any]
) -> Any:
    if not isinstance(actions, spaces.Box):
        raise ValueError(f"optimiser {config.optimiser} needs continuous actions, got {actions}")
    if actions.high.max() >= UNBOUNDED:
        raise ValueError(
            f"optimiser {config.optimiser} needs bounds of actions: "
            "gymnasium.wrappers.TransformAction gives them some"
        )
    numbers = {
        **shared,
        "buffer_size": config.buffer_size,
        "batch_size": BATCH_SIZE,
        "train_freq": steps,
        "gradient_steps": config.gradient_steps,
        "learning_starts": 0,
    }
    if config.optimiser == "sac":
        return SAC("MlpPolicy", **numbers)
    noise = NormalActionNoise(np.zeros(actions.shape), EXPLORATION * actions.high)
    return TD3("MlpPolicy", action_noise=noise, **numbers)


def schedule(model: Any, config: SB3Config, iteration: int) -> None:
    """Give a model the step size and the weight of the entropy of an iteration."""
    model.lr_schedule = FloatSchedule(config.lr_at(iteration))
    if isinstance(model, PPO | RecurrentPPO):  # SAC tunes its own
        model.ent_coef = config.entropy_at(iteration)

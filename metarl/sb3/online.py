"""Learners' policies as functions of an explicit state, for agents and exports."""

from typing import Any, Protocol

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize
from torch import Tensor, nn

from metarl.embedding import (
    LSTM,
    ChoicesHead,
    Context,
    Feedforward,
    GaussianHead,
    HeldContext,
    LastStep,
    LastTransition,
    Memory,
    NoContext,
    Normaliser,
    OnlinePolicy,
    Prototype,
    PrototypeContext,
    Recurrent,
    dense_of,
)
from metarl.embedding.heads import Head
from metarl.rl import Actor
from metarl.rl.actions import ActionScaling, action_map
from metarl.sb3.imported import NORMALISE_CLIP, NORMALISE_EPSILON
from metarl.sb3.models import CollectionSpec
from metarl.sb3.trials import TrialVecEnv


class Trained(Protocol):
    """What of a learner its policy is made of."""

    config: Any
    model: Any
    env: Any
    """What the model is trained on."""
    collection: CollectionSpec

    def actor(self, context: NDArray[np.float32] | None = None) -> Actor:
        """The policy with a context that stays, or with that of the start of a trial."""
        ...


def online_policy(learner: Trained) -> OnlinePolicy:
    """The policy of a learner with copies of its weights, on the CPU.

    Raises:
        ValueError: it is of another algorithm than PPO, or what it sees is no such function.
    """
    config, policy, env = learner.config, learner.model.policy, learner.env
    if config.optimiser != "ppo":
        raise ValueError(
            f"its policy is of {config.optimiser}; only those of ppo act by themselves"
        )
    trials = env.venv if isinstance(env, VecNormalize) else env
    assert isinstance(trials, TrialVecEnv)
    if len(trials.venv.observation_space.shape or ()) == 3:
        raise ValueError("its observations are images, which agents do not take yet")
    size = spaces.flatdim(trials.venv.observation_space)
    layers = dense_of(nn.Sequential(*policy.mlp_extractor.policy_net, policy.action_net))
    cell = LSTM.of(policy.lstm_actor) if hasattr(policy, "lstm_actor") else None
    return OnlinePolicy(
        observation_shape=(size,),
        memory=_memory(trials.context, size),
        network=Feedforward(layers) if cell is None else Recurrent(cell, layers),
        head=_head(trials, getattr(policy, "log_std", None), learner.collection.action_scale),
        normaliser=_normaliser(env.obs_rms) if config.normalise == "all" else None,
        forgets=cell is not None and config.episodes == "trajectory",
    )


def _memory(context: Context, observation_size: int) -> Memory:
    """The same as a function of a state."""
    if isinstance(context, NoContext):
        return HeldContext(torch.zeros(0))
    if isinstance(context, LastTransition):
        return LastStep(observation_size, torch.zeros(context.size))
    if not isinstance(context, PrototypeContext):
        raise ValueError("joint: its policy sees a sample of transitions, which has no small state")
    if context.shuffle is not None:
        raise ValueError("shuffle: it is shown the prototypes of other tasks, a control")
    return Prototype.of(context.prototypes)


def _head(trials: TrialVecEnv, log_std: Tensor | None, scale: float) -> Head:
    """What the policy's outputs mean."""
    acted, taken = trials.action_space, trials.venv.action_space
    to_env = action_map(taken, scale)
    if isinstance(to_env, ActionScaling):
        assert log_std is not None
        return GaussianHead.of(log_std, to_env)
    sizes = (acted.n,) if isinstance(acted, spaces.Discrete) else acted.nvec  # type: ignore[attr-defined]
    one_hot = not isinstance(taken, spaces.MultiBinary)
    return ChoicesHead.of(tuple(int(size) for size in sizes), to_env, one_hot)


def _normaliser(statistics: RunningMeanStd) -> Normaliser:
    """That of ``VecNormalize``."""
    mean, var = torch.as_tensor(statistics.mean), torch.as_tensor(statistics.var)
    std = (var.double() + NORMALISE_EPSILON).sqrt()
    return Normaliser(mean.double(), std, torch.tensor(NORMALISE_CLIP).double())

"""Small learners over trials, by name."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import gymnasium as gym
import torch
from gymnasium.vector import AutoresetMode

import metarl_envs
from metarl.sb3 import (
    RL2,
    CollectionSpec,
    InitialPolicy,
    ProtoEmbedding,
    ProtoEmbeddingConfig,
    RL2Config,
    SB3Config,
    SB3Learner,
    SB3PPOConfig,
)

HORIZON = 5
SMALL: dict[str, Any] = {"num_epochs": 2, "num_minibatches": 2}
PROTO: dict[str, Any] = {
    **SMALL, "encoder_warmup": 2, "encoder_steps": 2, "num_ways": 6,
    "encoder_hidden_size": 8, "embedding_size": 4,
}  # fmt: skip
OFF: dict[str, Any] = {**PROTO, "gradient_steps": 2, "buffer_size": 1000}

CONFIGS: dict[str, tuple[type[SB3Learner], SB3Config]] = {
    "proto": (ProtoEmbedding, ProtoEmbeddingConfig(**PROTO)),
    "recurrent-proto": (ProtoEmbedding, ProtoEmbeddingConfig(encoder="recurrent", **PROTO)),
    "joint-proto": (
        ProtoEmbedding,
        ProtoEmbeddingConfig(joint=True, normalise="rewards", num_support=3, **PROTO),
    ),
    "proto-sac": (ProtoEmbedding, ProtoEmbeddingConfig(optimiser="sac", **OFF)),
    "proto-td3": (ProtoEmbedding, ProtoEmbeddingConfig(optimiser="td3", **OFF)),
    "rl2": (RL2, RL2Config(hidden_size=8, **SMALL)),
    "ppo": (SB3Learner, SB3PPOConfig(normalise="rewards", **SMALL)),
    "oracle": (SB3Learner, SB3PPOConfig(show_task=True, normalise="none", **SMALL)),
}


def make_learner(
    name: str,
    *,
    seed: int = 0,
    env_id: str = "metarl/PointGoal-v0",
    horizon: int = HORIZON,
    changes: Mapping[str, Any] = MappingProxyType({}),
    **collection: Any,
) -> SB3Learner:
    """One by name, of which the config may be changed."""
    kind, config = CONFIGS[name]
    config = replace(config, **changes)

    def make_env(num_envs: int) -> Any:
        env: Any = gym.make_vec(
            env_id,
            num_envs=num_envs,
            max_episode_steps=horizon,
            autoreset_mode=AutoresetMode.DISABLED,
        )
        return metarl_envs.ShowTaskVector(env) if config.show_task else env

    start = collection.pop("start", None)
    scale = collection.pop("action_scale", 1.0)
    maker = collection.pop("make_env", make_env)
    return kind(
        config,
        CollectionSpec(maker, 8, horizon, 0.95, scale, **collection),
        InitialPolicy((16,), "tanh", 0.0, start),
        seed=seed,
        device=torch.device("cpu"),
    )

"""The bridge to stable-baselines3. The only part that imports it."""

from metarl.sb3.callbacks import AdaptationCallback
from metarl.sb3.configs import (
    PRESETS,
    ProtoEmbeddingConfig,
    RL2Config,
    SB3Config,
    SB3FinetuneConfig,
    SB3PPOConfig,
)
from metarl.sb3.evaluation import AdaptationRun
from metarl.sb3.learner import SB3Learner
from metarl.sb3.models import Collection, Network
from metarl.sb3.policies import from_sb3, load_sb3, to_sb3
from metarl.sb3.proto_embedding import ProtoEmbedding
from metarl.sb3.rl2 import RL2
from metarl.sb3.trials import TrialVecEnv
from metarl.sb3.vec_env import TaskVecEnv

__all__ = [
    "PRESETS",
    "RL2",
    "AdaptationCallback",
    "AdaptationRun",
    "Collection",
    "Network",
    "ProtoEmbedding",
    "ProtoEmbeddingConfig",
    "RL2Config",
    "SB3Config",
    "SB3FinetuneConfig",
    "SB3Learner",
    "SB3PPOConfig",
    "TaskVecEnv",
    "TrialVecEnv",
    "from_sb3",
    "load_sb3",
    "to_sb3",
]

from .callbacks import AdaptationCallback
from .configs import (
    PRESETS,
    ProtoEmbeddingConfig,
    RL2Config,
    SB3Config,
    SB3FinetuneConfig,
    SB3PPOConfig,
)
from .evaluation import AdaptationRun
from .imported import from_sb3, load_sb3
from .learner import SB3Learner
from .models import CollectionSpec, InitialPolicy
from .online import online_policy
from .policies import to_sb3
from .proto_embedding import ProtoEmbedding
from .rl2 import RL2
from .trials import TrialVecEnv
from .vec_env import TaskVecEnv

__all__ = [
    "PRESETS",
    "RL2",
    "AdaptationCallback",
    "AdaptationRun",
    "CollectionSpec",
    "InitialPolicy",
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
    "online_policy",
    "to_sb3",
]

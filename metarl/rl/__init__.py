"""Meta-reinforcement learning: collection, advantages, losses and learners."""

from metarl.rl.actor import Actor, load_policy
from metarl.rl.experience import Experience, collect_experience
from metarl.rl.learner import MAMLLearner
from metarl.rl.maml_configs import (
    ANILConfig,
    CAVIAConfig,
    EMAMLConfig,
    FOMAMLConfig,
    MAMLConfig,
    MAMLTRPOConfig,
    MetaSGDConfig,
    OracleConfig,
    PretrainedConfig,
)
from metarl.rl.maml_ppo import MAMLPPO, MAMLPPOConfig, ProMPConfig
from metarl.rl.maml_trpo import MAMLTRPO
from metarl.rl.maml_vpg import MAMLVPG, MAMLVPGConfig
from metarl.rl.random_init import RandomInit, RandomInitConfig
from metarl.rl.reptile import Reptile, ReptileConfig
from metarl.rl.rollout import AdvantageBatch, Rollout
from metarl.rl.sampler import Sampler

__all__ = [
    "MAMLPPO",
    "MAMLTRPO",
    "MAMLVPG",
    "ANILConfig",
    "Actor",
    "AdvantageBatch",
    "CAVIAConfig",
    "EMAMLConfig",
    "Experience",
    "FOMAMLConfig",
    "MAMLConfig",
    "MAMLLearner",
    "MAMLPPOConfig",
    "MAMLTRPOConfig",
    "MAMLVPGConfig",
    "MetaSGDConfig",
    "OracleConfig",
    "PretrainedConfig",
    "ProMPConfig",
    "RandomInit",
    "RandomInitConfig",
    "Reptile",
    "ReptileConfig",
    "Rollout",
    "Sampler",
    "collect_experience",
    "load_policy",
]

"""Meta-reinforcement learning: collection, advantages, losses and learners."""

from metarl.rl.actor import Actor, load_policy
from metarl.rl.experience import Experience, collect_experience
from metarl.rl.learner import MAMLConfig, MAMLLearner
from metarl.rl.maml_ppo import MAMLPPO, MAMLPPOConfig, ProMPConfig
from metarl.rl.maml_trpo import MAMLTRPO, EMAMLConfig, FOMAMLConfig, MAMLTRPOConfig
from metarl.rl.maml_vpg import MAMLVPG, MAMLVPGConfig
from metarl.rl.rollout import AdvantageBatch, Rollout
from metarl.rl.sampler import Sampler

__all__ = [
    "MAMLPPO",
    "MAMLTRPO",
    "MAMLVPG",
    "Actor",
    "AdvantageBatch",
    "EMAMLConfig",
    "Experience",
    "FOMAMLConfig",
    "MAMLConfig",
    "MAMLLearner",
    "MAMLPPOConfig",
    "MAMLTRPOConfig",
    "MAMLVPGConfig",
    "ProMPConfig",
    "Rollout",
    "Sampler",
    "collect_experience",
    "load_policy",
]

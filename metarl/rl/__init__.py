"""Meta-reinforcement learning: collection, advantages, losses and learners."""

from metarl.rl.actor import Actor, PolicySpec, load_policy
from metarl.rl.build import gradient_learner
from metarl.rl.configs import (
    PRESETS,
    ControlConfig,
    MAMLConfig,
    MAMLPPOConfig,
    MAMLTRPOConfig,
    MAMLVPGConfig,
    RandomInitConfig,
    ReptileConfig,
)
from metarl.rl.experience import Experience, collect_experience
from metarl.rl.learner import MAMLLearner
from metarl.rl.maml_ppo import MAMLPPO
from metarl.rl.maml_trpo import MAMLTRPO
from metarl.rl.maml_vpg import MAMLVPG
from metarl.rl.random_init import RandomInit
from metarl.rl.reptile import Reptile
from metarl.rl.rollout import AdvantageBatch, Rollout
from metarl.rl.sampler import Sampler
from metarl.rl.simulation import SimulatedTasks
from metarl.rl.task_envs import DeferredEnvs, TaskEnvs

__all__ = [
    "MAMLPPO",
    "MAMLTRPO",
    "MAMLVPG",
    "PRESETS",
    "Actor",
    "AdvantageBatch",
    "ControlConfig",
    "DeferredEnvs",
    "Experience",
    "MAMLConfig",
    "MAMLLearner",
    "MAMLPPOConfig",
    "MAMLTRPOConfig",
    "MAMLVPGConfig",
    "PolicySpec",
    "RandomInit",
    "RandomInitConfig",
    "Reptile",
    "ReptileConfig",
    "Rollout",
    "Sampler",
    "SimulatedTasks",
    "TaskEnvs",
    "collect_experience",
    "gradient_learner",
    "load_policy",
]

"""Meta-reinforcement learning: collection, advantages, losses and learners."""

from metarl.rl.actor import Actor, PolicySpec, load_policy
from metarl.rl.configs import (
    PRESETS,
    ComposedConfig,
    ControlConfig,
    MAMLConfig,
    MAMLPPOConfig,
    MAMLTRPOConfig,
    MAMLVPGConfig,
    RandomInitConfig,
    ReptileConfig,
)
from metarl.rl.experience import Experience
from metarl.rl.learner import MAMLLearner, make_maml, maml_parts
from metarl.rl.meta_problem import MetaGradient, MetaProblem, Objective, OuterStep
from metarl.rl.objectives import ClippedSurrogate, ReptileDirection, Surrogate
from metarl.rl.outer_steps import Adam, ClippedEpochs, NoStep
from metarl.rl.rollout import AdvantageBatch, Rollout
from metarl.rl.sampler import Sampler
from metarl.rl.simulation import SimulatedTasks
from metarl.rl.task_envs import DeferredEnvs, TaskEnvs
from metarl.rl.trust_region import TrustRegion

__all__ = [
    "PRESETS",
    "Actor",
    "Adam",
    "AdvantageBatch",
    "ClippedEpochs",
    "ClippedSurrogate",
    "ComposedConfig",
    "ControlConfig",
    "DeferredEnvs",
    "Experience",
    "MAMLConfig",
    "MAMLLearner",
    "MAMLPPOConfig",
    "MAMLTRPOConfig",
    "MAMLVPGConfig",
    "MetaGradient",
    "MetaProblem",
    "NoStep",
    "Objective",
    "OuterStep",
    "PolicySpec",
    "RandomInitConfig",
    "ReptileConfig",
    "ReptileDirection",
    "Rollout",
    "Sampler",
    "SimulatedTasks",
    "Surrogate",
    "TaskEnvs",
    "TrustRegion",
    "load_policy",
    "make_maml",
    "maml_parts",
]

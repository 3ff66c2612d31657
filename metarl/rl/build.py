"""Learners by gradients from their configs."""

from typing import Any

from metarl.nn import Policy
from metarl.rl.configs import (
    ControlConfig,
    MAMLConfig,
    MAMLPPOConfig,
    MAMLTRPOConfig,
    MAMLVPGConfig,
    RandomInitConfig,
    ReptileConfig,
)
from metarl.rl.learner import MAMLLearner
from metarl.rl.maml_ppo import MAMLPPO
from metarl.rl.maml_trpo import MAMLTRPO
from metarl.rl.maml_vpg import MAMLVPG
from metarl.rl.random_init import RandomInit
from metarl.rl.reptile import Reptile
from metarl.rl.sampler import Sampler

KINDS: dict[type[MAMLConfig], type[Any]] = {
    MAMLTRPOConfig: MAMLTRPO,
    MAMLVPGConfig: MAMLVPG,
    MAMLPPOConfig: MAMLPPO,
    ReptileConfig: Reptile,
    ControlConfig: MAMLTRPO,
    RandomInitConfig: RandomInit,
}


def gradient_learner(
    config: MAMLConfig, policy: Policy, sampler: Sampler, *, seed: int
) -> MAMLLearner:
    """The learner of a config."""
    learner: MAMLLearner = KINDS[type(config)](policy, sampler, config, seed=seed)
    return learner

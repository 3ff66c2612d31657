"""The named learners by gradients: what their configs compose."""

from typing import Any

from metarl.core import SGD, InnerRule, LearnedStepSizes
from metarl.nn import Policy
from metarl.rl import configs
from metarl.rl.learner import MAMLLearner
from metarl.rl.meta_problem import Objective, OuterStep
from metarl.rl.objectives import ClippedSurrogate, ReptileDirection, Surrogate
from metarl.rl.outer_steps import Adam, ClippedEpochs, NoStep
from metarl.rl.task_sampler import TaskSampler
from metarl.rl.trust_region import TrustRegion


def make_maml(
    config: configs.MAMLConfig, policy: Policy, sampler: TaskSampler[Any], *, seed: int
) -> MAMLLearner:
    """The learner that a config describes."""
    return MAMLLearner(
        policy,
        sampler,
        *maml_parts(config, policy),
        num_inner_steps=config.num_inner_steps,
        task_chunk=config.task_chunk,
        seed=seed,
    )


def maml_parts(
    config: configs.MAMLConfig, policy: Policy
) -> tuple[InnerRule[Any], Objective, OuterStep]:
    """The parts that a config describes, for a policy."""
    rule = _inner_rule(config, policy)
    numbers: dict[str, Any] = {"estimator": config.estimator, "gae_lambda": config.gae_lambda}
    if isinstance(config, configs.ReptileConfig):
        return rule, ReptileDirection(lr=config.inner_lr, **numbers), Adam(config.outer_lr)
    numbers["credit_weight"] = config.credit_weight if config.sampling_credit else 0.0
    if isinstance(config, configs.MAMLPPOConfig):
        numbers["inner_importance_weights"] = config.inner_importance_weights
        clipped = ClippedSurrogate(clip=config.clip, inner_kl=config.inner_kl, **numbers)
        return rule, clipped, ClippedEpochs(Adam(config.outer_lr), config.epochs, config.kl_stop)
    outer_step: OuterStep = NoStep()
    if isinstance(config, configs.AdamConfig):
        outer_step = Adam(config.outer_lr)
    if isinstance(config, configs.TrustRegionConfig):
        outer_step = TrustRegion(
            max_kl=config.max_kl,
            cg_iterations=config.cg_iterations,
            cg_damping=config.cg_damping,
            fisher_stride=config.fisher_stride,
        )
    return rule, Surrogate(**numbers), outer_step


def _inner_rule(config: configs.MAMLConfig, policy: Policy) -> SGD:
    """Steps beyond the trained ones are half as long: the MAML authors evaluate so."""
    parts = (*[1.0] * max(config.num_inner_steps, 1), 0.5)
    mask = {"all": None, "head": policy.head_names(), "context": ["context"]}[config.adapted]
    first_order = config.estimator == "first-order"
    if config.learned_lr:
        return SGD(LearnedStepSizes(config.inner_lr, factors=parts), mask, first_order)
    return SGD([part * config.inner_lr for part in parts], mask, first_order)

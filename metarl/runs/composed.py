"""Learners composed in Python, their parts as plain data: so their run folders can be opened."""

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from metarl.configs import complaint
from metarl.core import SGD, LearnedStepSizes, Momentum
from metarl.nn import Policy
from metarl.rl import (
    Adam,
    ClippedEpochs,
    ClippedSurrogate,
    ComposedConfig,
    MAMLLearner,
    NoStep,
    PolicySpec,
    ReptileDirection,
    Surrogate,
    TrustRegion,
)
from metarl.rl.task_sampler import TaskSampler
from metarl.runs.config import CODEC, EnvProblem, RunConfig, validated
from metarl.runs.errors import InputError
from metarl.runs.facts import class_name, env_facts
from metarl.runs.policy_config import PolicyConfig, SamplingConfig

RULES = (SGD, Momentum, LearnedStepSizes)
OBJECTIVES = (Surrogate, ClippedSurrogate, ReptileDirection)
OUTER_STEPS = (TrustRegion, Adam, ClippedEpochs, NoStep)
KINDS: dict[str, type[Any]] = {k.__name__: k for k in (*RULES, *OBJECTIVES, *OUTER_STEPS)}
"""Parts that files can hold, by name. What a file names is looked up here and nowhere else."""
NOT_OF_THE_FAMILY = ("num_envs", "vectorization_mode", "autoreset_mode")


def describe(learner: MAMLLearner) -> str:
    """The config of a composed learner, for its :class:`~metarl.training.Trainer`, as JSON.

    With it ``metarl evaluate``, ``adapt`` and ``resume`` open the run folder.

    Raises:
        InputError: a part is of your own, or no number, so that no file can hold it.
    """
    sampler, policy = learner.sampler, learner.policy
    spec = sampler.env.spec
    if spec is None:
        raise InputError("the environment has no id: files cannot say how to make it again")
    shape = learner.actor().spec
    envs = sampler.env
    problem = EnvProblem(
        algorithm=ComposedConfig(
            rule=_plain(learner.rule),
            objective=_plain(learner.objective),
            outer_step=_plain(learner.outer_step),
            num_inner_steps=learner.num_inner_steps,
            task_chunk=learner.task_chunk,
            context_size=policy.context_size,
        ),
        env=spec.id,
        env_kwargs={k: v for k, v in spec.kwargs.items() if k not in NOT_OF_THE_FAMILY},
        policy=_policy_config(shape),
        sampling=_sampling_config(sampler),
        trained_on=env_facts(
            envs,
            sampler.horizon,
            own_network=class_name(policy.network) if shape.own_network else "",
        ),
    )
    return CODEC.dump_json(RunConfig(problem=problem, seed=learner.seed), indent=2).decode()


def compose(
    config: ComposedConfig, policy: Policy, sampler: TaskSampler[Any], *, seed: int
) -> MAMLLearner:
    """The learner that :func:`describe` described, with another policy and sampler.

    Raises:
        InputError: the config names parts that metarl does not have.
    """
    try:
        rule, objective, outer_step = map(_made, (config.rule, config.objective, config.outer_step))
    except (KeyError, TypeError, ValidationError) as error:
        wrong = complaint(error) if isinstance(error, ValidationError) else error
        raise InputError(f"the parts of the learner are not such as metarl has: {wrong}") from error
    return MAMLLearner(
        policy,
        sampler,
        rule,
        objective,
        outer_step,
        num_inner_steps=config.num_inner_steps,
        task_chunk=config.task_chunk,
        seed=seed,
    )


def _policy_config(spec: PolicySpec) -> PolicyConfig:
    if spec.own_network:
        return PolicyConfig(
            min_log_std=spec.min_log_std,
            max_log_std=spec.max_log_std,
            normalise_observations=spec.normalised,
        )
    kept = ("hidden_sizes", "activation", "min_log_std", "max_log_std")
    values = {name: getattr(spec, name) for name in kept}
    start = float(np.clip(0.0, spec.min_log_std, spec.max_log_std))
    values["normalise_observations"] = spec.normalised
    return validated(PolicyConfig, {"initial_log_std": start, **values})


def _sampling_config(sampler: TaskSampler[Any]) -> SamplingConfig:
    return SamplingConfig(
        meta_batch_size=sampler.part.total,
        num_trajectories=sampler.num_trajectories,
        horizon=sampler.horizon,
        discount=sampler.discount,
        action_scale=sampler.action_scale,
        info_keys=sampler.info_keys,
    )


def _plain(part: Any) -> Any:
    """A part as plain data: dataclasses become dicts with their kind."""
    if part is None or isinstance(part, bool | int | float | str):
        return part
    if isinstance(part, list | tuple):
        return [_plain(value) for value in part]
    if is_dataclass(part) and type(part).__name__ in KINDS:
        values = {entry.name: _plain(getattr(part, entry.name)) for entry in fields(part)}
        return {"kind": type(part).__name__, **values}
    raise InputError(f"a {class_name(part)} is your own, or no number: files cannot hold it")


def _made(plain: Any) -> Any:
    """What :func:`_plain` was given."""
    if isinstance(plain, list):
        return tuple(_made(value) for value in plain)
    if not isinstance(plain, dict):
        return plain
    values = {name: _made(value) for name, value in plain.items() if name != "kind"}
    return KINDS[plain["kind"]](**values)

"""From a config to a task family with a learner of a policy."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import torch
from torch import nn

from metarl import sb3
from metarl.core import Streams
from metarl.memory import check_layers, check_memory
from metarl.nn.cnn import HIGHEST
from metarl.rl import ComposedConfig, DeferredEnvs, DeviceEnvs, PolicySpec, TaskEnvs, make_maml
from metarl.rl.observations import highest_pixel, image_shape_of
from metarl.rl.plain_spaces import num_bytes, space_of
from metarl.rl.policy_spec import StoredPolicy
from metarl.runs import environments
from metarl.runs.build.engines import chosen_engine, make_sampler
from metarl.runs.build.env_makers import (
    deferred,
    env_maker,
    facts_of,
    say_view,
    single_maker,
)
from metarl.runs.build.processes import check_alone, own_tasks
from metarl.runs.build.trial_learners import only_task, trial_learner
from metarl.runs.composed import compose
from metarl.runs.config import EnvProblem, RunConfig, refused
from metarl.runs.errors import InputError, input_errors
from metarl.runs.facts import EnvFacts
from metarl.runs.policy_files import read_policy, start_from
from metarl.runs.simulated import PolicyLearner, Simulated
from metarl.runs.user_objects import UserObjects
from metarl.training import resolve_device
from metarl.types import Task


def build_policy(config: RunConfig, given: UserObjects, say: Callable[[str], None]) -> Simulated:
    """A task family with a learner at its start, on its device; see :data:`BUILDERS`.

    Raises:
        InputError: the parts do not fit together.
    """
    problem = config.problem
    assert isinstance(problem, EnvProblem)
    _check(config, problem, given)
    first = None
    if problem.trained_on is None:
        with closing(env_maker(problem, given)(1)) as first:
            facts = facts_of(problem, first, given)
        _check_memory(problem, facts)
        say_view(problem, facts, say)
        named = environments.name_of(problem.env if given.env is None else given.env)
        problem = replace(problem, trained_on=facts, env=named)
        config = replace(config, problem=problem)
    assert problem.trained_on is not None
    make_env = deferred(env_maker(problem, given), problem.trained_on)
    only = None
    if isinstance(problem.algorithm, sb3.SB3FinetuneConfig):
        only = only_task(config.seed, problem.algorithm, make_env)
    with input_errors(prefix=f"{problem.algorithm.learner} on {problem.env}: "):
        torch.set_num_threads(config.threads)
        device = resolve_device(config.device, deterministic=config.deterministic)
        engine = chosen_engine(config, given, device)
        make_sampled = engine.make_envs or make_env
        envs = make_sampled(_num_envs(problem))
        if first is not None:
            envs.metadata, envs.spec = first.metadata, first.spec
        learner = _learner(config, problem, envs, make_env, only, given, device)
    name = problem.env.split("/")[-1].split(":")[-1].split(".")[-1]
    built = Simulated(
        config=config,
        learner=learner,
        make_env=make_env,
        make_sampled=make_sampled,
        opening=engine.line,
        make_single=single_maker(problem, given, make_env),
        only_tasks=only,
        short_name=name,
    )
    return replace(built, films=built.training_films()) if problem.video_every else built


def _check(config: RunConfig, problem: EnvProblem, given: UserObjects) -> None:
    """Raise an :class:`InputError` for what the kind of learner does without."""
    if given.backbone_name is not None:
        raise InputError("is for few-shot runs; this is a policy", "backbone")
    if not isinstance(problem.algorithm, sb3.SB3Config):
        return
    check_alone(problem.algorithm.learner, "stable-baselines3 optimises it")
    if given.network is not None:
        learner = problem.algorithm.learner
        raise InputError(f"is not for {learner}: stable-baselines3 makes it", "policy")
    for name, why in refused(problem.algorithm).items():
        owner = next(each for each in (config, problem, problem.policy) if hasattr(each, name))
        if getattr(owner, name) != getattr(type(owner), name):
            raise InputError(why, name)


def _check_memory(problem: EnvProblem, facts: EnvFacts) -> None:
    """Raise an :class:`InputError` for numbers that this machine has no memory for."""
    sampling, algorithm = problem.sampling, problem.algorithm
    step = num_bytes(facts.observation_space) + num_bytes(facts.action_space) + 4  # and a reward
    if isinstance(algorithm, sb3.ProtoEmbeddingConfig):  # keeps transitions, in single precision
        step += 8 * gym.spaces.flatdim(space_of(facts.observation_space))
    trial = facts.horizon * getattr(algorithm, "trial_length", 1)
    trajectories = f"{sampling.meta_batch_size} x --num-trajectories {sampling.num_trajectories}"
    with input_errors():
        check_memory(
            _num_envs(problem) * trial * step, f"--meta-batch-size {trajectories} of {trial} steps"
        )
        check_layers("a network of these --hidden-sizes", *problem.policy.hidden_sizes)
        if isinstance(algorithm, sb3.SB3Config) and algorithm.optimiser != "ppo":
            check_memory(algorithm.buffer_size * step, f"--buffer-size {algorithm.buffer_size}")
        for name in ("hidden_size", "encoder_hidden_size"):
            if width := getattr(algorithm, name, 0):
                check_layers(f"--{name.replace('_', '-')} {width}", width, width)


def _num_envs(problem: EnvProblem) -> int:
    """Of training, of this process."""
    sampling = problem.sampling
    return len(own_tasks(sampling.meta_batch_size)) * sampling.num_trajectories


def _learner(
    config: RunConfig,
    problem: EnvProblem,
    envs: DeferredEnvs | DeviceEnvs,
    make_env: Callable[[int], TaskEnvs],
    only: list[Task] | None,
    given: UserObjects,
    device: torch.device,
) -> PolicyLearner:
    """The learner, from ``init_from`` if that is given."""
    facts, sampling, algorithm = problem.trained_on, problem.sampling, problem.algorithm
    assert facts is not None
    start = None
    if config.init_from is not None:
        start = read_policy("init-from", Path(config.init_from), sampling.action_scale)
    if isinstance(algorithm, sb3.SB3Config):
        return trial_learner(config, problem, algorithm, make_env, start, only, device)
    sampler = make_sampler(envs, problem)
    policy = _policy(config.seed, problem, facts, given.network)
    if isinstance(algorithm, ComposedConfig):
        return compose(algorithm, policy.to(device), sampler, seed=config.seed)
    learner = make_maml(algorithm, policy.to(device), sampler, seed=config.seed)
    if start is not None and config.init_from is not None:
        start_from(learner, start, config.init_from)
    return learner


def _size(facts: EnvFacts) -> int | tuple[int, int, int]:
    """Numbers of an observation; height, width and channels of an image."""
    space = space_of(facts.observation_space)
    with input_errors("env"):
        return image_shape_of(space) or gym.spaces.flatdim(space)


def _policy(
    seed: int, problem: EnvProblem, facts: EnvFacts, network: nn.Module | None
) -> StoredPolicy:
    """The policy with its initial weights, drawn from the seed."""
    if bool(facts.own_network) != (network is not None):
        raise InputError(
            f"the run's network is one of your own, {facts.own_network}: give one"
            if facts.own_network
            else "the run has a standard network",
            "policy",
        )
    try:
        policy = _spec(problem, facts).build(
            network,
            initial_log_std=problem.policy.initial_log_std,
            generator=Streams(seed, "training").torch("weights"),
        )
    except ValueError as error:
        raise InputError(f"--initial-log-std, --min-log-std, --max-log-std: {error}") from error
    try:
        policy.check_network(gym.spaces.flatdim(space_of(facts.observation_space)))
    except ValueError as error:
        raise InputError(f"does not fit: {error}", "policy") from error
    return policy


def _spec(problem: EnvProblem, facts: EnvFacts) -> PolicySpec:
    """The shape of the policy."""
    acted, shape = space_of(facts.action_space), problem.policy
    seen = space_of(facts.observation_space)
    if shape.normalise_observations and len(seen.shape or ()) == 3:
        raise InputError("is for vectors: pixels are divided by white", "normalise_observations")
    choices = acted.nvec.ravel() if isinstance(acted, gym.spaces.MultiDiscrete) else ()
    return PolicySpec(
        # a network of one's own takes what it takes
        gym.spaces.flatdim(seen) if facts.own_network else _size(facts),
        gym.spaces.flatdim(acted),
        hidden_sizes=shape.hidden_sizes,
        activation=shape.activation,
        min_log_std=shape.min_log_std,
        max_log_std=shape.max_log_std,
        categorical=isinstance(acted, gym.spaces.Discrete),
        choices=tuple(map(int, choices)),
        switches=isinstance(acted, gym.spaces.MultiBinary),
        context_size=getattr(problem.algorithm, "context_size", 0),
        own_network=facts.own_network,
        normalised=shape.normalise_observations,
        highest=highest_pixel(seen) if len(seen.shape or ()) == 3 else HIGHEST,
    )

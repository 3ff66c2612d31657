"""From a config to a learner: the one place that knows the kinds of problem and learner."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from metarl import sb3
from metarl.fewshot import ArraySource, Dataset, Source, Split
from metarl.fewshot.configs import AdaptedClassifierConfig, EpisodeConfig
from metarl.fewshot.data.config import SINUSOID
from metarl.fewshot.data.registry import load_data
from metarl.fewshot.deferred import DeferredSampler, DeferredSource
from metarl.fewshot.episodic_learner import EpisodeSamplers, generator_of
from metarl.fewshot.from_config import Problem, make_backbone, make_learner
from metarl.nn import CategoricalPolicy, GaussianPolicy, Policy, policy_network
from metarl.rl import (
    Actor,
    DeferredEnvs,
    PolicySpec,
    Sampler,
    TaskEnvs,
    load_policy,
    make_maml,
)
from metarl.runs.config import DataProblem, EnvProblem, RunConfig, json_object
from metarl.runs.dataset import DataSets, make_sampler
from metarl.runs.errors import InputError
from metarl.runs.facts import ClassFacts, DataFacts, EnvFacts, data_facts, facts_of
from metarl.runs.simulated import Simulated, checked_task
from metarl.runs.user_objects import UserObjects
from metarl.training import resolve_device
from metarl.types import Task
from metarl_envs import making

Built = Simulated | DataSets


def build(config: RunConfig, given: UserObjects, say: Callable[[str], None]) -> Built:
    """The problem of a run with its learner at its start, on its device.

    Args:
        config: of the run; where it says what was trained on, no environment is made and no data
            set read.
        given: what the config cannot hold.
        say: called with what is worth knowing of the data.

    Raises:
        InputError: the parts do not fit together.
    """
    torch.set_num_threads(config.threads)
    try:
        device = resolve_device(config.device)
    except ValueError as error:
        raise InputError(f"{config.device}: {error}", "device") from error
    if isinstance(config.problem, EnvProblem):
        if given.backbone_name is not None:
            raise InputError("is for few-shot runs; this is a policy", "backbone")
        return _simulated(config, config.problem, given, device)
    if given.env is not None:
        raise InputError("is for policies; this is a few-shot run", "env")
    return _data_sets(config, config.problem, given, device, say)


def _simulated(
    config: RunConfig, problem: EnvProblem, given: UserObjects, device: torch.device
) -> Simulated:
    sampling, facts = problem.sampling, problem.trained_on
    num_envs = sampling.meta_batch_size * sampling.num_trajectories
    by_sb3 = isinstance(problem.algorithm, sb3.SB3Config)
    if by_sb3 and given.network is not None:
        raise InputError(f"is not for {config.learner}: stable-baselines3 makes it", "policy")
    make_env = _env_maker(problem, given, by_sb3)

    def make_single(**options: Any) -> gym.Env[Any, Any]:
        make_env(1).close()  # says what is wrong
        source = problem.env if given.env is None else given.env
        options = {**problem.env_kwargs, **options}
        return making.make_single(source, options, show_task=problem.algorithm.show_task)

    envs: TaskEnvs
    if facts is None:
        envs = make_env(1 if by_sb3 else num_envs)
        facts = _env_facts(problem, envs, given)
        problem = replace(problem, trained_on=facts, env=making.name_of(given.env or problem.env))
        config = replace(config, problem=problem)
        make_env = _env_maker(problem, given, by_sb3)
    else:
        envs = _deferred(make_env, facts)(num_envs)
    start = None if config.init_from is None else _start(problem, Path(config.init_from))
    try:
        if isinstance(problem.algorithm, sb3.SB3Config):
            only = _only_task(config.seed, problem.algorithm, make_env)
            learner: Any = _sb3_learner(
                config, problem.algorithm, _deferred(make_env, facts), facts, start, only, device
            )
            return Simulated(config, learner, make_env, make_single, only)
        sampler = Sampler(
            envs,
            num_tasks=sampling.meta_batch_size,
            horizon=facts.horizon,
            discount=sampling.discount,
            action_scale=sampling.action_scale,
        )
        policy = _policy(config, problem, facts, given.network)
        if start is not None:
            ours = Actor(policy, PolicySpec.of(policy, _size(facts)), sampler.to_env)
            _start_from(policy, start, ours, config.init_from)
        learner = make_maml(problem.algorithm, policy.to(device), sampler, seed=config.seed)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{config.learner} on {problem.env}: {error}") from error
    return Simulated(config, learner, make_env, make_single)


def _env_maker(problem: EnvProblem, given: UserObjects, by_sb3: bool) -> Callable[[int], TaskEnvs]:
    source = problem.env if given.env is None else given.env
    trained_on = problem.trained_on

    def make(num_envs: int) -> TaskEnvs:
        if given.env is None and trained_on is not None and trained_on.own:
            raise InputError(
                f"{source} was given as an object, which no file can hold: give it again", "env"
            )
        module = source.rpartition(":")[0] if isinstance(source, str) else ""
        if module and not given.allow_code and given.env is None:
            _check_installed(module, f"--env {source}")
        try:
            env: TaskEnvs = making.make_task_env(
                source,
                num_envs,
                problem.env_kwargs,
                show_task=problem.algorithm.show_task,
                reset_by_caller=by_sb3,
                # where stable-baselines3 steps, trajectories end when the environment says so; at
                # first the horizon is compared with the family's own
                max_episode_steps=problem.sampling.horizon if by_sb3 and trained_on else None,
            )
        except ValueError as error:
            raise InputError(str(error), "env") from error
        if trained_on is not None:
            _check_spaces(making.name_of(source), env, trained_on)
        return env

    return make


def _check_spaces(name: str, env: TaskEnvs, trained_on: EnvFacts) -> None:
    """Raise an :class:`InputError` if an environment is not such as the run was trained on."""
    pairs = {
        "observations": (env.single_observation_space, trained_on.observation_space),
        "actions": (env.single_action_space, trained_on.action_space),
    }
    for what, (space, facts) in pairs.items():
        if space != facts.space():
            raise InputError(
                f"{name} has {what} {space}, the run was trained on {facts.space()}", "env"
            )


def _deferred(make: Callable[[int], TaskEnvs], facts: EnvFacts) -> Callable[[int], TaskEnvs]:
    seen, acted = facts.observation_space.space(), facts.action_space.space()
    return lambda num_envs: DeferredEnvs(make, num_envs, seen, acted)


def _env_facts(problem: EnvProblem, envs: TaskEnvs, given: UserObjects) -> EnvFacts:
    try:
        return EnvFacts(
            observation_space=facts_of(envs.single_observation_space),
            action_space=facts_of(envs.single_action_space),
            task_space={k: facts_of(v) for k, v in envs.get_attr("task_space")[0].items()},
            horizon=_horizon(envs, problem.sampling.horizon),
            own=given.env is not None and not isinstance(given.env, str),
            own_network="" if given.network is None else class_name(given.network),
        )
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{problem.env}: {error}", "env") from error


def _horizon(env: TaskEnvs, requested: int | None) -> int:
    """The requested horizon, or the environment's own time limit."""
    registered = env.spec.max_episode_steps if env.spec is not None else None
    inner = getattr(env, "unwrapped", env)  # vector wrappers hide its attributes
    limit: int | None = getattr(inner, "max_episode_steps", registered)
    if requested is None:
        if limit is None:
            raise InputError("is missing: the environment has no time limit of its own", "horizon")
        return limit
    if limit is not None and requested > limit:
        raise InputError(
            f"{requested} is beyond the environment's time limit of {limit} steps; "
            f"""raise that with --env-kwargs '{{"max_episode_steps": {requested}}}'""",
            "horizon",
        )
    return requested


def _size(facts: EnvFacts) -> int | tuple[int, int, int]:
    """Numbers of an observation; height, width and channels of an image."""
    space = facts.observation_space.space()
    if space.shape is None or len(space.shape) != 3:
        return gym.spaces.flatdim(space)
    height, width, channels = space.shape
    if space.dtype != np.uint8 or channels > min(height, width):
        raise InputError(f"images are uint8 of (height, width, channels), got {space}", "env")
    return height, width, channels


def _policy(
    config: RunConfig, problem: EnvProblem, facts: EnvFacts, network: nn.Module | None
) -> GaussianPolicy | CategoricalPolicy:
    """The policy with its initial weights, drawn from the seed."""
    acted, shape = facts.action_space.space(), problem.policy
    num_outputs = gym.spaces.flatdim(acted)
    context_size = getattr(problem.algorithm, "context_size", 0)
    seed = int(np.random.SeedSequence((config.seed, 2)).generate_state(1)[0])
    if bool(facts.own_network) != (network is not None):
        raise InputError(
            f"the run's network is one of your own, {facts.own_network}: give one"
            if facts.own_network
            else "the run has a standard network",
            "policy",
        )
    if network is None:
        network = policy_network(
            _size(facts),
            num_outputs,
            hidden_sizes=shape.hidden_sizes,
            activation=shape.activation,
            context_size=context_size,
            generator=torch.Generator().manual_seed(seed),
        )
    try:
        policy: GaussianPolicy | CategoricalPolicy
        if isinstance(acted, gym.spaces.Discrete):
            policy = CategoricalPolicy(network, num_outputs, context_size=context_size)
        else:
            policy = GaussianPolicy(
                network,
                num_outputs,
                initial_log_std=shape.initial_log_std,
                min_log_std=shape.min_log_std,
                context_size=context_size,
            )
    except ValueError as error:
        raise InputError(f"--initial-log-std and --min-log-std: {error}") from error
    try:
        policy.check_network(gym.spaces.flatdim(facts.observation_space.space()))
    except ValueError as error:
        raise InputError(f"does not fit: {error}", "policy") from error
    return policy


def read_policy(option: str, path: Path, action_scale: float) -> Actor:
    """A policy file of ours, or the policy of a PPO or A2C model of stable-baselines3.

    Args:
        option: that gives the file.
        path: a ``.pt`` or a ``.zip`` file.
        action_scale: of a model of stable-baselines3, which has none.
    """
    try:
        if path.suffix == ".zip":
            return sb3.load_sb3(path, action_scale=action_scale)
        return load_policy(path)
    except (OSError, ValueError) as error:
        raise InputError(f"--{option}: {error}") from error


def _start(problem: EnvProblem, path: Path) -> Actor:
    return read_policy("init-from", path, problem.sampling.action_scale)


def _start_from(policy: Policy, start: Actor, ours: Actor, path: str | None) -> None:
    """Give the policy the weights of another, which that file holds."""
    shape, other = (actor.spec._replace(min_log_std=0.0) for actor in (ours, start))
    if shape != other:
        raise InputError(
            f"{path} has a policy of another shape: {_shape_of(other)} there, "
            f"{_shape_of(shape)} here",
            "init_from",
        )
    pairs: Any = zip(start.to_env, ours.to_env, strict=True)
    if not all(np.array_equal(theirs, own) for theirs, own in pairs):
        raise InputError(
            f"{path} has other actions: {start.to_env} there, {ours.to_env} here", "init_from"
        )
    policy.load_state_dict(start.policy.state_dict())
    if isinstance(policy, GaussianPolicy):  # below its floor log σ would have no gradient
        with torch.no_grad():
            policy.log_std.clamp_(min=policy.min_log_std)


def _shape_of(spec: PolicySpec) -> str:
    kind = "discrete" if spec.categorical else "continuous"
    widths = [spec.observation_size, *spec.hidden_sizes, spec.action_size]
    return f"{'-'.join(map(str, widths))} {spec.activation}, {kind}"


def _sb3_learner(
    config: RunConfig,
    algorithm: sb3.SB3Config,
    make_env: Callable[[int], TaskEnvs],
    facts: EnvFacts,
    start: Actor | None,
    only: list[Task] | None,
    device: torch.device,
) -> "sb3.SB3Learner":
    assert isinstance(config.problem, EnvProblem)
    sampling, shape = config.problem.sampling, config.problem.policy
    kinds = {sb3.ProtoEmbeddingConfig: sb3.ProtoEmbedding, sb3.RL2Config: sb3.RL2}
    kind = kinds.get(type(algorithm), sb3.SB3Learner)
    return kind(
        algorithm,
        sb3.CollectionSpec(
            make_env,
            sampling.meta_batch_size * sampling.num_trajectories,
            facts.horizon,
            sampling.discount,
            sampling.action_scale,
            tasks=only,
        ),
        sb3.InitialPolicy(shape.hidden_sizes, shape.activation, shape.initial_log_std, start),
        seed=config.seed,
        device=device,
    )


def _only_task(
    seed: int, algorithm: sb3.SB3Config, make_env: Callable[[int], TaskEnvs]
) -> list[Task] | None:
    """The one task of ``sb3-finetune``."""
    if not isinstance(algorithm, sb3.SB3FinetuneConfig):
        return None
    if algorithm.task == "":
        env = make_env(1)
        return sb3.TaskVecEnv(env, draw_every=0, split="held_out", seed=seed).drawn(1)
    try:
        task = json_object(algorithm.task)
    except ValueError as error:
        raise InputError(str(error), "task") from error
    return [checked_task(make_env(1), task)]


def _data_sets(
    config: RunConfig,
    problem: DataProblem,
    given: UserObjects,
    device: torch.device,
    say: Callable[[str], None],
) -> DataSets:
    facts = problem.trained_on
    fresh = facts is None
    read = cache(lambda: _read_datasets(problem, device, say))
    if facts is None:
        facts = data_facts(read(), read()[0].train.shape if read() else (1,))
        problem = replace(problem, trained_on=facts)
        config = replace(config, problem=problem)
        _check(problem)
    training = train_episodes(problem.episodes)
    train = DeferredSampler(lambda: make_sampler(read(), "train", training))
    validation = DeferredSampler(lambda: make_sampler(read(), "validation", problem.episodes))
    if fresh:
        for sampler in (train, validation):
            sampler.make()  # fail early
    tasks = EpisodeSamplers(train, validation, problem.episodes.num_validation)
    _check_backbone(problem.backbone.backbone, given)
    target = Problem(
        shape=facts.shape,
        num_outputs=training.num_ways if facts.classes else 1,
        regression=not facts.classes,
        train_source=_train_source(facts, read),
    )
    try:
        backbone = make_backbone(
            problem.backbone,
            facts.shape,
            generator_of(config.seed, 2),
            own=given.backbone,
        )
        learner = make_learner(
            problem.algorithm,
            backbone,
            target,
            tasks,
            iterations=config.schedule.iterations,
            seed=config.seed,
            device=device,
        )
    except ValueError as error:
        raise InputError(str(error)) from error
    return DataSets(config, learner, facts.shape, read)


def _read_datasets(
    problem: DataProblem, device: torch.device, say: Callable[[str], None]
) -> tuple[Dataset, ...]:
    """The run's data, in memory on its device where it fits; none for the sinusoid."""
    if problem.data.data == SINUSOID:
        return ()
    try:
        loaded = load_data(problem.data)
    except ValueError as error:
        data = problem.data.data
        named = str(error).startswith(data)  # a file's loader says which file
        raise InputError(str(error) if named else f"{data}: {error}", "data") from error
    for note in loaded.notes:
        say(note)
    facts = problem.trained_on
    if facts is not None and data_facts(loaded.datasets, facts.shape) != facts:
        raise InputError(
            f"{problem.data.data} holds other classes or examples than those that the run was "
            f"trained on: {_difference(loaded.datasets, facts)}",
            "data",
        )
    return tuple(
        Dataset(d.name, *(_on_device(s, device) for s in (d.train, d.validation, d.test)))
        for d in loaded.datasets
    )


def _difference(datasets: Sequence[Dataset], facts: DataFacts) -> str:
    """The first part that is not what it was."""
    now = data_facts(datasets, facts.shape).classes
    for name, parts in facts.classes.items():
        if name not in now:
            return f"{name} is not there any more"
        then, found = _class_names(parts), _class_names(now[name])
        if new := sorted(found - then):
            return f"{name} has {', '.join(new[:5])} too"
        if gone := sorted(then - found):
            return f"{name} has no {', '.join(gone[:5])}"
        for split in parts:
            if parts[split] != now[name][split]:
                return f"{name} has other examples or classes in {split}"
    return "a data set was added"


def _class_names(parts: dict[Split, ClassFacts]) -> set[str]:
    return {name for part in parts.values() for name in part.names}


def _on_device(source: Source, device: torch.device) -> Source:
    return source.to(device) if isinstance(source, ArraySource) else source


def _train_source(facts: DataFacts, read: Callable[[], tuple[Dataset, ...]]) -> Source | None:
    """All examples of the train classes, of a single data set."""
    if len(facts.classes) != 1:
        return None
    ((name, parts),) = facts.classes.items()
    train = parts["train"]
    return DeferredSource(
        f"{name} train", train.names, train.counts, facts.shape, lambda: read()[0].train
    )


def train_episodes(episodes: EpisodeConfig) -> EpisodeConfig:
    """Ways, shots and queries of train episodes."""
    return replace(
        episodes,
        num_ways=episodes.train_ways or episodes.num_ways,
        num_shots=episodes.train_shots or episodes.num_shots,
        num_queries=episodes.train_queries or episodes.num_queries,
    )


def _check(problem: DataProblem) -> None:
    """Raise an :class:`InputError` where data and learner do not fit together."""
    assert problem.trained_on is not None
    algorithm, episodes, shape = problem.algorithm, problem.episodes, problem.trained_on.shape
    if algorithm.augmentation != "none" and len(shape) != 3:
        raise InputError(f"is for images, these data have shape {shape}", "augmentation")
    free = isinstance(algorithm, AdaptedClassifierConfig) and algorithm.head == "free"
    ways = train_episodes(episodes).num_ways
    other_ways = episodes.sampling == "variable" or ways != episodes.num_ways
    if free and other_ways and problem.trained_on.classes:
        raise InputError(
            "--head free has a row for every class, so all episodes need the same number of ways; "
            "use --head shared"
        )


def _check_backbone(named: str, given: UserObjects) -> None:
    """Raise an :class:`InputError` if a backbone is another one, or code that only a file names."""
    if given.backbone_name not in (None, named):
        raise InputError(f"{given.backbone_name} is not the run's backbone, {named}", "backbone")
    module, colon, _ = named.partition(":")
    if colon and not given.allow_code and given.backbone_name is None:
        _check_installed(module, f"--backbone {named}")


def class_name(module: nn.Module) -> str:
    """The qualified name of a module's class."""
    return f"{type(module).__module__}.{type(module).__qualname__}"


def _check_installed(module: str, option: str) -> None:
    """Raise an :class:`InputError` for code that a file names and that is not installed."""
    try:
        making.import_installed(module)
    except (ImportError, SyntaxError, TypeError, ValueError) as error:
        raise InputError(
            f"{option} is code that only the run's config names, and it is not installed "
            f"({error}): give {option} again, or --allow-code"
        ) from error

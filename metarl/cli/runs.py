"""Run folders: make one, build its learner, read it back."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch

from metarl.cli.environments import horizon_of, make_task_env
from metarl.cli.trials import make_sb3_learner
from metarl.nn import GaussianPolicy, Policy
from metarl.rl import Actor, MAMLLearner, Sampler, load_policy, make_maml
from metarl.rl.actor import PolicySpec
from metarl.runs.config import CODEC, EnvProblem, RunConfig, read_config
from metarl.runs.errors import InputError
from metarl.sb3 import SB3Config, SB3Learner, load_sb3
from metarl.train import CheckpointError, DeviceName, load_newest, resolve_device
from metarl.types import Params

MAX_SEED = 2**63 - 1  # what a torch generator takes


class Run(NamedTuple):
    """A run folder's learner at its newest good checkpoint."""

    folder: Path
    config: RunConfig
    learner: MAMLLearner | SB3Learner
    checkpoint: dict[str, Any]
    """Content of the checkpoint, the learner's state already loaded."""
    problems: list[str]
    """Newer checkpoints that were damaged."""


def create_folder(output: Path, stem: str, config: str) -> Path:
    """A new run folder with its ``config.json``.

    Args:
        output: the folder in which it is made.
        stem: the start of its name; the time follows.
        config: content of ``config.json``.

    Raises:
        InputError: if it cannot be written.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        folder = _first_free(output, f"{stem}_{time.strftime('%Y%m%d-%H%M%S')}")
        (folder / "config.json").write_text(config)
    except OSError as error:
        raise InputError(f"--output {output} cannot be written: {error.strerror}") from error
    return folder


def _first_free(output: Path, stem: str) -> Path:
    """Make the first folder of that name that does not exist yet."""
    for attempt in range(1000):
        folder = output / (stem if attempt == 0 else f"{stem}-{attempt}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise InputError(f"--output {output} holds a thousand runs of this second")


def make_sampler(config: EnvProblem, *, num_tasks: int, num_trajectories: int) -> Sampler:
    """A sampler of the run's environment for that many tasks and trajectories a task."""
    sampling = config.sampling
    try:
        env = make_task_env(
            config.env,
            num_tasks * num_trajectories,
            config.env_kwargs,
            show_task=config.algorithm.show_task,
        )
        return Sampler(
            env,
            num_tasks=num_tasks,
            horizon=horizon_of(env, sampling.horizon),
            discount=sampling.discount,
            action_scale=sampling.action_scale,
        )
    except ValueError as error:
        raise InputError(f"--env {config.env}: {error}") from error


def policy_spec(config: EnvProblem, sampler: Sampler) -> PolicySpec:
    """Shape of the run's policy."""
    seen, acted = sampler.env.single_observation_space, sampler.env.single_action_space
    policy = config.policy
    return PolicySpec(
        _observation_size(config, seen),
        gym.spaces.flatdim(acted),
        policy.hidden_sizes,
        policy.activation,
        policy.min_log_std,
        categorical=isinstance(acted, gym.spaces.Discrete),
        context_size=getattr(config.algorithm, "context_size", 0),
    )


def make_policy(config: EnvProblem, sampler: Sampler, seed: int = 0) -> Policy:
    """The run's policy with its initial weights, drawn from the seed."""
    seed = int(np.random.SeedSequence((seed, 2)).generate_state(1)[0])
    try:
        return policy_spec(config, sampler).build(
            initial_log_std=config.policy.initial_log_std,
            generator=torch.Generator().manual_seed(seed),
        )
    except ValueError as error:
        raise InputError(f"--initial-log-std and --min-log-std: {error}") from error


def make_actor(config: EnvProblem, sampler: Sampler, params: Params) -> Actor:
    """The run's policy with other weights, ready to act."""
    policy = make_policy(config, sampler)
    policy.load_state_dict(params)
    return Actor(policy, policy_spec(config, sampler), sampler.to_env)


def _observation_size(
    config: EnvProblem, space: gym.spaces.Space[Any]
) -> int | tuple[int, int, int]:
    """Numbers of a vector; height, width and channels of an image."""
    if space.shape is None or len(space.shape) != 3:
        return gym.spaces.flatdim(space)
    height, width, channels = space.shape
    if space.dtype != np.uint8 or channels > min(height, width):
        raise InputError(
            f"--env {config.env}: images are uint8 of (height, width, channels), got {space}"
        )
    return height, width, channels


def make_learner(config: RunConfig) -> MAMLLearner | SB3Learner:
    """The run's learner at its start, on its device."""
    problem = config.problem
    assert isinstance(problem, EnvProblem)
    torch.set_num_threads(config.threads)
    try:
        device = resolve_device(config.device)
    except ValueError as error:
        raise InputError(f"--device {config.device}: {error}") from error
    start = (
        None
        if config.init_from is None
        else read_policy("--init-from", Path(config.init_from), problem.sampling.action_scale)
    )
    if isinstance(problem.algorithm, SB3Config):
        return make_sb3_learner(config, problem.algorithm, device, start)
    sampling = problem.sampling
    sampler = make_sampler(
        problem, num_tasks=sampling.meta_batch_size, num_trajectories=sampling.num_trajectories
    )
    policy = make_policy(problem, sampler, config.seed)
    if start is not None:
        _start_from(policy, sampler, start, config)
    try:
        return make_maml(problem.algorithm, policy.to(device), sampler, seed=config.seed)
    except ValueError as error:
        raise InputError(str(error)) from error


def read_policy(option: str, path: Path, action_scale: float) -> Actor:
    """A policy file of ours, or the policy of a PPO or A2C model of stable-baselines3.

    Args:
        option: of the command line that gives the file.
        path: a ``.pt`` or a ``.zip`` file.
        action_scale: of a model of stable-baselines3, which has none.
    """
    try:
        if path.suffix == ".zip":
            return load_sb3(path, action_scale=action_scale)
        return load_policy(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{option}: {error}") from error


def _start_from(policy: Policy, sampler: Sampler, start: Actor, config: RunConfig) -> None:
    """Give the policy the weights of another."""
    shape, other = (
        spec._replace(min_log_std=0.0)
        for spec in (policy_spec(config.problem, sampler), start.spec)
    )
    if shape != other:
        raise InputError(
            f"--init-from {config.init_from} has a policy of another shape: {_shape_of(other)} "
            f"there, {_shape_of(shape)} here"
        )
    pairs: Any = zip(start.to_env, sampler.to_env, strict=True)
    if not all(np.array_equal(theirs, ours) for theirs, ours in pairs):
        raise InputError(
            f"--init-from {config.init_from} has other actions: {start.to_env} there, "
            f"{sampler.to_env} here"
        )
    policy.load_state_dict(start.policy.state_dict())
    if isinstance(policy, GaussianPolicy):  # below its floor log σ would have no gradient
        with torch.no_grad():
            policy.log_std.clamp_(min=policy.min_log_std)


def _shape_of(spec: PolicySpec) -> str:
    kind = "discrete" if spec.categorical else "continuous"
    widths = [spec.observation_size, *spec.hidden_sizes, spec.action_size]
    return f"{'-'.join(map(str, widths))} {spec.activation}, {kind}"


def load_run(folder: Path, device: DeviceName | None = None) -> Run:
    """A run's learner with the state of its newest good checkpoint.

    Args:
        folder: the run folder.
        device: instead of the run's own.

    Raises:
        InputError: if it is no run folder or has no usable checkpoint.
    """
    config = read_config(folder)
    if device is not None:
        config = replace(config, device=device)
    # its weights are in the checkpoint: what it started from may be gone
    learner = make_learner(replace(config, init_from=None))
    try:
        checkpoint, problems = load_newest(folder / "checkpoints")
        learner.load_state_dict(checkpoint["learner"])
        _check_same_run(CODEC.validate_json(checkpoint["config"]), config, folder)
    except CheckpointError as error:
        raise InputError(str(error)) from error
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"the checkpoint of {folder} does not fit its config.json: {str(error).splitlines()[0]}"
        ) from error
    return Run(folder, config, learner, checkpoint, problems)


def _check_same_run(old: RunConfig, config: RunConfig, folder: Path) -> None:
    """Raise a :class:`InputError` if ``config.json`` was changed in what decides the run."""
    kept, now = (
        {"seed": c.seed, **json.loads(CODEC.dump_json(c))["problem"]} for c in (old, config)
    )
    for name in ("env", "env_kwargs", "seed", "algorithm", "policy", "sampling"):
        if kept[name] != now[name]:
            raise InputError(
                f"{folder / 'config.json'} says {name} {json.dumps(now[name])}, but its checkpoint "
                f"was trained with {json.dumps(kept[name])}"
            )

"""What steps a run's environments while it samples: the cores, or the device of its policy."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from metarl import sb3
from metarl.core.collectives import Part
from metarl.rl import DeviceEnvs, DeviceSampler, Sampler, TaskEnvs, TaskSampler
from metarl.rl.device_envs import DeviceEnv
from metarl.rl.plain_spaces import space_of
from metarl.runs import environments
from metarl.runs.build.env_makers import check_code
from metarl.runs.build.processes import own_tasks
from metarl.runs.config import EnvProblem, RunConfig
from metarl.runs.errors import InputError, input_errors
from metarl.runs.user_objects import UserObjects

SampledMaker = Callable[[int], TaskEnvs] | Callable[[int], DeviceEnvs]
"""From a number of environments to those that a sampler takes."""


class Engine(NamedTuple):
    """What steps the environments of training."""

    make_envs: Callable[[int], DeviceEnvs] | None
    """From a number of environments to them on the device; None where the cores step them."""
    line: str
    """What a run says of it at first; empty where nothing else was to be expected."""


def chosen_engine(config: RunConfig, given: UserObjects, device: torch.device) -> Engine:
    """The engine that a run asks for, or the one that fits its device.

    Raises:
        InputError: the device is asked for, and the environments cannot be there.
    """
    problem = config.problem
    assert isinstance(problem, EnvProblem)
    on_device = problem.engine == "device" or (problem.engine == "auto" and device.type != "cpu")
    in_order = config.deterministic and device.type != "cpu"
    hindrance = _hindrance(problem, given, in_order=in_order) if on_device else ""
    if problem.engine == "device" and hindrance:
        raise InputError(f"device is not possible: {hindrance}; c steps on the cores", "engine")
    if on_device and not hindrance:
        return Engine(_maker(problem, given, device), f"engine: device, {device}")
    if problem.engine_kwargs:
        raise InputError("is for the engine device, but c steps the environments", "engine_kwargs")
    return Engine(None, f"engine: c, on the cores: {hindrance}" if hindrance else "")


def make_sampler(envs: TaskEnvs | DeviceEnvs, problem: EnvProblem) -> TaskSampler[Any]:
    """What rolls out the meta-batches of a run in its environments."""
    kind: Any = DeviceSampler if isinstance(envs, DeviceEnvs) else Sampler
    sampling, facts = problem.sampling, problem.trained_on
    assert facts is not None
    sampler: TaskSampler[Any] = kind(
        envs,
        num_tasks=len(own_tasks(sampling.meta_batch_size)),
        horizon=facts.horizon,
        discount=sampling.discount,
        action_scale=sampling.action_scale,
        info_keys=sampling.info_keys,
    )
    sampler.part = Part.own(sampling.meta_batch_size)
    return sampler


def _hindrance(problem: EnvProblem, given: UserObjects, *, in_order: bool) -> str:
    """Why the environments cannot be on the device; empty if they can."""
    learner = problem.algorithm.learner
    if isinstance(problem.algorithm, sb3.SB3Config):
        return f"stable-baselines3, which trains {learner}, takes its environments from the cores"
    if problem.algorithm.show_task:
        return f"{learner} sees the task, which environments there do not show"
    if problem.sampling.info_keys:
        return "environments there have no info, of which --info-keys asks"
    source = problem.env if given.env is None else given.env
    try:
        check_code(source, given)
        ordered = problem.engine_kwargs.get("ordered", False)
        if in_order and not ordered and environments.on_warp(source):
            return (
                "deterministic: MuJoCo Warp adds up contacts on a GPU in no fixed order "
                "(--engine-kwargs '{\"ordered\": true}' is made to, and was not tried on one)"
            )
    except ValueError as error:
        return str(error)
    return environments.device_hindrance(source, problem.env_kwargs)


def _maker(
    problem: EnvProblem, given: UserObjects, device: torch.device
) -> Callable[[int], DeviceEnvs]:
    facts, source = problem.trained_on, given.env or problem.env
    assert facts is not None
    assert isinstance(source, str)  # nothing else has a form on a device
    seen, acted = space_of(facts.observation_space), space_of(facts.action_space)

    def make(num_envs: int) -> DeviceEnv:
        options = {**problem.env_kwargs, **problem.engine_kwargs}
        with input_errors("env"):
            return environments.make_device(source, num_envs, device, options)

    return lambda num_envs: DeviceEnvs(make, num_envs, seen, acted)

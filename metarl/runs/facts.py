"""What a run was trained on, as plain data in its config, so that nothing is made to know it."""

from dataclasses import field
from typing import Any

from pydantic.dataclasses import dataclass
from torch import nn

from metarl.configs import STRICT, Count, Natural
from metarl.fewshot import ClassGroups, Scaling, Split
from metarl.rl.plain_spaces import plain_space, space_of
from metarl.rl.task_envs import TaskEnvs, are_copies
from metarl.runs.errors import InputError, input_errors
from metarl.types import Task


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EnvFacts:
    """A task family as a run saw it."""

    observation_space: dict[str, Any]
    """Of one environment, with the task where that is shown; see
    :func:`metarl.rl.plain_spaces.plain_space`."""
    action_space: dict[str, Any]
    task_space: dict[str, dict[str, Any]]
    horizon: Count
    """Longest trajectory."""
    own: bool = False
    """Whether the environment was given as a function or an object, which no file can hold."""
    own_network: str = ""
    """The class of the policy's network, where that was the user's own."""
    batched: bool = False
    """Whether many are the rows of one environment, not copies of one."""
    given_observations: dict[str, Any] | None = None
    """The environment's own observation space, where policies see another."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ClassFacts:
    """The classes of one part of a data set."""

    names: tuple[str, ...]
    counts: tuple[Natural, ...]
    """Examples of each."""
    groups: ClassGroups | None = None
    """Structure of the classes, where there is one."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DataFacts:
    """Data sets as a run saw them; none of the sinusoid."""

    shape: tuple[Count, ...]
    """Of one example."""
    classes: dict[str, dict[Split, ClassFacts]]
    """By name of the data set and part."""
    scaling: Scaling | None = None
    """That the examples of a table or of series were standardised by."""
    digests: dict[str, str] = field(default_factory=dict)
    """:attr:`Dataset.digest` by name."""


def env_facts(envs: TaskEnvs, horizon: int, **own: Any) -> EnvFacts:
    """Those of environments that there are; :class:`ValueError` for spaces that no file can hold.

    Args:
        envs: which.
        horizon: longest trajectory.
        own: what of them is the user's own.
    """
    given = getattr(envs, "given_observation_space", None)
    return EnvFacts(
        given_observations=None if given is None else plain_space(given),
        observation_space=plain_space(envs.single_observation_space),
        action_space=plain_space(envs.single_action_space),
        task_space={k: plain_space(v) for k, v in envs.get_attr("task_space")[0].items()},
        horizon=horizon,
        batched=not are_copies(getattr(envs, "unwrapped", envs)),
        **own,
    )


def time_limit(env: TaskEnvs) -> int | None:
    """The environments' own limit of steps."""
    spec = env.spec or env.get_attr("spec")[0]  # gymnasium's vectors of objects have none
    registered = spec.max_episode_steps if spec is not None else None
    inner = getattr(env, "unwrapped", env)  # vector wrappers hide its attributes
    limit: int | None = getattr(inner, "max_episode_steps", registered)
    return limit


def class_name(module: nn.Module) -> str:
    """The qualified name of a module's class."""
    return f"{type(module).__module__}.{type(module).__qualname__}"


def check_spaces(name: str, env: TaskEnvs, trained_on: EnvFacts) -> None:
    """Raise an :class:`InputError` if an environment is not such as the run was trained on."""
    given = getattr(env, "given_observation_space", None) or env.single_observation_space
    pairs = {
        "observations": (given, trained_on.given_observations or trained_on.observation_space),
        "observations as policies see them": (
            env.single_observation_space,
            trained_on.observation_space,
        ),
        "actions": (env.single_action_space, trained_on.action_space),
    }
    for what, (space, plain) in pairs.items():
        if space != space_of(plain):
            raise InputError(
                f"{name} has {what} {space}, the run was trained on {space_of(plain)}", "env"
            )


def checked_task(env: TaskEnvs, task: dict[str, Any]) -> Task:
    """A given task as an environment has it; that is closed afterwards.

    Raises:
        InputError: the task does not fit.
    """
    try:
        with input_errors("task"):
            env.set_attr("task", [task])
        checked: Task = env.get_attr("task")[0]
    finally:
        env.close()
    return checked

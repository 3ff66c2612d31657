"""Vector environments with tasks: what collection needs of them, and ones that are made late."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

LARGEST = float(np.finfo(np.float32).max)


class SampledEnvs(Protocol):
    """Environments of one kind, each with a ``task``: what is asked of them between rollouts."""

    num_envs: int
    metadata: dict[str, Any]
    single_observation_space: spaces.Space[Any]
    single_action_space: spaces.Space[Any]
    spec: EnvSpec | None

    def close(self) -> None:
        """Close all environments."""
        ...

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """The attribute of each environment: ``task`` or ``task_distribution``."""
        ...


class TaskEnvs(SampledEnvs, Protocol):
    """A gymnasium vector environment whose environments have a ``task``.

    ``TaskVectorEnv``, ``SyncVectorEnv`` and ``AsyncVectorEnv`` all are; the attributes of each
    environment include ``task`` (settable) and ``task_distribution``.
    """

    action_space: spaces.Space[Any]

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start all environments, or those of ``options["reset_mask"]``.

        With a list of seeds, one an environment, each draws the same whatever the others do.
        """
        ...

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Step all environments."""
        ...

    def set_attr(self, name: str, values: Sequence[Any]) -> None:
        """Set the attribute of each environment.

        Tasks are set between trajectories: after one has ended, and before the reset that starts
        the next. A setter may act at once or in that reset.
        """
        ...


@dataclass(eq=False)
class DeferredEnvs:
    """Environments whose spaces are known: made when they are used, closed in between.

    Their autoreset mode is ``DISABLED``, where nothing else is said of it.
    """

    make: Callable[[int], TaskEnvs]
    """Makes so many of them."""
    num_envs: int
    single_observation_space: spaces.Space[Any]
    single_action_space: spaces.Space[Any]
    made: list["DeferredEnvs"] = field(default_factory=list)
    """Shared by sets of environments of which one is to exist at a time: that one. The others are
    closed when it is used, and made again when they are."""
    given_observation_space: spaces.Space[Any] | None = None
    """Of the environments themselves, where policies see another."""

    def __post_init__(self) -> None:
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.DISABLED}
        self.spec: EnvSpec | None = None
        self._made: TaskEnvs | None = None

    @property
    def envs(self) -> TaskEnvs:
        """The environments themselves."""
        if self._made is None:
            while self.made:
                self.made.pop().close()
            self._made = self.make(self.num_envs)
            self.made.append(self)
        return self._made

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """See :class:`TaskEnvs`."""
        return self.envs.reset(seed=seed, options=options)

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """See :class:`TaskEnvs`."""
        return self.envs.step(actions)

    def close(self) -> None:
        """Close them, if they were made; who uses them again gets new ones."""
        made, self._made = self._made, None
        if made is not None:
            made.close()

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """See :class:`TaskEnvs`."""
        return self.envs.get_attr(name)

    def set_attr(self, name: str, values: Sequence[Any]) -> None:
        """See :class:`TaskEnvs`."""
        self.envs.set_attr(name, values)


def are_copies(envs: Any) -> bool:
    """Whether environments are single ones, in this process or in others."""
    return isinstance(envs, SyncVectorEnv | AsyncVectorEnv) or hasattr(envs, "num_workers")


def set_some(env: TaskEnvs, name: str, rows: Sequence[int], values: Sequence[Any]) -> None:
    """Set an attribute of some environments, while the others may be within a trajectory.

    Of the environments of gymnasium's own vector environments the others are not written to, since
    setters may do more than set; metarl's own families change only what differs.
    """
    if isinstance(env, DeferredEnvs):
        env = env.envs
    inner = getattr(env, "unwrapped", env)
    for own in (env, inner):
        if hasattr(own, "set_some"):
            own.set_some(name, rows, values)
            return
    if isinstance(inner, SyncVectorEnv):
        for row, value in zip(rows, values, strict=True):
            inner.envs[row].set_wrapper_attr(name, value)
    elif isinstance(inner, AsyncVectorEnv):
        _set_some_async(inner, name, rows, values)
    else:
        every = list(env.get_attr(name))
        for row, value in zip(rows, values, strict=True):
            every[row] = value
        env.set_attr(name, every)


def _set_some_async(
    env: AsyncVectorEnv, name: str, rows: Sequence[int], values: Sequence[Any]
) -> None:
    for row, value in zip(rows, values, strict=True):
        env.parent_pipes[row].send(("_setattr", (name, value)))
    done = {row: env.parent_pipes[row].recv()[1] for row in rows}
    env._raise_if_errors([done.get(row, True) for row in range(env.num_envs)])


def are_numbers(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values single precision holds: not NaN, nor infinity, nor beyond it."""
    fits: NDArray[np.bool_] = np.abs(values) <= LARGEST
    return fits


def all_numbers(values: NDArray[Any]) -> bool:
    """Whether all are; in every step of a collection, so one sum of squares says so mostly."""
    if values.dtype.kind != "f":
        return True
    flat = values.ravel()
    # of all products this one says nothing where it overflows
    return bool(np.vdot(flat, flat) <= LARGEST) or bool(are_numbers(values).all())

"""Vector environments with tasks: what collection needs of them, and ones that are made late."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Protocol

from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray


class TaskEnvs(Protocol):
    """A gymnasium vector environment whose environments have a ``task``.

    ``TaskVectorEnv``, ``SyncVectorEnv`` and ``AsyncVectorEnv`` all are; the attributes of each
    environment include ``task`` (settable) and ``task_distribution``.
    """

    num_envs: int
    metadata: dict[str, Any]
    single_observation_space: spaces.Space[Any]
    single_action_space: spaces.Space[Any]
    action_space: spaces.Space[Any]
    spec: EnvSpec | None

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

    def close(self) -> None:
        """Close all environments."""
        ...

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """The attribute of each environment."""
        ...

    def set_attr(self, name: str, values: Sequence[Any]) -> None:
        """Set the attribute of each environment."""
        ...


class DeferredEnvs:
    """Environments whose spaces are known, and which are made when they are first used.

    Args:
        make: makes them.
        num_envs: how many.
        observation_space: of one.
        action_space: of one.
        autoreset_mode: theirs.
    """

    spec: EnvSpec | None = None

    def __init__(
        self,
        make: Callable[[int], TaskEnvs],
        num_envs: int,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        autoreset_mode: AutoresetMode = AutoresetMode.DISABLED,
    ) -> None:
        self._make = make
        self.num_envs = num_envs
        self.single_observation_space = observation_space
        self.single_action_space = action_space
        self.action_space = batch_space(action_space, num_envs)
        self.metadata: dict[str, Any] = {"autoreset_mode": autoreset_mode}

    @cached_property
    def envs(self) -> TaskEnvs:
        """The environments themselves."""
        return self._make(self.num_envs)

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
        """Close them, if they were made."""
        if "envs" in self.__dict__:
            self.envs.close()

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """See :class:`TaskEnvs`."""
        return self.envs.get_attr(name)

    def set_attr(self, name: str, values: Sequence[Any]) -> None:
        """See :class:`TaskEnvs`."""
        self.envs.set_attr(name, values)

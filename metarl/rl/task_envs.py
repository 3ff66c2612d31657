"""Vector environments with tasks: what collection needs of them, and ones that are made late."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


@dataclass(eq=False)
class DeferredEnvs:
    """Environments whose spaces are known, and which are made when they are first used.

    Their autoreset mode is ``DISABLED``.
    """

    make: Callable[[int], TaskEnvs]
    """Makes so many of them."""
    num_envs: int
    single_observation_space: spaces.Space[Any]
    single_action_space: spaces.Space[Any]

    def __post_init__(self) -> None:
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.DISABLED}
        self.spec: EnvSpec | None = None

    @cached_property
    def envs(self) -> TaskEnvs:
        """The environments themselves."""
        return self.make(self.num_envs)

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

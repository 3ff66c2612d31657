"""Environments whose tensors stay on their device: what a device sampler drives.

:class:`DeviceEnv` is the contract, :class:`FamilyDeviceEnv` runs any family of pure functions of
arrays by it. Nothing here imports a tensor library: the caller gives its namespace.
"""

from typing import Any, Protocol

import numpy as np
from gymnasium import spaces

from metarl_envs.arrays import Array, Arrays, OfArrays, on
from metarl_envs.family import Family
from metarl_envs.registration import NUMPY_FAMILIES
from metarl_envs.rows import DeviceRowRandom
from metarl_envs.task_spaces import validate_tasks
from metarl_envs.tasks import Product, Task


class DeviceEnv(Protocol):
    """``num_envs`` environments of a family, each with a sticky task, in tensors of one device.

    ``observations``, ``rewards``, ``terminated`` and ``diverged`` are the same tensors for good:
    :meth:`restart` and :meth:`step` write them in place, without waiting for the device and without
    a copy to or from the host. The time limit is the caller's to keep, and whoever has terminated
    is stepped on until it is restarted: what becomes of it does not matter, but it is finite.
    """

    name: str
    """Id of the family."""
    num_envs: int
    device: Any
    max_episode_steps: int
    """The family's time limit, in steps."""
    single_observation_space: spaces.Space[Any]
    single_action_space: spaces.Space[Any]
    task_distribution: Product
    task_space: spaces.Dict
    observations: Array
    """``[N, *shape]`` of the observation space, in its dtype: float32 but for pictures."""
    rewards: Array
    """Of the last step, float32 ``[N]``."""
    terminated: Array
    """By the last step and not restarted since, bool ``[N]``; those that diverged included."""
    diverged: Array
    """Whose physics broke down in the last step, bool ``[N]``; their rewards are 0."""
    capturable: bool
    """Whether the caller may capture :meth:`restart` and :meth:`step` in a CUDA graph, for they are
    tensor operations throughout. If not, a step has three parts, ``begin(actions)``,
    ``simulate()`` and ``finish()``: the middle one has a graph of its own, and the caller may
    capture the others together with what it does itself."""

    def set_tasks(self, tasks: Task) -> None:
        """Give every environment its task, outside of rollouts.

        Args:
            tasks: a batch of ``num_envs``, NumPy arrays.

        Raises:
            ValueError: as :meth:`metarl_envs.TaskVectorEnv.set_tasks`.
        """
        ...

    def restart(self, seeds: Array, rows: Array | None = None) -> None:
        """Start environments anew in their tasks; their random numbers come from their seeds.

        Args:
            seeds: int64 ``[N]``, at least 0. An environment draws the numbers that one with this
                seed in the list of :meth:`metarl_envs.TaskVectorEnv.reset` does.
            rows: bool ``[N]``, which ones; by default all.
        """
        ...

    def step(self, actions: Array) -> None:
        """Advance every environment by one step.

        Args:
            actions: of the action space, ``[N, A]``, or integers ``[N]`` where it is discrete.
        """
        ...

    def check(self) -> None:
        """Raise what has gone wrong since the last check, once after a rollout: it waits.

        Raises:
            ValueError: one line.
        """
        ...


class DeviceFamily(Family, OfArrays, Protocol):
    """A family that runs on any library's arrays."""


class FamilyDeviceEnv:
    """A :class:`DeviceEnv` of a family that runs on any library's arrays.

    Args:
        family: on NumPy, as it is made.
        num_envs: N.
        max_episode_steps: time limit in steps.
        arrays: library, type of states and rewards, device.
        name: in messages, by default that of the class.
    """

    capturable = True

    def __init__(
        self,
        family: DeviceFamily,
        num_envs: int,
        max_episode_steps: int,
        arrays: Arrays,
        name: str = "",
    ) -> None:
        for what, value in (("num_envs", num_envs), ("max_episode_steps", max_episode_steps)):
            if value < 1:
                raise ValueError(f"{what} must be at least 1, got {value}")
        self.name = name or type(family).__name__
        self.num_envs, self.max_episode_steps = num_envs, max_episode_steps
        self.device = arrays.device
        self.single_observation_space = family.observation_space
        self.single_action_space = family.action_space
        self.task_distribution = family.task_distribution
        self.task_space = family.task_distribution.space
        self._family, self._arrays = on(arrays, family), arrays
        self._tasks = {
            name: self._zeros(*(part.shape or ())) for name, part in self.task_space.items()
        }
        self.set_tasks(self.task_distribution.sample(np.random.default_rng(0), num_envs))
        self._make_outcomes()

    def _make_outcomes(self) -> None:
        xp, family, num = self._arrays.xp, self._family, self.num_envs
        self._random = DeviceRowRandom(self._arrays, self._zeros(dtype=xp.int64))
        self._state = family.start(self._random, (num,))
        self.observations = family.observe(self._state, self._tasks)
        self.rewards = self._zeros()
        self.terminated, self.diverged = self._zeros(dtype=xp.bool), self._zeros(dtype=xp.bool)
        self._wrong_actions = self._zeros(dtype=xp.bool)
        self._everyone = ~self._wrong_actions

    def _zeros(self, *shape: int, dtype: Any = None) -> Array:
        xp, real, device = self._arrays
        return xp.zeros((self.num_envs, *shape), dtype=dtype or real, device=device)

    def set_tasks(self, tasks: Task) -> None:
        """Give every environment its task: NumPy arrays, a batch of ``num_envs``."""
        batch = validate_tasks(self.task_space, tasks, self.num_envs)
        xp, real, device = self._arrays
        for name, values in batch.items():
            self._tasks[name][...] = xp.asarray(values, dtype=real, device=device)

    def restart(self, seeds: Array, rows: Array | None = None) -> None:
        """Start all environments, or those of ``rows``, with random numbers of their seeds."""
        family, where = self._family, self._arrays.xp.where
        rows = self._everyone if rows is None else rows
        random = DeviceRowRandom(self._arrays, seeds)
        start = family.start(random, (self.num_envs,))
        self._random.take(random, rows)
        each = rows.reshape((-1,) + (1,) * (start.ndim - 1))
        self._state[...] = where(each, start, self._state)
        self.observations[...] = family.observe(self._state, self._tasks)
        self.terminated &= ~rows

    def step(self, actions: Array) -> None:
        """Advance every environment by one step."""
        outcome = self._family.step(self._state, self._known(actions), self._tasks, self._random)
        self._state[...] = outcome.state
        self.observations[...] = self._family.observe(self._state, self._tasks)
        self.rewards[...] = outcome.reward
        self.terminated[...] = outcome.terminated

    def _known(self, actions: Array) -> Array:
        """The actions; those that a discrete space does not have are noted and replaced."""
        space = self.single_action_space
        expected = (self.num_envs, *(space.shape or ()))
        if tuple(actions.shape) != expected:
            raise ValueError(f"actions must be {expected}, got {tuple(actions.shape)}")
        if not isinstance(space, spaces.Discrete):
            return actions
        if not self._arrays.xp.isdtype(actions.dtype, "integral"):
            raise ValueError(f"actions must be integers from 0 to {space.n - 1}")
        known = actions.clip(0, int(space.n) - 1)
        self._wrong_actions |= actions != known
        return known

    def check(self) -> None:
        """Raise a :class:`ValueError` if an action was none of a discrete space."""
        (wrong,) = self._arrays.xp.nonzero(self._wrong_actions)
        self._wrong_actions[...] = False
        if len(wrong):
            last = int(self.single_action_space.n) - 1  # type: ignore[attr-defined]  # Discrete
            raise ValueError(
                f"{self.name}: an action of environment {int(wrong[0])} was no integer from 0 to "
                f"{last}"
            )


def make_family(
    env_id: str, num_envs: int, max_episode_steps: int, device: Any, xp: Any, **options: Any
) -> FamilyDeviceEnv:
    """Environments of one of :data:`metarl_envs.NUMPY_FAMILIES`, in float32."""
    family_type, _ = NUMPY_FAMILIES[env_id]
    arrays = Arrays(xp, xp.float32, device)
    return FamilyDeviceEnv(family_type(**options), num_envs, max_episode_steps, arrays, env_id)

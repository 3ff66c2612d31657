"""Environments whose states are tensors of a device: what sampling needs of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray
from torch import Tensor

from metarl.core import capturing
from metarl.rl.env_faults import EnvironmentFaultError
from metarl.types import Task


class DeviceEnv(Protocol):
    """N environments of a task family on a device.

    The tensors below are written in place by :meth:`restart` and :meth:`step` and never replaced,
    so that CUDA graphs may keep reading them. An environment that has ended is stepped on without
    meaning; nothing is started anew but by :meth:`restart`.
    """

    num_envs: int
    name: str
    max_episode_steps: int
    task_distribution: Any
    observations: Tensor
    """``[N, D]`` float32."""
    rewards: Tensor
    """``[N]`` float32."""
    terminated: Tensor
    """``[N]`` bool."""
    diverged: Tensor
    """``[N]`` bool; what has diverged has ended."""
    capturable: bool
    """Whether a caller may capture :meth:`step` in a CUDA graph; what is not is in three parts, see
    :class:`PhysicsEnv`."""

    def set_tasks(self, tasks: dict[str, NDArray[Any]]) -> None:
        """Give every environment its task, a batch of N, between rollouts."""
        ...

    def restart(self, seeds: Tensor, rows: Tensor | None = None) -> None:
        """Start all, or those of ``rows`` (bool ``[N]``), from seeds ≥ 0, int64 ``[N]``."""
        ...

    def step(self, actions: Tensor) -> None:
        """Step all by environment actions, ``[N, A]``, or ``[N]`` of discrete ones."""
        ...

    def check(self) -> None:
        """Raise for what went wrong in a rollout; waits for the device."""
        ...


class PhysicsEnv(DeviceEnv, Protocol):
    """One whose steps have a part with a graph of its own; a caller may capture the two others."""

    def begin(self, actions: Tensor) -> None:
        """Take the actions, as :meth:`step` does."""
        ...

    def simulate(self) -> None:
        """Physics, by a graph of its own."""
        ...

    def finish(self) -> None:
        """Write the results."""
        ...


@dataclass(eq=False)
class DeviceEnvs:
    """Environments of a device whose spaces are known: made when they are used."""

    make: Callable[[int], DeviceEnv]
    """Makes so many of them."""
    num_envs: int
    single_observation_space: spaces.Space[Any]
    single_action_space: spaces.Space[Any]
    spec: EnvSpec | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._made: DeviceEnv | None = None
        self._tasks: list[Task] = []
        self._each = 1

    @property
    def env(self) -> DeviceEnv:
        """The environments themselves."""
        if self._made is None:
            self._made = self.make(self.num_envs)
        return self._made

    @property
    def name(self) -> str:
        """What messages call them."""
        return self.env.name

    def set_tasks(self, tasks: Sequence[Task], each: int) -> None:
        """Give each task to so many environments, one task after another, until set again."""
        self._tasks, self._each = list(tasks), each
        batch = {name: np.stack([task[name] for task in tasks]) for name in tasks[0]}
        self.env.set_tasks({name: values.repeat(each, 0) for name, values in batch.items()})

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """The attribute of each environment."""
        if name == "task":
            return tuple(task for task in self._tasks for _ in range(self._each))
        return (getattr(self.env, name),) * self.num_envs

    def close(self) -> None:
        """Let go of them, and of their memory; who uses them again gets new ones."""
        self._made = None


def captured(work: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """What does the same work on the same tensors, on CUDA as one graph.

    Args:
        work: launches on tensors that stay; it was done before, so that nothing is made late.
        device: where.

    Raises:
        EnvironmentFaultError: something in it reads what it has computed, or copies to the device.
    """
    if device.type != "cuda":
        return work
    graph = torch.cuda.CUDAGraph()
    try:
        with capturing(graph):
            work()
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise EnvironmentFaultError(
            "steps of the policy and its environments cannot be captured in a CUDA graph, which "
            "nothing in the network may read from, or copy to, the device: make it so, or take "
            f"--engine c; torch says: {str(error).splitlines()[0]}"
        ) from error
    return graph.replay

"""``TaskVectorEnv``: a gymnasium vector environment in which every environment has its own task.

The base class owns what all batched families share: the tasks, the time limit, autoreset. A family
implements three hooks on whole arrays (``_start``, ``_advance``, ``_observe``). Tasks are *sticky*:
they stay through resets until they are set again. Set them for all environments at once with
``set_tasks`` or through gymnasium's own ``set_attr("task", [...])``, which also works on
``SyncVectorEnv`` and ``AsyncVectorEnv`` of single environments.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from metarl_envs.rows import Random, RowRandom
from metarl_envs.task_spaces import validate_task, validate_tasks
from metarl_envs.tasks import Product, Task, unstack


class TaskVectorEnv(VectorEnv[NDArray[Any], NDArray[Any], NDArray[Any]], ABC):
    """Base of the batched families.

    Args:
        num_envs: number of environments.
        observation_space: of a single environment.
        action_space: of a single environment.
        task_distribution: where tasks come from; its space is ``task_space``.
        max_episode_steps: time limit, in steps; ``truncations`` marks it.
        autoreset_mode: as in gymnasium.
    """

    def __init__(
        self,
        num_envs: int,
        *,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        task_distribution: Product,
        max_episode_steps: int,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {num_envs}")
        if max_episode_steps < 1:
            raise ValueError(f"max_episode_steps must be at least 1, got {max_episode_steps}")
        self.num_envs = num_envs
        self.single_observation_space = observation_space
        self.single_action_space = action_space
        self.observation_space = batch_space(observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        self.task_distribution = task_distribution
        self.task_space = task_distribution.space
        self.max_episode_steps = max_episode_steps
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self._elapsed = np.zeros(num_envs, np.int64)
        self._finished = np.zeros(num_envs, bool)
        self._row_random: RowRandom | None = None
        self._tasks: Task = {}
        self.set_tasks(task_distribution.sample(self.np_random, num_envs, "train"))

    @abstractmethod
    def _start(self, rows: NDArray[np.bool_]) -> None:
        """Put the chosen environments into a start state, drawn from ``self._random(rows)``."""

    @abstractmethod
    def _advance(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_], dict[str, NDArray[Any]]]:
        """Step every environment; rewards, terminations and info, ``[num_envs]`` each.

        What becomes of those that have ended before (``self._finished``) does not matter.
        """

    @abstractmethod
    def _observe(self) -> NDArray[Any]:
        """Fresh observations of every environment, not views of the state."""

    def _random(self, rows: NDArray[np.bool_] | None = None) -> Random:
        """What the chosen environments, or all, draw from: by :meth:`reset`'s last seeds."""
        if self._row_random is None:
            return self.np_random
        return self._row_random if rows is None else self._row_random.of(rows)

    def _change_tasks(self, rows: NDArray[np.bool_], tasks: Task) -> None:
        """The chosen environments get these tasks, a batch of ``rows.sum()``: for new bodies."""

    @property
    def tasks(self) -> Task:
        """The current tasks, a batch of ``num_envs``."""
        return self._tasks

    def set_tasks(self, tasks: Task) -> None:
        """Give every environment its task: a batch of ``num_envs``; they hold from now on."""
        batch = validate_tasks(self.task_space, tasks, self.num_envs)
        rows = self._changed(batch)
        if rows.any():
            self._change_tasks(rows, {name: values[rows] for name, values in batch.items()})
        self._tasks = batch

    def _changed(self, batch: Task) -> NDArray[np.bool_]:
        """Which environments have another task in the batch than now."""
        changed = np.full(self.num_envs, not self._tasks)
        for name, values in self._tasks.items():
            changed |= (values != batch[name]).reshape(self.num_envs, -1).any(1)
        return changed

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start all environments, or those of ``options["reset_mask"]``, in their current tasks.

        Args:
            seed: one for the whole batch, which then draws from one generator; or a list with one
                for each environment, which then draws the same whatever the others are and do. In
                a list None leaves an environment's random numbers as they are.
            options: ``reset_mask``, bool ``[num_envs]``.
        """
        super().reset(seed=None if isinstance(seed, Sequence) else seed)
        everywhere = np.ones(self.num_envs, bool)
        mask = np.asarray((options or {}).get("reset_mask", everywhere), bool)
        if mask.shape != (self.num_envs,):
            raise ValueError(f"reset_mask must have shape ({self.num_envs},), got {mask.shape}")
        if isinstance(seed, Sequence):
            self._seed_rows(seed, mask)
        elif seed is not None:
            self._row_random = None
        self._restart(mask)
        return self._observe(), {}

    def _seed_rows(self, seeds: Sequence[int | None], mask: NDArray[np.bool_]) -> None:
        """Start the random numbers of the chosen environments that have a seed."""
        if len(seeds) != self.num_envs:
            raise ValueError(f"need one seed an environment ({self.num_envs}), got {len(seeds)}")
        if self._row_random is None:
            first = self.np_random.integers(2**63, size=self.num_envs)
            self._row_random = RowRandom(first.tolist())
        given = mask & np.array([seed is not None for seed in seeds])
        chosen = [seed for seed, here in zip(seeds, given, strict=True) if here]
        self._row_random.restart(given, [seed for seed in chosen if seed is not None])

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[
        NDArray[Any], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]
    ]:
        """Advance every environment by one step, as gymnasium's vector API defines it."""
        ended = self._finished
        rewards, terminations, info = self._advance(actions)
        self._elapsed += 1
        truncations = self._elapsed >= self.max_episode_steps
        if self.autoreset_mode == AutoresetMode.NEXT_STEP and ended.any():
            # NEXT_STEP: this step only resets the environments that ended in the last one
            self._restart(ended)
            rewards = np.where(ended, 0.0, rewards)
            terminations, truncations = terminations & ~ended, truncations & ~ended
        finished = terminations | truncations
        # DISABLED: what has ended stays so until it is reset
        waiting = ended if self.autoreset_mode == AutoresetMode.DISABLED else False
        self._finished = finished | waiting
        observations = self._observe()
        if self.autoreset_mode == AutoresetMode.SAME_STEP and finished.any():
            info = {**info, "final_obs": observations, "_final_obs": finished}
            self._restart(finished)
            observations = self._observe()
        return observations, rewards, terminations, truncations, info

    def _restart(self, rows: NDArray[np.bool_]) -> None:
        self._start(rows)
        self._elapsed[rows] = 0
        self._finished = self._finished & ~rows

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """The attribute of each environment, as gymnasium's vector environments return it."""
        if name == "task":
            return tuple(unstack(self._tasks))
        return (getattr(self, name),) * self.num_envs

    def set_attr(self, name: str, values: Sequence[Any] | Any) -> None:
        """Set ``task``: a list with one task an environment, or one task for all of them."""
        if name != "task":
            raise AttributeError(f"only 'task' can be set for each environment, got {name!r}")
        single = isinstance(values, dict)
        tasks: list[Any] = [values] * self.num_envs if single else list(values)
        if len(tasks) != self.num_envs:
            raise ValueError(f"need one task an environment ({self.num_envs}), got {len(tasks)}")
        checked = [validate_task(self.task_space, task) for task in tasks[: 1 if single else None]]
        checked = checked * self.num_envs if single else checked
        self.set_tasks({name: np.stack([t[name] for t in checked]) for name in self.task_space})

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Read an attribute of each environment; batched environments have no methods to call."""
        if args or kwargs:
            raise AttributeError(f"{type(self).__name__} has no method {name!r} an environment")
        return self.get_attr(name)

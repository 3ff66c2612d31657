"""``TaskVecEnv``: a vector environment with tasks as stable-baselines3's ``VecEnv``."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from metarl.core import Streams
from metarl.embedding.contexts import num_features
from metarl.rl.env_faults import (
    EnvironmentFaultError,
    check_share,
    described,
    note,
    note_outside,
)
from metarl.rl.observations import as_arrays
from metarl.rl.outcomes import Outcomes
from metarl.rl.simulation import task_vectors
from metarl.rl.task_envs import TaskEnvs, all_numbers, are_numbers, set_some
from metarl.rl.task_sampler import drawn_tasks
from metarl.sb3.infos import listed, tell_ends
from metarl.types import Metrics, Task


class TaskVecEnv(VecEnv):
    """One stable-baselines3 environment for every environment of the batch, each with its task.

    An environment that ends starts again within the same step, as stable-baselines3 has it: the
    observation is the first of the next trajectory, ``terminal_observation`` in its info the last
    of this one and ``TimeLimit.truncated`` whether a time limit ended it.

    Args:
        env: a gymnasium vector environment with tasks and autoreset mode ``DISABLED``; this class
            resets what has ended.
        draw_every: draw a new task for an environment after this many of its trajectories; 0 for
            never, 1 for domain randomisation. Where it is drawn, ``task_drawn`` in the info is
            True.
        split: part of the task distribution that tasks are drawn from.
        among: tasks to draw from instead of the distribution.
        seed: of tasks and environments, until ``seed()`` is called. What an environment gets
            follows from the seed, its number and its trial's, not from what the others do.
        on_fault: what to do where an environment gives NaN or infinity. ``raise`` an
            :class:`~metarl.rl.env_faults.EnvironmentFaultError`; or ``cut`` the trajectory before
            that step, as a time limit would, with reward 0 and ``left_out`` in its info. Who learns
            from it leaves it out: :attr:`left_out` and :meth:`check`.
        horizon: a time limit of our own, whatever the environments do.
        info_keys: numbers of their info that ``outcomes`` in the info of an end has behind success,
            see :mod:`metarl.rl.outcomes`; ``is_success`` is what stable-baselines3 counts.

    Tasks are set between trajectories: where one has ended, before the reset that starts the next.
    The other environments are not written to.

    Raises:
        ValueError: for another autoreset mode.
    """

    num_steps: int
    """Of every environment since the last reset."""
    left_out: list[tuple[int, int]]
    """Step, counted so from 0, and environment of every trajectory that was cut since then."""
    num_diverged: int
    """Trajectories since then that ended because their simulation diverged."""

    def __init__(
        self,
        env: TaskEnvs,
        *,
        draw_every: int = 1,
        split: Literal["train", "held_out"] = "train",
        among: Sequence[Task] | None = None,
        seed: int = 0,
        on_fault: Literal["raise", "cut"] = "raise",
        horizon: int | None = None,
        info_keys: tuple[str, ...] = (),
    ) -> None:
        if env.metadata.get("autoreset_mode") != AutoresetMode.DISABLED:
            raise ValueError(
                "TaskVecEnv resets by itself: make the environment with "
                "autoreset_mode=AutoresetMode.DISABLED"
            )
        env = as_arrays(env)
        self.env: TaskEnvs = env
        self.draw_every = draw_every
        self.split = split
        self.among = among
        self.on_fault = on_fault
        self._horizon = horizon or 2**62
        self._every = np.ones(env.num_envs, bool)
        self.outcomes = Outcomes(env.num_envs, info_keys)
        self.faults: list[str] = []
        """The newest, in words."""
        self._outside: list[str] = []
        self._start_streams(seed)
        self._actions: NDArray[Any] = np.empty(0)
        self._observations: NDArray[Any] = np.empty(0)
        self._trajectories = np.zeros(env.num_envs, np.int64)  # ended in the current task
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self._vectors: NDArray[np.float32] | None = None
        self._drawn = not draw_every  # the first tasks are drawn when something first needs them

    @property
    def observation_size(self) -> int:
        """Numbers of an observation."""
        return spaces.flatdim(self.observation_space)

    @property
    def transition_size(self) -> int:
        """F, numbers of a transition."""
        return num_features(self.observation_size, spaces.flatdim(self.action_space))

    @property
    def disjoint(self) -> bool:
        """Whether train and held-out tasks share none."""
        return bool(self._distribution.disjoint)

    @property
    def _distribution(self) -> Any:
        return self.env.get_attr("task_distribution")[0]

    @property
    def tasks(self) -> list[Task]:
        """The task of every environment."""
        self._draw_first()
        return list(self.env.get_attr("task"))

    def task_vectors(self) -> NDArray[np.float32]:
        """The numbers of every environment's task, ``[num_envs, P]``."""
        if self._vectors is None:
            self._vectors = task_vectors(self.tasks)
        return self._vectors.copy()

    def set_tasks(self, tasks: Sequence[Task]) -> None:
        """Give every environment its task; they hold until they are drawn or set again."""
        self.env.set_attr("task", list(tasks))
        self._vectors, self._drawn = task_vectors(tasks), True

    def draw_tasks(self) -> None:
        """Draw a new task for every environment."""
        self.set_tasks([self._next_task(index) for index in range(self.num_envs)])
        self._trajectories[:] = 0

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed the task draws, and the environments at the next reset."""
        seeds = super().seed(seed)
        self._start_streams(self._seeds[0] or 0)
        return seeds

    def _start_streams(self, seed: int) -> None:
        self._streams = Streams(seed, "training")
        self._num_resets = 0
        self._num_drawn = np.zeros(self.env.num_envs, np.int64)  # tasks of every environment

    def reset(self) -> NDArray[Any]:
        """Start all environments."""
        self._draw_first()
        seeds = self._streams.seeds("environments", self.num_envs, self._num_resets)
        self._num_resets += 1
        self.left_out, self.num_diverged = [], 0
        self.num_steps, self._begun = 0, self.num_envs
        self._starts = np.zeros(self.num_envs, np.int64)
        self._spoilt = np.zeros(self.num_envs, bool)
        self.outcomes.begin(self._every)
        observations, _ = self.env.reset(seed=list(seeds))
        self._observations = np.zeros_like(observations)
        self._observations, _, _ = self._numbers(observations, np.zeros(self.num_envs))
        self._reset_seeds()
        self._reset_options()
        return self._observations

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions for :meth:`step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Advance every environment, and start again those that have ended."""
        observations, rewards, terminated, truncated, info = self.env.step(self._actions)
        self.num_steps += 1
        observations, rewards, bad = self._numbers(observations, rewards)
        if bad is not None:
            terminated, truncated = terminated & ~bad, truncated | bad
        truncated = truncated | (self.num_steps - self._starts >= self._horizon)
        ended = terminated | truncated
        self.outcomes.step(info, self._every)
        infos = listed(info, self.num_envs)
        if ended.any():
            seen = observations.reshape(1, 1, self.num_envs, -1)
            steps = self.num_steps - self._starts
            note_outside(self._outside, self.env, seen, np.ones(seen.shape[:3], bool), steps)
            diverged = np.broadcast_to(info.get("diverged", False), ended.shape) & ended
            self.num_diverged += int(diverged.sum())
            drawn = self._draw_for(ended)
            more = {"diverged": diverged, "left_out": self._spoilt, "task_drawn": drawn}
            told, by_limit = self.outcomes.take(ended), truncated & ~terminated
            tell_ends(infos, observations, by_limit, told, ended=ended, **more)
            observations = self._restart(ended)
        self._observations = observations
        return observations, rewards.astype(np.float32), ended, infos

    def _restart(self, ended: NDArray[np.bool_]) -> NDArray[Any]:
        """Start the next trajectories; the observations of all environments."""
        self._begun += int(ended.sum())
        self._starts[ended] = self.num_steps
        self._spoilt &= ~ended
        observations, _ = self.env.reset(options={"reset_mask": ended})
        if all_numbers(observations):
            return observations
        self._observations = np.zeros_like(observations)
        return self._numbers(observations, np.zeros(self.num_envs))[0]

    def _numbers(
        self, observations: NDArray[Any], rewards: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_] | None]:
        """Without what is no number: the observations before and reward 0; where it was."""
        if all_numbers(observations) and all_numbers(rewards):
            return observations, rewards, None
        good = are_numbers(observations).reshape(self.num_envs, -1).all(1) & are_numbers(rewards)
        for index in map(int, np.flatnonzero(~good)):
            step = self.num_steps - int(self._starts[index])
            fault = described(self.env, index, step, observations[index], float(rewards[index]))
            if self.on_fault == "raise":
                raise EnvironmentFaultError(fault)
            note(self.faults, fault)
            if not self._spoilt[index]:
                self.left_out.append((self.num_steps - (step > 0), index))
        self._spoilt |= ~good
        observations, rewards = observations.copy(), np.where(good, rewards, 0.0)
        observations[~good] = self._observations[~good]
        return observations, rewards, ~good

    def check(self) -> None:
        """Raise an :class:`EnvironmentFaultError` if more than a tenth was left out since reset."""
        check_share(len(self.left_out), self._begun, self.faults)

    def metrics(self) -> Metrics:
        """Trajectories since the last reset that came to a bad end."""
        diverged, left_out = float(self.num_diverged), float(len(self.left_out))
        return {"rollout/diverged": diverged, "rollout/left_out": left_out}

    def close(self) -> None:
        """Close the environments."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of some environments."""
        if attr_name == "render_mode":  # VecEnv asks at once, and nothing here is drawn
            return [None for _ in self._get_indices(indices)]
        values = self.env.get_attr(attr_name)
        return [values[index] for index in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of some environments to one value."""
        rows = list(self._get_indices(indices))
        set_some(self.env, attr_name, rows, [value] * len(rows))
        self._vectors = None

    def env_method(
        self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """Not for batched environments."""
        raise AttributeError(f"batched environments have no method {method_name!r} of their own")

    def env_is_wrapped(self, wrapper_class: type[Any], indices: VecEnvIndices = None) -> list[bool]:
        """No environment of a batch is wrapped."""
        return [False for _ in self._get_indices(indices)]

    def _draw_first(self) -> None:
        if not self._drawn:
            self.draw_tasks()

    def _draw_for(self, ended: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Draw new tasks for environments that have had theirs long enough; which they were."""
        self._trajectories += ended
        due = ended & (self.draw_every > 0) & (self._trajectories >= self.draw_every)
        if due.any():
            rows = np.flatnonzero(due).tolist()
            drawn = [self._next_task(row) for row in rows]
            vectors = self.task_vectors()
            set_some(self.env, "task", rows, drawn)
            vectors[rows] = task_vectors(drawn)
            self._vectors = vectors
            self._trajectories[due] = 0
        return due

    def _next_task(self, index: int) -> Task:
        """A new task of an environment."""
        number = int(self._num_drawn[index])
        self._num_drawn[index] += 1
        return self.drawn(1, self._streams.numpy("tasks", index, number))[0]

    def drawn(self, num: int, rng: np.random.Generator) -> list[Task]:
        """New tasks, which no environment gets yet."""
        if self.among is not None:
            return [self.among[i] for i in rng.integers(len(self.among), size=num)]
        return drawn_tasks(self.env, rng, num, self.split)

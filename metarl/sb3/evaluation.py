"""Trials outside training: what a policy reaches after 0..K trajectories of a task."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from metarl.embedding import TrialRecorder, Trials
from metarl.rl.simulation import NUM_SHOWN, Paths
from metarl.sb3.vec_env import Task


class AdaptationRun(NamedTuple):
    """What a policy did in trials on M tasks."""

    returns: NDArray[np.float64]
    """Mean return of trajectory k of every task, ``[K, M]``."""
    trials: Trials
    """``[M·E, K]``; row m·E + e is trial e of task m."""
    tasks: list[Task]
    """M."""
    observation_size: int
    """Of the observations that transitions start with."""
    disjoint: bool
    """Whether training draws none of the tasks."""
    context: NDArray[np.float32]
    """What the policy saw beside the last observation, ``[M, E, C]``."""

    def paths(self) -> list[tuple[Paths, Paths]]:
        """What the first and the last trajectory of a few trials of the first tasks saw."""
        num_tasks, num_shown = NUM_SHOWN
        lengths, transitions = self.trials.lengths, self.trials.transitions
        if not transitions.shape[-1]:
            return []
        each, last = len(lengths) // len(self.tasks), lengths.shape[1] - 1

        def ways(task: int, k: int) -> Paths:
            rows = range(task * each, task * each + min(each, num_shown))
            seen = slice(self.observation_size)
            return [transitions[row, k, : lengths[row, k], seen] for row in rows]

        return [(ways(m, 0), ways(m, last)) for m in range(min(num_tasks, len(self.tasks)))]


def first_and_last(returns: NDArray[np.float64]) -> tuple[float, float]:
    """Mean return of the first and of the last of K trajectories ``[K, n]``; 0 of none."""
    first, last = (float(returns[k].mean()) if returns[k].size else 0.0 for k in (0, -1))
    return first, last


def act(model: Any, env: VecEnv, recorder: TrialRecorder) -> None:
    """Let a policy act until every environment has had the trajectories of its trial.

    Args:
        model: of stable-baselines3; a recurrent state lives as long as an episode.
        env: over a :class:`~metarl.sb3.TrialVecEnv` that draws no tasks.
        recorder: its observer.
    """
    observations: Any = env.reset()
    state, starts = None, np.ones(env.num_envs, bool)
    while recorder.index.min() < recorder.current.returns.shape[1]:
        actions, state = model.predict(observations, state, starts)
        observations, _, starts, _ = env.step(actions)

"""Trials outside training: what a policy reaches after 0..K trajectories of a task."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from metarl.core import Streams
from metarl.embedding import TrialRecorder, Trials
from metarl.rl import Actor
from metarl.rl.env_faults import EnvironmentFaultError, check_share
from metarl.rl.outcomes import mean_told, named
from metarl.rl.simulation import NUM_SHOWN, Paths
from metarl.sb3.vec_env import TaskVecEnv
from metarl.types import Adaptation, Metrics, Task, TasksDone

IN_TRAINING = 20, 5
"""Tasks of an evaluation in training, and trials of each."""


class AdaptationRun(NamedTuple):
    """What a policy did in trials on M tasks."""

    returns: NDArray[np.float64]
    """Mean return of trajectory k of every task, ``[K, M]``."""
    trials: Trials
    """``[M·E, K]``; row m·E + e is trial e of task m."""
    tasks: Sequence[Task]
    """M."""
    observation_size: int
    """Of the observations that transitions start with."""
    disjoint: bool
    """Whether training draws none of the tasks."""
    context: NDArray[np.float32]
    """What the policy saw beside the last observation, ``[M, E, C]``."""

    def adaptation(
        self,
        actor: Callable[[NDArray[np.float32] | None], Actor],
        info_keys: Sequence[str],
        embeddings: NDArray[np.float32] | None,
        figures: Metrics,
    ) -> Adaptation[Actor]:
        """The same as of every learner.

        Args:
            actor: the policy with a context, or with that of the start of a trial.
            info_keys: of what environments told.
            embeddings: prototypes of the first trajectories, where there are any.
            figures: what else there is to say.
        """
        return Adaptation(
            values=self.returns,
            measure="returns",
            unit="trajectories",
            model=lambda task, after: actor(self.context[task, 0] if after else None),
            tasks=self.tasks,
            held_out=self.disjoint,
            paths=self.paths(),
            embeddings=embeddings,
            outcomes=self._outcomes(info_keys),
            figures=figures,
        )

    def _outcomes(self, info_keys: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """Means over the trials of every task that are not left out, ``[K, M]`` by name."""
        left_out = np.isnan(self.trials.returns)[..., None]
        told = np.where(left_out, np.nan, self.trials.outcomes)
        return named(
            mean_told(told.reshape(len(self.tasks), -1, *told.shape[1:]), 1).swapaxes(0, 1),
            info_keys,
        )

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


def run_batches(
    act_once: Callable[[], tuple[Trials, NDArray[np.float32]]],
    env: TaskVecEnv,
    tasks: Sequence[Task],
    num_trials: int,
    streams: Streams,
    progress: TasksDone,
) -> AdaptationRun:
    """Trials of M tasks, as many at once as there are environments.

    Tasks alternate, and the last batch is filled up with trials that do not count.

    Args:
        act_once: a trial in every environment, and the context ``[N, C]`` at its end.
        env: the environments.
        tasks: M.
        num_trials: E, of each.
        streams: seed the environments of every batch.
        progress: told of every batch.
    """
    total, found = num_trials * len(tasks), []
    for first in range(0, total, env.num_envs):
        env.seed(streams.seed_of("trials", first))
        env.set_tasks([tasks[i % len(tasks)] for i in range(first, first + env.num_envs)])
        found.append(act_once())
        progress(min(first + env.num_envs, total) // num_trials, len(tasks))
    batches, contexts = zip(*found, strict=True)
    columns = (np.concatenate(column) for column in zip(*batches, strict=True))
    order = np.arange(total).reshape(num_trials, len(tasks)).T
    trials = Trials(*columns).rows(order.ravel())
    returns = mean_returns(trials, len(tasks), env.faults)
    context = np.concatenate(contexts)[order]
    return AdaptationRun(returns, trials, tasks, env.observation_size, env.disjoint, context)


def mean_returns(trials: Trials, num_tasks: int, faults: list[str]) -> NDArray[np.float64]:
    """Mean over the trials of every task that are not left out, ``[K, M]``.

    Raises:
        EnvironmentFaultError: a task has none, or more than a tenth is left out.
    """
    check_share(int(np.isnan(trials.returns).any(1).sum()), len(trials.returns), faults)
    returns = trials.returns.reshape(num_tasks, -1, trials.returns.shape[1])
    if np.isnan(returns).all(1).any():
        raise EnvironmentFaultError(f"{faults[-1]}; it leaves a task without any trial")
    means: NDArray[np.float64] = np.nanmean(returns, 1).T
    return means


def trial_metrics(group: str, returns: NDArray[np.float64]) -> Metrics:
    """Mean return of the first and of the last of K trajectories ``[K, n]``; 0 of none.

    The first is not without adaptation: a policy with a context, or recurrent, adapts within it.
    """
    first, last = (float(returns[k].mean()) if returns[k].size else 0.0 for k in (0, -1))
    ends = {"return_first": first, "return_last": last, "trial_gain": last - first}
    return {f"{group}/{name}": value for name, value in ends.items()}


def outcome_metrics(group: str, outcomes: NDArray[np.float32], info_keys: Sequence[str]) -> Metrics:
    """Means of what environments told of the first and the last of K, ``[n, K, 1 + keys]``."""
    told = named(mean_told(outcomes, 0), info_keys) if len(outcomes) else {}
    ends = {
        f"{group}/{name}_{when}": float(values[step])
        for name, values in told.items()
        for when, step in (("first", 0), ("last", -1))
    }
    return {name: value for name, value in ends.items() if np.isfinite(value)}


def evaluation_metrics(
    held_out: AdaptationRun, validation: AdaptationRun, info_keys: Sequence[str], figures: Metrics
) -> Metrics:
    """What an evaluation in training reports of trials on held-out and on validation tasks."""
    return {
        **trial_metrics("eval", held_out.returns),
        "eval/validation": trial_metrics("eval", validation.returns)["eval/return_last"],
        **outcome_metrics("eval", held_out.trials.outcomes, info_keys),
        **{f"eval/{name}": value for name, value in figures.items()},
    }


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

"""``TrialVecEnv``: several trajectories of one task as one episode, with a context that grows."""

import math
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from metarl.embedding import Context, ReturnSpan, Transitions, TrialRecorder
from metarl.rl.actions import action_map, is_unbounded
from metarl.rl.observations import highest_pixel, one_hots
from metarl.sb3.vec_env import TaskVecEnv

UNBOUNDED = 2.0**100
"""The bound of actions that have none."""


class TrialVecEnv(VecEnvWrapper):
    """Observations with a context, actions in ±``action_scale``, episodes of a trial.

    Images are vectors of their pixels, within [0, 1].

    A trial is ``env.draw_every`` trajectories of one task, or goes on for ever where that is 0. The
    context grows within it and starts anew with the next. Where episodes are trials, returns reach
    from one trajectory into the next, so exploration is paid for what it finds out.

    Args:
        env: draws a new task at the end of a trial.
        context: of as many environments.
        action_scale: policy actions of ±``action_scale`` span the environment's action bounds; None
            for actions as the environment has them.
        episodes: what stable-baselines3 takes for an episode.
        finite_horizon: whether the end of a trial is one that has nothing beyond, and not a time
            limit, beyond which values go on.
        observer: told of every start and step.
    """

    venv: TaskVecEnv

    def __init__(
        self,
        env: TaskVecEnv,
        context: Context,
        *,
        action_scale: float | None = 1.0,
        episodes: ReturnSpan = "trial",
        finite_horizon: bool = False,
        observer: TrialRecorder | None = None,
    ) -> None:
        self.context = context
        self.episodes = episodes
        self.finite_horizon = finite_horizon
        self.observer = observer
        self._to_env = None if action_scale is None else action_map(env.action_space, action_scale)
        self._raw = np.zeros((env.num_envs, 0), np.float32)
        self._actions = np.zeros((env.num_envs, 0), np.float32)
        seen, acted = env.observation_space, env.action_space
        if not isinstance(seen, spaces.Box) or len(seen.shape) not in (1, 3):
            raise ValueError(
                f"need a Box observation space of one axis, or of three for images, got {seen}"
            )
        self._highest = highest_pixel(seen) if len(seen.shape) == 3 else None
        beside = np.full(context.size, np.inf, np.float32)
        shown = spaces.Box(
            np.concatenate([self._vectors(seen.low[None])[0], -beside]),
            np.concatenate([self._vectors(seen.high[None])[0], beside]),
        )
        if action_scale is not None:
            acted = _policy_actions(acted, action_scale)
        super().__init__(env, shown, acted)

    def reset(self) -> NDArray[np.float32]:
        """Start a trial in every environment; where tasks are drawn at all, in a new task."""
        if self.venv.draw_every:
            self.venv.draw_tasks()
        self._raw = self._vectors(np.asarray(self.venv.reset()))
        self.context.begin(np.ones(self.num_envs, bool))
        if self.observer is not None:
            self.observer.begin()
        return self._observations(self._raw)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Map the actions and keep them for :meth:`step_wait`."""
        self._actions = self._as_vectors(actions)
        if self._to_env is not None:
            mapped = self._to_env(actions.reshape(self.num_envs, -1))
            actions = mapped.reshape(self.num_envs, *(self.venv.action_space.shape or ()))
        self.venv.step_async(actions)

    def step_wait(self) -> VecEnvStepReturn:
        """Advance, grow the context and end episodes."""
        raw, rewards, ended, infos = self.venv.step_wait()
        raw = self._vectors(np.asarray(raw))
        successors, terminated = raw.copy(), ended.copy()
        over, left_out = np.zeros((2, self.num_envs), bool)
        outcomes = {int(i): infos[i]["outcomes"] for i in np.flatnonzero(ended)}
        for i in np.flatnonzero(ended):
            successors[i] = self._vectors(infos[i]["terminal_observation"][None])[0]
            terminated[i] = not infos[i]["TimeLimit.truncated"]
            over[i] = infos[i]["task_drawn"]
            left_out[i] = infos[i]["left_out"]
        step = Transitions(self._raw, self._actions, rewards, successors, terminated, ended)
        self.context.add(step)
        if self.observer is not None:
            self.observer.leave_out(left_out)
            self.observer.tell(outcomes)
            self.observer(step, over)
        episode_ended = ended if self.episodes == "trajectory" else over
        if episode_ended.any():
            last = self._observations(successors)
            for i in np.flatnonzero(episode_ended):
                infos[i]["terminal_observation"] = last[i]
                infos[i]["TimeLimit.truncated"] &= not (self.finite_horizon and over[i])
        if over.any():
            self.context.begin(over)
        self._raw = raw
        return self._observations(raw), rewards, episode_ended, infos

    def _vectors(self, observations: NDArray[Any]) -> NDArray[np.float32]:
        """Observations ``[N, ...]`` as vectors ``[N, D]``, pixels within [0, 1]."""
        vectors = np.asarray(observations, np.float32).reshape(len(observations), -1)
        return vectors if self._highest is None else vectors / np.float32(self._highest)

    def _observations(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.concatenate([raw, self.context.features()], 1)

    def _as_vectors(self, actions: NDArray[Any]) -> NDArray[np.float32]:
        """Actions ``[N, A]``, one-hot where they are choices."""
        acted = self.venv.action_space
        if isinstance(acted, spaces.Discrete):
            one_hot = np.eye(int(acted.n), dtype=np.float32)
            chosen: NDArray[np.float32] = one_hot[actions]
            return chosen
        if isinstance(acted, spaces.MultiDiscrete):
            return one_hots(actions.reshape(self.num_envs, -1), acted.nvec.ravel())
        return actions.astype(np.float32)


def _policy_actions(space: spaces.Space[Any], scale: float) -> spaces.Space[Any]:
    """What stable-baselines3 acts in: ±scale, or choices side by side.

    It takes no Box without bounds, so there they are too far to matter.
    Switches are choices of two: sb3-contrib's RecurrentPPO fails on a MultiBinary.
    """
    if isinstance(space, spaces.Box):
        scale = UNBOUNDED if is_unbounded(space) else scale
        return spaces.Box(-scale, scale, space.shape)
    if isinstance(space, spaces.MultiDiscrete):
        return spaces.MultiDiscrete(space.nvec.ravel())
    if isinstance(space, spaces.MultiBinary):
        return spaces.MultiDiscrete([2] * math.prod(space.shape))
    return space

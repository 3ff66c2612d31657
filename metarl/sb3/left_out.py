"""What an environment spoilt is taken out of what stable-baselines3 learns from."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sb3_contrib.common.recurrent.buffers import RecurrentRolloutBuffer
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback

from metarl.rl.env_faults import EnvironmentFaultError
from metarl.sb3.vec_env import TaskVecEnv


class LeaveOut(BaseCallback):
    """After a collection: steps of others stand where an episode had a trajectory that was cut.

    So the size of the buffer stays; a tenth at most is replaced.

    Args:
        env: collected from, with ``on_fault="cut"``.
    """

    def __init__(self, env: TaskVecEnv) -> None:
        super().__init__()
        self.env = env

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        if self.env.left_out:
            self.env.check()
            model: Any = self.model
            buffer = getattr(model, "rollout_buffer", None) or model.replay_buffer
            replace_spoilt(buffer, self.env)


def replace_spoilt(buffer: Any, env: TaskVecEnv) -> None:
    """Copy steps of other episodes over those of episodes in which a trajectory was cut.

    Recurrent policies learn from sequences: there all steps of such an environment are replaced.

    Args:
        buffer: of stable-baselines3, whose newest steps are those since ``env`` was reset.
        env: that they were collected from.

    Raises:
        EnvironmentFaultError: nothing is left.
    """
    steps = min(env.num_steps, buffer.buffer_size)
    newest = np.arange(buffer.pos - steps, buffer.pos) % buffer.buffer_size
    bad = np.zeros((steps, env.num_envs), bool)
    episodes = _episodes(buffer, newest)
    for time, index in env.left_out:
        step = time - env.num_steps + steps
        if 0 <= step < steps:
            bad[:, index] |= episodes[:, index] == episodes[step, index]
    recurrent = isinstance(buffer, RecurrentRolloutBuffer)
    if recurrent:
        bad |= bad.any(0)
    good = np.argwhere(~bad)
    if not len(good):
        raise EnvironmentFaultError(f"{env.faults[-1]}; no environment is left without such a step")
    taken = good[np.linspace(0, len(good) - 1, int(bad.sum())).astype(int)]
    if recurrent:  # good rows are in the order of time, as many of each
        others = good.reshape(steps, -1, 2)
        taken = others[:, np.arange(int(bad[0].sum())) % others.shape[1]].reshape(-1, 2)
    place, source = (tuple(pairs.T) for pairs in (np.argwhere(bad), taken))
    for values in _columns(buffer):
        values[newest[place[0]], place[1]] = values[newest[source[0]], source[1]]


def _episodes(buffer: Any, newest: NDArray[np.intp]) -> NDArray[np.int64]:
    """Number of the episode that each step belongs to, of its environment's, ``[T, N]``."""
    if isinstance(buffer, ReplayBuffer):
        ends = buffer.dones[newest] > 0
        return np.cumsum(ends, 0) - ends
    return np.asarray(np.cumsum(buffer.episode_starts[newest] > 0, 0))


def _columns(buffer: Any) -> Iterator[NDArray[Any]]:
    """The arrays of a buffer as views ``[T, N, ...]``."""
    for name, values in vars(buffer).items():
        if isinstance(values, np.ndarray) and values.ndim > 1:
            yield values.swapaxes(1, 2) if name.startswith(("hidden_", "cell_")) else values

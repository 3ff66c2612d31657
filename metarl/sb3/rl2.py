"""RL²: a recurrent policy that adapts by what it remembers (Duan et al. 2016)."""

from gymnasium import spaces

from metarl.embedding import Context, LastTransition
from metarl.sb3.learner import SB3Learner
from metarl.sb3.vec_env import TaskVecEnv


class RL2(SB3Learner):
    """sb3-contrib's RecurrentPPO over trials; its state lives as long as a trial.

    The policy sees the last action, the last reward and whether it ended a trajectory; see
    :class:`~metarl.sb3.learner.SB3Learner` for the arguments.
    """

    def _context(self, env: TaskVecEnv, *, training: bool = False) -> Context:
        return LastTransition(env.num_envs, spaces.flatdim(env.action_space))

"""Adaptation measured while any model of stable-baselines3 trains."""

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv, VecNormalize, unwrap_vec_normalize

from metarl.embedding import NoContext, TrialRecorder
from metarl.sb3.evaluation import act, outcome_metrics, trial_metrics
from metarl.sb3.state import global_generators
from metarl.sb3.trials import TrialVecEnv
from metarl.sb3.vec_env import TaskVecEnv


class AdaptationCallback(BaseCallback):
    """Returns of the first and the last trajectory of trials, every so many steps of training.

    They go to the model's logger as ``eval/return_first``, ``eval/return_last`` and
    ``eval/trial_gain``. Training is not disturbed: it draws the same random numbers with and
    without the callback. Where the model's observations are normalised, so are these.

    Args:
        env: for evaluation alone: a :class:`~metarl.sb3.TaskVecEnv` of ``draw_every=0`` whose tasks
            are set, for a model that trains over one; or a :class:`TrialVecEnv` over one, whose
            ``observer`` is the callback's.
        every: environment steps of training between two evaluations; the first comes after them.
        num_trajectories: of a trial.
        seed: of environments and actions, the same every time.
    """

    def __init__(
        self,
        env: TrialVecEnv | TaskVecEnv,
        *,
        every: int,
        num_trajectories: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if isinstance(env, TaskVecEnv):
            nothing = NoContext(env.num_envs)
            env = TrialVecEnv(env, nothing, action_scale=None, episodes="trajectory")
        if env.venv.draw_every:
            raise ValueError("the tasks of an evaluation stay: make its TaskVecEnv draw_every=0")
        if every < 1 or num_trajectories < 1:
            raise ValueError(
                f"every and num_trajectories must be at least 1, got {every}, {num_trajectories}"
            )
        self.env = env
        self.every = every
        self.num_trajectories = num_trajectories
        self.seed = seed
        self._due = every

    def _on_step(self) -> bool:
        if self.num_timesteps >= self._due:
            self._due = self.num_timesteps + self.every
            self._evaluate()
        return True

    def _evaluate(self) -> None:
        keys = self.env.venv.outcomes.info_keys
        recorder = TrialRecorder(
            self.env.num_envs,
            self.num_trajectories,
            horizon=1,
            task_vectors=self.env.venv.task_vectors,
            num_outcomes=1 + len(keys),
        )
        self.env.observer = recorder
        env: VecEnv = self.env
        trained_on = self.model.get_env()
        statistics = None if trained_on is None else unwrap_vec_normalize(trained_on)
        if statistics is not None and statistics.norm_obs:
            env = VecNormalize(env, training=False, norm_reward=False)
            env.obs_rms = statistics.obs_rms
        with global_generators(self.seed):
            env.seed(self.seed)
            act(self.model, env, recorder)
        trials = recorder.current
        told = outcome_metrics("eval", trials.outcomes, keys)
        for name, value in (trial_metrics("eval", trials.returns.T) | told).items():
            self.logger.record(name, value)

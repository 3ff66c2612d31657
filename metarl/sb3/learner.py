"""Learners whose policy stable-baselines3 optimises over trials; the trainer drives them.

Every iteration starts new trials, so no state of an environment outlives it, and all that
stable-baselines3 draws from the global generators is drawn from seeds of the iteration.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import nn

from metarl.rl.sampler import TaskEnvs
from metarl.sb3.configs import SB3Config
from metarl.sb3.contexts import Context, NoContext
from metarl.sb3.recorder import TrialRecorder, Trials
from metarl.sb3.state import (
    global_generators,
    load_normalisation,
    load_replay,
    normalisation_state,
    replay_state,
)
from metarl.sb3.trials import TrialVecEnv
from metarl.sb3.vec_env import Task, TaskVecEnv
from metarl.types import Metrics

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}
EVALUATION_TASKS, EVALUATION_TRIALS = 20, 5  # held-out tasks, and trials of each
BATCH_SIZE = 256  # transitions of an off-policy optimiser step
EXPLORATION = 0.1  # standard deviation of TD3's action noise, in units of action_scale


class Collection(NamedTuple):
    """How much is collected, and from what."""

    make_env: Callable[[int], TaskEnvs]
    """From a number of environments to a vector environment with autoreset ``DISABLED``."""
    num_envs: int
    """N, trials side by side."""
    horizon: int
    """T, the longest trajectory."""
    discount: float
    """γ."""
    action_scale: float
    """Policy actions of ±``action_scale`` span the environment's action bounds."""


class Network(NamedTuple):
    """Shape and start of the policy and of the value function."""

    hidden_sizes: tuple[int, ...]
    activation: str
    initial_log_std: float

    def policy_kwargs(self, config: SB3Config) -> dict[str, Any]:
        """As stable-baselines3 wants it."""
        kwargs: dict[str, Any] = {
            "net_arch": list(self.hidden_sizes),
            "activation_fn": ACTIVATIONS[self.activation],
        }
        return kwargs | ({"log_std_init": self.initial_log_std} if config.optimiser == "ppo" else {})


class AdaptationRun(NamedTuple):
    """What a policy did in trials on M tasks."""

    returns: NDArray[np.float64]
    """Mean return of trajectory k of every task, ``[K, M]``."""
    trials: Trials
    """``[M·E, K]``; row m·E + e is trial e of task m."""
    tasks: list[Task]
    """M."""


class SB3Learner:
    """Trains one policy over trials of randomised tasks; without a context it cannot adapt.

    Args:
        config: numbers of the algorithm.
        collection: how much is collected, and from what.
        network: shape and start of the policy.
        seed: decides everything random.
        device: of the policy.
    """

    def __init__(
        self,
        config: Any,
        collection: Collection,
        network: Network,
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        self.config = config
        self.collection = collection
        self.device = device
        self.iteration = 0
        self._network = network
        self._seed = seed
        with global_generators(self._iteration_seed()):
            self._task_env = self._make_task_env(collection.num_envs, config.trial_length)
            self._prepare(self._task_env)
            self.recorder = self._recorder(self._task_env, config.trial_length)
            self.env = self._normalised(self._make_trials(self._task_env, self.recorder))
            self.model = self._make_model(self.env)
        self.model.set_logger(Logger(None, []))

    @property
    def env_steps(self) -> int:
        """Environment steps of training."""
        return int(self.model.num_timesteps)

    @property
    def steps_per_iteration(self) -> int:
        """Steps of every environment."""
        return int(self.config.trial_length * self.collection.horizon)

    def collect(self) -> Trials:
        """New trials in every environment, on which stable-baselines3 improves the policy."""
        self.iteration += 1
        seed = self._iteration_seed()
        with global_generators(seed):
            self.env.seed(seed)
            self.recorder.begin()
            self.model.set_env(self.env)  # so that learn() starts new trials
            steps = self.steps_per_iteration * self.collection.num_envs
            quiet: Any = None  # no table of its own
            self.model.learn(steps, reset_num_timesteps=False, log_interval=quiet)
        return self.recorder.take()

    def update(self, experience: Trials) -> Metrics:
        """What happened; the policy has been improved while it was collected."""
        first, last = (_mean(experience.returns[:, k]) for k in (0, -1))
        own = self.model.logger.name_to_value
        metrics = {f"sb3/{key}": float(value) for key, value in own.items() if _is_number(value)}
        own.clear()
        return {
            "rollout/return_pre": first,
            "rollout/return_post": last,
            "rollout/steps": float(self.steps_per_iteration * self.collection.num_envs),
            "rollout/env_steps": float(self.env_steps),
            "adapt/gain": last - first,
            "meta/skipped": 0.0,
            **metrics,
        }

    def evaluate(self) -> Metrics:
        """Returns of the first and last trajectory of trials on held-out tasks, always the same."""
        seed = int(np.random.SeedSequence((self._seed, 1)).generate_state(1)[0])
        length = max(self.config.trial_length, 2)
        run = self.run_trials(EVALUATION_TASKS, EVALUATION_TRIALS, length, seed=seed)
        first, last = (float(run.returns[k].mean()) for k in (0, -1))
        return {
            "eval/return_pre": first,
            "eval/return_post": last,
            "eval/adaptation_gain": last - first,
            **self._evaluation_metrics(run),
        }

    def run_trials(
        self,
        num_tasks: int,
        num_trials: int,
        num_trajectories: int,
        *,
        seed: int,
        tasks: list[Task] | None = None,
    ) -> AdaptationRun:
        """Trials on held-out tasks, by actions drawn from the policy, outside training.

        Args:
            num_tasks: M.
            num_trials: E, trials a task.
            num_trajectories: K, of each trial; may be more than in training.
            seed: of tasks, environments and actions.
            tasks: M tasks to use instead of held-out ones.
        """
        task_env = self._make_task_env(num_tasks * num_trials, 0, split="held_out")
        task_env.seed(seed)
        chosen = task_env.drawn(num_tasks) if tasks is None else tasks
        task_env.set_tasks([task for task in chosen for _ in range(num_trials)])
        recorder = self._recorder(task_env, num_trajectories)
        env = self._normalised(self._make_trials(task_env, recorder), like=self.env)
        with global_generators(seed):
            self._act(env, recorder)
        env.close()
        returns = recorder.current.returns.reshape(num_tasks, num_trials, -1).mean(1).T
        return AdaptationRun(returns, recorder.current, chosen)

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what happens next."""
        state = {
            "iteration": self.iteration,
            "num_timesteps": self.model.num_timesteps,
            "num_updates": getattr(self.model, "_n_updates", 0),
            "model": self.model.get_parameters(),
            "normalisation": normalisation_state(self.env),
        }
        entropy = getattr(self.model, "log_ent_coef", None)
        if entropy is not None:
            state["log_ent_coef"] = entropy.detach()
        buffer = getattr(self.model, "replay_buffer", None)
        if buffer is not None:
            state["replay"] = replay_state(buffer)
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
        self.iteration = state["iteration"]
        self.model.num_timesteps = state["num_timesteps"]
        self.model._n_updates = state["num_updates"]
        self.model.set_parameters(state["model"], device=self.device)
        load_normalisation(self.env, state["normalisation"])
        if "log_ent_coef" in state:
            with torch.no_grad():
                self.model.log_ent_coef.copy_(state["log_ent_coef"])
        if "replay" in state:
            load_replay(self.model.replay_buffer, state["replay"])

    def _act(self, env: VecEnv, recorder: TrialRecorder) -> None:
        """Let the policy act until every environment has had its trajectories."""
        observations: Any = env.reset()
        recorder.begin()
        state, starts = None, np.ones(env.num_envs, bool)
        while recorder.index.min() < recorder.current.returns.shape[1]:
            actions, state = self.model.predict(observations, state, starts)
            observations, _, starts, _ = env.step(actions)

    def _prepare(self, env: TaskVecEnv) -> None:
        """What has to exist before the first context is made."""

    def _context(self, env: TaskVecEnv) -> Context:
        """What the policy sees beside the observation."""
        return NoContext(env.num_envs)

    def _evaluation_metrics(self, run: AdaptationRun) -> Metrics:
        """What else an evaluation tells."""
        return {}

    def _num_recorded(self) -> int:
        """Numbers of a transition, where transitions are wanted."""
        return 0

    def _recorder(self, env: TaskVecEnv, num_trajectories: int) -> TrialRecorder:
        return TrialRecorder(
            env.num_envs,
            num_trajectories,
            horizon=self.collection.horizon,
            num_features=self._num_recorded(),
            task_vectors=env.task_vectors,
        )

    def _iteration_seed(self) -> int:
        return int(np.random.SeedSequence((self._seed, 4, self.iteration)).generate_state(1)[0])

    def _make_task_env(self, num_envs: int, draw_every: int, **options: Any) -> TaskVecEnv:
        env = self.collection.make_env(num_envs)
        return TaskVecEnv(env, draw_every=draw_every, seed=self._iteration_seed(), **options)

    def _make_trials(self, env: TaskVecEnv, recorder: TrialRecorder) -> TrialVecEnv:
        return TrialVecEnv(
            env,
            self._context(env),
            action_scale=self.collection.action_scale,
            episodes=self.config.episodes,
            watch=recorder,
        )

    def _normalised(self, env: TrialVecEnv, like: VecEnv | None = None) -> VecEnv:
        """By running statistics, or those of another environment, which then stay."""
        if not self.config.normalise:
            return env
        normalised = VecNormalize(env, gamma=self.collection.discount)
        if like is not None:
            assert isinstance(like, VecNormalize)
            normalised.training, normalised.norm_reward = False, False
            normalised.obs_rms = like.obs_rms
        return normalised

    def _make_model(self, env: VecEnv) -> Any:
        config = self.config
        shared: dict[str, Any] = {
            "learning_rate": config.lr,
            "gamma": self.collection.discount,
            "policy_kwargs": self._network.policy_kwargs(config),
            "device": self.device,
        }
        if config.optimiser == "ppo":
            return self._make_ppo(env, {**shared, **self._ppo_numbers()})
        if not isinstance(env.action_space, spaces.Box):
            raise ValueError(f"optimiser {config.optimiser} needs continuous actions")
        shared |= {
            "buffer_size": config.buffer_size,
            "batch_size": BATCH_SIZE,
            "train_freq": self.steps_per_iteration,
            "gradient_steps": config.gradient_steps,
            "learning_starts": 0,
        }
        if config.optimiser == "sac":
            return SAC("MlpPolicy", env, **shared)
        size = env.action_space.shape[0]
        scale = EXPLORATION * self.collection.action_scale
        noise = NormalActionNoise(np.zeros(size), np.full(size, scale))
        return TD3("MlpPolicy", env, action_noise=noise, **shared)

    def _make_ppo(self, env: VecEnv, numbers: dict[str, Any]) -> Any:
        return PPO("MlpPolicy", env, **numbers)

    def _ppo_numbers(self) -> dict[str, Any]:
        config = self.config
        steps = self.steps_per_iteration * self.collection.num_envs
        return {
            "n_steps": self.steps_per_iteration,
            "batch_size": max(-(-steps // config.num_minibatches), 2),
            "n_epochs": config.num_epochs,
            "gae_lambda": config.gae_lambda,
            "clip_range": config.clip_range,
            "ent_coef": config.entropy_coefficient,
        }


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating)

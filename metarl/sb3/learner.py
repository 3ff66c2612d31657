"""Learners whose policy stable-baselines3 optimises over trials; the trainer drives them.

Every iteration starts new trials, so no state of an environment outlives it, and all that
stable-baselines3 draws from the global generators is drawn from seeds of the iteration. It draws
the actions of all environments together, so these, unlike tasks and environments, change with the
number of environments.
"""

from collections.abc import Sequence
from contextlib import closing
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.logger import Logger

from metarl.core import Stopwatch, Streams, iteration_times
from metarl.embedding import Context, NoContext, TrialRecorder, Trials
from metarl.rl import Actor, Agent, RecordedTrajectories, Source, UnknownTask
from metarl.rl.actions import action_map
from metarl.rl.outcomes import check_told
from metarl.sb3.evaluation import (
    IN_TRAINING,
    AdaptationRun,
    act,
    evaluation_metrics,
    outcome_metrics,
    run_batches,
    trial_metrics,
)
from metarl.sb3.images import image_kwargs
from metarl.sb3.imported import folded
from metarl.sb3.left_out import LeaveOut
from metarl.sb3.models import CollectionSpec, InitialPolicy, logged, make_model, schedule
from metarl.sb3.state import global_generators, kept_finite, load_model, model_state, normalised
from metarl.sb3.trials import TrialVecEnv
from metarl.sb3.vec_env import TaskVecEnv
from metarl.sb3.watching import adapt_by_watching
from metarl.types import Adaptation, Metrics, Task, TasksDone, unwatched

Split = Literal["train", "held_out"]


class SB3Learner:
    """Trains one policy over trials of randomised tasks; without a context it cannot adapt.

    Args:
        config: numbers of the algorithm.
        collection: what trials are collected from.
        policy: its shape and start.
        seed: decides everything random.
        device: of the policy.
    """

    def __init__(
        self,
        config: Any,
        collection: CollectionSpec,
        policy: InitialPolicy,
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        self.config = config
        self.collection = collection
        self.device = device
        self.iteration = 0
        self._seed = seed
        with global_generators(self._streams.seed_of("weights")):
            self._task_env = self._make_task_env(collection.num_envs, config.trial_length)
            self._prepare(self._task_env)
            self.recorder = self._recorder(self._task_env, config.trial_length)
            trials = self._make_trials(self._task_env, self.recorder, training=True)
            self.env = normalised(trials, config.normalise, collection.discount)
            kwargs = self._policy_kwargs()
            self.model = make_model(
                config, policy, self.env, collection, device=device, policy_kwargs=kwargs
            )
        self.model.set_logger(Logger(None, []))

    @property
    def env_steps(self) -> int:
        """Environment steps of training."""
        return int(self.model.num_timesteps)

    @property
    def steps_per_iteration(self) -> int:
        """Steps of every environment."""
        return int(self.config.trial_length * self.collection.horizon)

    def iterate(self) -> Metrics:
        """New trials in every environment, on which policy and context are improved."""
        self.iteration += 1
        updating = Stopwatch()
        with Stopwatch() as whole:
            trials = self._train_policy(updating)
            metrics = self._report(trials)
            with updating:
                metrics |= self._train_context(trials)
        return metrics | iteration_times(whole.seconds - updating.seconds, updating.seconds)

    def evaluate(self) -> Metrics:
        """Returns of trials on held-out and on validation tasks, which training could draw."""
        held_out, validation = (self._try_on(split) for split in ("held_out", "train"))
        figures, keys = self.figures(held_out), self.collection.info_keys
        return evaluation_metrics(held_out, validation, keys, figures)

    def _try_on(self, split: Split) -> AdaptationRun:
        seed, length = Streams(self._seed, "validation").seed_of("trials"), self.num_steps + 1
        return self.run_trials(*IN_TRAINING, length, seed=seed, tasks=split)

    @property
    def num_steps(self) -> int:
        """Trajectories before the one that an evaluation in training looks at."""
        return int(max(self.config.trial_length, 2)) - 1

    def adapt(
        self, source: Source, steps: int, step_sizes: Sequence[float] = ()
    ) -> Adaptation[Actor | Agent]:
        """Adapt to tasks by what trials show of them.

        Args:
            source: of the trials.
            steps: trajectories after which there is one more, whose return counts.
            step_sizes: there are none.
        """
        if step_sizes:
            raise ValueError("inner_lr is for learners by gradients; this one adapts without")
        if isinstance(source, RecordedTrajectories | UnknownTask):
            return adapt_by_watching(self, source, steps)
        run = self.run_trials(
            source.num_tasks,
            source.num_trajectories,
            steps + 1,
            seed=source.seed,
            tasks="held_out" if source.tasks is None else source.tasks,
            keep_transitions=True,
            progress=source.progress,
            num_envs=source.num_envs,
        )
        told = self.embeddings(run), self.figures(run)
        return run.adaptation(self.actor, self.collection.info_keys, *told)

    def embeddings(self, run: AdaptationRun) -> NDArray[np.float32] | None:
        """Prototypes after one trajectory, of learners with them."""
        return None

    def run_trials(
        self,
        num_tasks: int,
        num_trials: int,
        num_trajectories: int,
        *,
        seed: int,
        tasks: Sequence[Task] | Split = "held_out",
        keep_transitions: bool = False,
        progress: TasksDone = unwatched,
        num_envs: int | None = None,
    ) -> AdaptationRun:
        """Trials on held-out tasks, by actions drawn from the policy, outside training.

        Args:
            num_tasks: M.
            num_trials: E, trials a task.
            num_trajectories: K, of each trial; may be more than in training.
            seed: of tasks, environments and actions.
            tasks: M of them, or the part of the distribution that they are drawn from.
            keep_transitions: also where the learner itself does not want them.
            progress: told of every batch of trials.
            num_envs: that go through them, if more than training has.
        """
        streams = Streams(seed, "test")
        size = min(max(num_envs or 0, self.collection.num_envs), num_tasks * num_trials)
        split: Split = tasks if isinstance(tasks, str) else "held_out"
        with closing(self._make_task_env(size, 0, split=split)) as env:
            rng = streams.numpy("tasks")
            chosen = env.drawn(num_tasks, rng) if isinstance(tasks, str) else tasks

            def act_once() -> tuple[Trials, NDArray[np.float32]]:
                recorder = self._recorder(env, num_trajectories, keep_transitions)
                trials = self._make_trials(env, recorder)
                what, discount = self.config.normalise, self.collection.discount
                act(self.model, normalised(trials, what, discount, like=self.env), recorder)
                return recorder.current, trials.context.features()

            with global_generators(streams.seed_of("library")), kept_finite(self.model):
                return run_batches(act_once, env, chosen, num_trials, streams, progress)

    def unadapted_context(self) -> NDArray[np.float32]:
        """What the policy sees beside the observation at the start of a trial, ``[C]``."""
        context = self._context(self._task_env)
        context.begin(np.ones(self._task_env.num_envs, bool))
        return np.array(context.features()[0])

    def actor(self, context: NDArray[np.float32] | None = None) -> Actor:
        """The policy as ours, with a context that stays.

        Args:
            context: features of a context, ``[C]``; that of the start of a trial by default.

        Raises:
            ValueError: if the policy is not PPO's or is recurrent.
        """
        statistics = self.env.obs_rms if self.config.normalise == "all" else None  # type: ignore[attr-defined]
        to_env = action_map(self._task_env.action_space, self.collection.action_scale)
        held = self.unadapted_context() if context is None else context
        given = getattr(self._task_env.env, "given_observation_space", None)
        return folded(self.model, statistics, held, to_env, given=given)

    def figures(self, run: AdaptationRun) -> Metrics:
        """What else there is to say of :meth:`run_trials`."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what happens next."""
        return {"iteration": self.iteration, **model_state(self.model, self.env)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
        self.iteration = state["iteration"]
        load_model(self.model, self.env, state, self.device)

    def _train_policy(self, updating: Stopwatch) -> Trials:
        """Trials, on which stable-baselines3 updates the policy; ``updating`` times that."""
        schedule(self.model, self.config, self.iteration)
        seed_of = self._streams.seed_of
        with global_generators(seed_of("library")), updating.timing(self.model, "train"):
            self.env.seed(seed_of("trials"))
            self.model.set_env(self.env)  # so that learn() starts new trials
            steps = self.steps_per_iteration * self.collection.num_envs
            quiet: Any = {"reset_num_timesteps": False, "log_interval": None}  # no table of its own
            with kept_finite(self.model):
                self.model.learn(steps, LeaveOut(self._task_env), **quiet)
        return self.recorder.take()

    def _report(self, trials: Trials) -> Metrics:
        check_told(self._task_env.env, trials.outcomes, self.collection.info_keys)
        return {
            **trial_metrics("rollout", trials.returns.T),
            **outcome_metrics("rollout", trials.outcomes, self.collection.info_keys),
            "rollout/steps": float(self.steps_per_iteration * self.collection.num_envs),
            "rollout/env_steps": float(self.env_steps),
            **self._task_env.metrics(),
            "meta/skipped": 0.0,
            **logged(self.model),
        }

    def _train_context(self, trials: Trials) -> Metrics:
        """Improve what the policy sees beside the observation; what there is to report of it."""
        return {}

    def _prepare(self, env: TaskVecEnv) -> None:
        """What has to exist before the first context is made."""

    def _policy_kwargs(self) -> dict[str, Any]:
        """What else the policy of stable-baselines3 is told."""
        return image_kwargs(self._task_env.observation_space)

    def _context(self, env: TaskVecEnv, *, training: bool = False) -> Context:
        """What the policy sees beside the observation."""
        return NoContext(env.num_envs)

    def _recorder(
        self, env: TaskVecEnv, num_trajectories: int, keep_transitions: bool = False
    ) -> TrialRecorder:
        return TrialRecorder(
            env.num_envs,
            num_trajectories,
            horizon=self.collection.horizon,
            num_features=env.transition_size if keep_transitions else 0,
            task_vectors=env.task_vectors,
            num_outcomes=1 + len(self.collection.info_keys),
        )

    @property
    def _streams(self) -> Streams:
        """What training draws from in this iteration."""
        return Streams(self._seed, "training").at(self.iteration)

    def _make_task_env(self, num_envs: int, draw_every: int, **options: Any) -> TaskVecEnv:
        return TaskVecEnv(
            self.collection.make_env(num_envs),
            draw_every=draw_every,
            among=self.collection.tasks,
            seed=self._streams.seed_of("trials"),
            on_fault="cut",
            horizon=self.collection.horizon,
            info_keys=self.collection.info_keys,
            **options,
        )

    def _make_trials(
        self, env: TaskVecEnv, recorder: TrialRecorder, *, training: bool = False
    ) -> TrialVecEnv:
        config = self.config
        options = {"episodes": config.episodes, "finite_horizon": config.finite_horizon}
        scale, context = self.collection.action_scale, self._context(env, training=training)
        return TrialVecEnv(env, context, action_scale=scale, observer=recorder, **options)

"""``proto-embedding``: a policy conditioned on the prototype of its task, which needs no gradient.

The encoder is a ProtoNet over the tasks of the meta-batch (:mod:`metarl.embedding`), the policy
stable-baselines3's. At test a few trajectories make the prototype.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl.core import Streams
from metarl.embedding import (
    Context,
    EncoderTrainer,
    OnlinePrototypes,
    PrototypeContext,
    RecurrentEncoder,
    SupportSample,
    TaskEncoder,
    TransitionEncoder,
    TrialRecorder,
    Trials,
    first_prototypes,
    nearest_accuracy,
)
from metarl.rl import Actor
from metarl.rl.observations import image_shape_of
from metarl.sb3.configs import ProtoEmbeddingConfig
from metarl.sb3.evaluation import AdaptationRun
from metarl.sb3.joint import JointEncoder
from metarl.sb3.learner import SB3Learner
from metarl.sb3.vec_env import TaskVecEnv
from metarl.types import Metrics


class ProtoEmbedding(SB3Learner):
    """Trains encoder and policy; see :class:`~metarl.sb3.learner.SB3Learner` for the arguments."""

    config: ProtoEmbeddingConfig
    encoder_trainer: EncoderTrainer

    @property
    def encoder(self) -> TaskEncoder:
        """What makes the prototypes."""
        return self.encoder_trainer.encoder

    def embeddings(self, run: AdaptationRun) -> NDArray[np.float32]:
        """Those of the first trajectory of every trial, ``[M, E, D]``.

        Args:
            run: of :meth:`run_trials`.
        """
        found: NDArray[np.float32] = first_prototypes(self.encoder, run.trials).cpu().numpy()
        return found.reshape(len(run.tasks), -1, found.shape[-1])

    def figures(self, run: AdaptationRun) -> Metrics:
        """Nearest-prototype accuracy after one trajectory, given several trials a task."""
        prototypes = self.embeddings(run)
        several = prototypes.shape[1] > 1
        return {"embedding_accuracy": nearest_accuracy(prototypes)} if several else {}

    def actor(self, context: NDArray[np.float32] | None = None) -> Actor:
        """See :class:`~metarl.sb3.learner.SB3Learner`."""
        context = self.unadapted_context() if context is None else context
        if self.config.joint:
            context = self.model.policy.features_extractor.shown(context)
        return super().actor(context)

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what happens next."""
        return super().state_dict() | self.encoder_trainer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
        super().load_state_dict(state)
        self.encoder_trainer.load_state_dict(state)

    def _prepare(self, env: TaskVecEnv) -> None:
        config = self.config
        kind = RecurrentEncoder if config.encoder == "recurrent" else TransitionEncoder
        image_shape = image_shape_of(env.observation_space)
        if config.joint and image_shape is not None:
            raise ValueError("joint is for observations that are vectors, not for images")
        encoder = kind(
            env.transition_size,
            config.encoder_hidden_size,
            config.embedding_size,
            self._streams.torch("encoder"),
            image_shape=image_shape,
        )
        self.encoder_trainer = EncoderTrainer(
            encoder.to(self.device), config, averaged=not config.joint
        )

    def _train_context(self, trials: Trials) -> Metrics:
        generator = self._streams.torch("encoder")
        return self.encoder_trainer.train(trials, self.iteration, generator)

    def _context(self, env: TaskVecEnv, *, training: bool = False) -> Context:
        if self.config.joint:
            seed = Streams(self._seed, "training").seed_of("context")
            return SupportSample(
                env.num_envs, self.config.num_support, self.encoder.num_features, seed
            )
        prototypes = OnlinePrototypes(
            self.encoder,
            env.num_envs,
            within_trajectory=self.config.within_trajectory,
            noise=self.config.prototype_noise if training else 0.0,
            **self._shown(),
        )
        shuffle = env.task_vectors if self.config.shuffle else None
        return PrototypeContext(prototypes, shuffle=shuffle)

    def _shown(self) -> dict[str, Any]:
        """How prototypes are shown to the policy."""
        capacity = self.config.trial_length * self.collection.horizon
        return {"uncertainty": self.config.uncertainty, "capacity": capacity}

    def _policy_kwargs(self) -> dict[str, Any]:
        if not self.config.joint:
            return super()._policy_kwargs()
        kwargs = {
            "encoder": self.encoder,
            "num_support": self.config.num_support,
            "options": self._shown(),
        }
        return {"features_extractor_class": JointEncoder, "features_extractor_kwargs": kwargs}

    def _recorder(
        self, env: TaskVecEnv, num_trajectories: int, keep_transitions: bool = True
    ) -> TrialRecorder:
        return super()._recorder(env, num_trajectories, keep_transitions=True)

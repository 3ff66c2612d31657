"""``proto-embedding``: a policy conditioned on the prototype of its task, which needs no gradient.

The encoder is a ProtoNet over the tasks of the meta-batch (:mod:`metarl.rl.task_embedding`), the
policy stable-baselines3's. At test a few trajectories make the prototype.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from metarl.core import prototype_logits
from metarl.rl.task_embedding import (
    OnlinePrototypes,
    RecurrentEncoder,
    TaskEncoder,
    TransitionEncoder,
    embedding_logits,
    embedding_loss,
)
from metarl.sb3.configs import ProtoEmbeddingConfig
from metarl.sb3.contexts import Context, PrototypeContext, num_features
from metarl.sb3.learner import AdaptationRun, SB3Learner
from metarl.sb3.recorder import Trials
from metarl.sb3.trial_data import TrialData
from metarl.sb3.vec_env import Task, TaskVecEnv
from metarl.types import Metrics


class Embeddings(NamedTuple):
    """Prototypes of M tasks, from E trials each."""

    prototypes: NDArray[np.float32]
    """``[M, E, D]``."""
    tasks: list[Task]
    """M."""

    def accuracy(self) -> float:
        """How often the prototype of another trial is nearest to that of the task's first."""
        centres = torch.from_numpy(self.prototypes[:, 0])
        others = torch.from_numpy(self.prototypes[:, 1:])
        logits = prototype_logits(others.flatten(0, 1)[None], centres[None])[0]
        labels = torch.arange(len(centres)).repeat_interleave(others.shape[1])
        return float((logits.argmax(1) == labels).float().mean())


class ProtoEmbedding(SB3Learner):
    """Trains encoder and policy; see :class:`~metarl.sb3.learner.SB3Learner` for the arguments."""

    config: ProtoEmbeddingConfig
    encoder: TaskEncoder

    def update(self, experience: Trials) -> Metrics:
        """Train the encoder on the trials that the policy has been improved with."""
        metrics = super().update(experience)
        if len(np.unique(experience.tasks, axis=0)) < 2:
            return metrics  # nothing to tell apart
        return metrics | self._train_encoder(experience)

    def embeddings(self, run: AdaptationRun, num_trajectories: int = 1) -> Embeddings:
        """Prototypes from the first trajectories of every trial.

        Args:
            run: of :meth:`run_trials`.
            num_trajectories: that make a prototype.
        """
        shown = slice(0, num_trajectories)
        transitions = torch.from_numpy(run.trials.transitions[:, shown]).to(self.device)
        lengths = torch.from_numpy(run.trials.lengths[:, shown]).to(self.device)
        horizon = transitions.shape[2]
        everything = torch.arange(horizon, device=self.device).expand(len(transitions), -1)
        real = everything[:, None] < lengths[..., None]  # [M·E, k, T]
        with torch.no_grad():
            embedded = torch.stack(
                [self.encoder.embed(one, everything) for one in transitions.unbind(1)], 1
            )
        total = (embedded * real[..., None]).sum((1, 2))
        means = (total / real.sum((1, 2))[:, None].clamp(min=1)).cpu().numpy()
        return Embeddings(means.reshape(len(run.tasks), -1, means.shape[-1]), run.tasks)

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what happens next."""
        own = {"encoder": self.encoder.state_dict(), "adam": self._optimiser.state_dict()}
        return super().state_dict() | own

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
        super().load_state_dict(state)
        self.encoder.load_state_dict(state["encoder"])
        self._optimiser.load_state_dict(state["adam"])

    def _prepare(self, env: TaskVecEnv) -> None:
        config = self.config
        shape = env.observation_space.shape
        assert shape is not None
        self._num_features = num_features(shape[0], spaces.flatdim(env.action_space))
        generator = torch.Generator().manual_seed(self._iteration_seed())
        size, hidden = config.embedding_size, config.encoder_hidden_size
        self.encoder = (
            RecurrentEncoder(self._num_features, size, hidden, generator)
            if config.encoder == "recurrent"
            else TransitionEncoder(self._num_features, size, (hidden, hidden), generator)
        ).to(self.device)
        self._optimiser = torch.optim.Adam(self.encoder.parameters(), config.encoder_lr)

    def _context(self, env: TaskVecEnv) -> Context:
        config = self.config
        prototypes = OnlinePrototypes(
            self.encoder,
            env.num_envs,
            within_trajectory=config.within_trajectory,
            uncertainty=config.uncertainty,
            capacity=config.trial_length * self.collection.horizon,
        )
        return PrototypeContext(prototypes, shuffle=config.shuffle)

    def _num_recorded(self) -> int:
        return self._num_features

    def _evaluation_metrics(self, run: AdaptationRun) -> Metrics:
        return {"eval/embedding_accuracy": self.embeddings(run).accuracy()}

    def _train_encoder(self, trials: Trials) -> Metrics:
        config = self.config
        data = TrialData(trials, self.device)
        self.encoder.observe(data.real_transitions())
        generator = torch.Generator().manual_seed(self._iteration_seed())
        losses, accuracies = [], []
        for _ in range(config.encoder_steps):
            support, query = data.draw(config.num_ways, generator)
            logits = embedding_logits(
                self.encoder,
                support,
                query,
                num_support=config.num_support,
                num_queries=config.num_queries,
                query_size=config.query_size,
                generator=generator,
            )
            loss, accuracy = embedding_loss(logits, config.num_queries)
            self._step(loss)
            losses.append(loss.item())
            accuracies.append(accuracy.item())
        return {
            "adapt/embedding_loss": float(np.mean(losses)),
            "adapt/embedding_accuracy": float(np.mean(accuracies)),
        }

    def _step(self, loss: Tensor) -> None:
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()

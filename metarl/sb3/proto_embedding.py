"""``proto-embedding``: a policy conditioned on the prototype of its task, which needs no gradient.

The encoder is a ProtoNet over the tasks of the meta-batch (:mod:`metarl.rl.task_embedding`), the
policy stable-baselines3's. At test a few trajectories make the prototype.
"""

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from metarl.core.prototypes import prototype_logits
from metarl.rl import Actor
from metarl.rl.task_embedding import (
    OnlinePrototypes,
    Trajectories,
    embedding_logits,
    embedding_loss,
    whole_prototypes,
)
from metarl.rl.task_encoders import RecurrentEncoder, TaskEncoder, TransitionEncoder
from metarl.sb3.configs import ProtoEmbeddingConfig
from metarl.sb3.contexts import Context, PrototypeContext
from metarl.sb3.evaluation import AdaptationRun
from metarl.sb3.joint import JointEncoder, SupportSample
from metarl.sb3.learner import SB3Learner
from metarl.sb3.recorder import TrialRecorder, Trials
from metarl.sb3.trial_data import Similar, TrialData
from metarl.sb3.vec_env import TaskVecEnv
from metarl.types import Metrics

REFRESH = 50  # steps of the encoder after which trials are compared anew


def nearest_accuracy(prototypes: NDArray[np.float32]) -> float:
    """How often the prototype of another trial is nearest to that of its task's first.

    Args:
        prototypes: of M tasks, from E trials each, ``[M, E, D]``.
    """
    centres, others = torch.from_numpy(prototypes[:, 0]), torch.from_numpy(prototypes[:, 1:])
    logits = prototype_logits(others.flatten(0, 1)[None], centres[None])[0]
    labels = torch.arange(len(centres)).repeat_interleave(others.shape[1])
    return float((logits.argmax(1) == labels).float().mean())


class ProtoEmbedding(SB3Learner):
    """Trains encoder and policy; see :class:`~metarl.sb3.learner.SB3Learner` for the arguments."""

    config: ProtoEmbeddingConfig
    encoder: TaskEncoder
    """What makes the prototypes: a running average of what is trained, unless that is ``joint``."""

    def update(self, experience: Trials) -> Metrics:
        """Train the encoder on the trials that the policy has been improved with."""
        metrics = super().update(experience)
        if len(np.unique(experience.tasks, axis=0)) < 2:
            return metrics  # nothing to tell apart
        return metrics | self._train_encoder(experience)

    def prototypes(self, run: AdaptationRun) -> NDArray[np.float32]:
        """Those of the first trajectory of every trial, ``[M, E, D]``.

        Args:
            run: of :meth:`run_trials`.
        """
        firsts = TrialData(run.trials, self.device).firsts(None, torch.Generator())
        with torch.no_grad():
            found: NDArray[np.float32] = whole_prototypes(self.encoder, firsts).cpu().numpy()
        return found.reshape(len(run.tasks), -1, found.shape[-1])

    def figures(self, run: AdaptationRun) -> Metrics:
        """Nearest-prototype accuracy after one trajectory, given several trials a task."""
        prototypes = self.prototypes(run)
        several = prototypes.shape[1] > 1
        return {"embedding_accuracy": nearest_accuracy(prototypes)} if several else {}

    def actor(self, context: NDArray[np.float32]) -> Actor:
        """See :class:`~metarl.sb3.learner.SB3Learner`."""
        if self.config.joint:
            context = self.model.policy.features_extractor.shown(context)
        return super().actor(context)

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what happens next."""
        return super().state_dict() | {
            "encoder": self._trained.state_dict(),
            "averaged": self.encoder.state_dict(),
            "adam": self._optimiser.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
        super().load_state_dict(state)
        self._trained.load_state_dict(state["encoder"])
        self.encoder.load_state_dict(state["averaged"])
        self._optimiser.load_state_dict(state["adam"])

    def _prepare(self, env: TaskVecEnv) -> None:
        config = self.config
        width = self._transition_size(env)
        generator = torch.Generator().manual_seed(self._iteration_seed())
        size, hidden = config.embedding_size, config.encoder_hidden_size
        kind = RecurrentEncoder if config.encoder == "recurrent" else TransitionEncoder
        self._trained = kind(width, hidden, size, generator).to(self.device)
        # fused: of layers as small as these the calls cost more than the work
        self._optimiser = torch.optim.Adam(
            self._trained.parameters(), config.encoder_lr, fused=True
        )
        self._average = get_ema_multi_avg_fn(config.encoder_average)  # type: ignore[no-untyped-call]
        self.encoder = self._trained
        if not config.joint:
            self.encoder = copy.deepcopy(self._trained)
            self.encoder.inputs = self._trained.inputs  # one set of statistics

    def _context(self, env: TaskVecEnv, *, training: bool = False) -> Context:
        if self.config.joint:
            return SupportSample(
                env.num_envs,
                self.config.num_support,
                self.encoder.num_features,
                self._seed,
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
            return {}
        options = (self.encoder, self.config.num_support, self._shown())
        names = ("encoder", "num_support", "options")
        return {
            "features_extractor_class": JointEncoder,
            "features_extractor_kwargs": dict(zip(names, options, strict=True)),
        }

    def _recorder(
        self, env: TaskVecEnv, num_trajectories: int, keep_transitions: bool = True
    ) -> TrialRecorder:
        return super()._recorder(env, num_trajectories, keep_transitions=True)

    def _train_encoder(self, trials: Trials) -> Metrics:
        config = self.config
        data = TrialData(trials, self.device)
        self._trained.observe(data.real_transitions())
        generator = torch.Generator().manual_seed(self._iteration_seed())
        # a recurrent encoder needs all that came before
        support = config.num_support if config.encoder == "transitions" else None
        first = self.iteration == 1
        lr = config.encoder_lr * 0.5 ** ((self.iteration - 1) / config.encoder_half_life)
        self._optimiser.param_groups[0]["lr"] = lr
        losses, accuracies = [], []
        for step in range(config.encoder_warmup if first else config.encoder_steps):
            if step % REFRESH == 0:
                similar = self._similar(data.firsts(support, generator))
            pair = data.draw(config.num_ways, generator, support, similar)
            logits = embedding_logits(
                self._trained, pair, num_queries=config.num_queries, generator=generator
            )
            loss, accuracy = embedding_loss(logits)
            self._step(loss)
            losses.append(loss.item())
            accuracies.append(accuracy.item())
        return {
            "adapt/embedding_loss": float(np.mean(losses)),
            "adapt/embedding_accuracy": float(np.mean(accuracies)),
        }

    @torch.no_grad()
    def _similar(self, firsts: Trajectories) -> Similar:
        return Similar(whole_prototypes(self._trained, firsts), self.config.num_similar)

    def _step(self, loss: Tensor) -> None:
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        if not self.config.joint:
            self._average(list(self.encoder.parameters()), list(self._trained.parameters()), None)

"""The ProtoNet side of reinforcement learning: embeddings of tasks from what a trial showed."""

from metarl.embedding.contexts import (
    Context,
    LastTransition,
    NoContext,
    PrototypeContext,
    SupportSample,
    Transitions,
)
from metarl.embedding.encoders import RecurrentEncoder, TaskEncoder, TransitionEncoder
from metarl.embedding.loss import embedding_logits, embedding_loss
from metarl.embedding.prototypes import (
    OnlinePrototypes,
    Trajectories,
    nearest_accuracy,
    whole_prototypes,
)
from metarl.embedding.training import EncoderTrainer, EncoderTrainingConfig
from metarl.embedding.trial_data import HardNegatives, TrialData, first_prototypes
from metarl.embedding.trials import ReturnSpan, TrialObserver, TrialRecorder, Trials

__all__ = [
    "Context",
    "EncoderTrainer",
    "EncoderTrainingConfig",
    "HardNegatives",
    "LastTransition",
    "NoContext",
    "OnlinePrototypes",
    "PrototypeContext",
    "RecurrentEncoder",
    "ReturnSpan",
    "SupportSample",
    "TaskEncoder",
    "Trajectories",
    "TransitionEncoder",
    "Transitions",
    "TrialData",
    "TrialObserver",
    "TrialRecorder",
    "Trials",
    "embedding_logits",
    "embedding_loss",
    "first_prototypes",
    "nearest_accuracy",
    "whole_prototypes",
]

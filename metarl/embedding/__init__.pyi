from .configs import EncoderConfig
from .contexts import (
    Context,
    LastTransition,
    NoContext,
    PrototypeContext,
    SupportSample,
    Transitions,
)
from .encoders import RecurrentEncoder, TaskEncoder, TransitionEncoder
from .loss import embedding_logits, embedding_loss
from .prototypes import (
    OnlinePrototypes,
    Trajectories,
    nearest_accuracy,
    whole_prototypes,
)
from .training import EncoderTrainer
from .trial_data import HardNegatives, TrialData, first_prototypes
from .trials import ReturnSpan, TrialRecorder, Trials

__all__ = [
    "Context",
    "EncoderConfig",
    "EncoderTrainer",
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
    "TrialRecorder",
    "Trials",
    "embedding_logits",
    "embedding_loss",
    "first_prototypes",
    "nearest_accuracy",
    "whole_prototypes",
]
